"""Access control: a door that opens for whoever may pass, and an entry for every answer.

``DOOR_CAMERA``: the camera's address, such as rtsp://…, or the number of a webcam.
"""

import os
from pathlib import Path

from arcid import Gallery, Pipeline, enrol_photos
from arcid.apps.access import Doorman, Doors, Groups, Passages
from arcid.apps.access.observer import duty
from arcid.apps.watching import Watcher
from arcid.video import open_source

gallery, pipeline = Gallery.open("doors.db"), Pipeline.from_models()
gallery.create_collection("staff")
enrol_photos(pipeline, gallery, "staff", [("Ada", "ada1.jpg", "badge")])
Groups(gallery).add("staff", "Day shift")
Groups(gallery).add_member("staff", "Day shift", gallery.person_called("staff", "Ada").id)
door = Doors(gallery).add("Front door", "staff", output="none", liveness=False)
Doors(gallery).allow(door.id, "Day shift")
with Doorman(gallery, pipeline.contract_id, Path("doors")) as doorman:
    watcher = Watcher(pipeline, [duty(gallery, doorman, door)], camera="Front door")
    views = watcher.watch(open_source(os.environ["DOOR_CAMERA"]))
    passages = next(found for _ in views if (found := Passages(gallery).find("staff")))
print([(passage.name, passage.outcome, passage.words) for passage in passages])
