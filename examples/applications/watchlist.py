"""A watchlist: alerts when somebody of a list passes a camera, at so many false ones an hour."""

from datetime import UTC, datetime, timedelta

from arcid import Gallery, Pipeline, enrol_photos
from arcid.apps.watching import Watcher
from arcid.apps.watchlists import Alerts, Terms, Watchlists
from arcid.apps.watchlists.observer import duty
from arcid.events import Place
from arcid.video import open_source

gallery, pipeline = Gallery.open("visitors.db"), Pipeline.from_models()
gallery.create_collection("visitors")
enrol_photos(pipeline, gallery, "visitors", [("Ada", "ada1.jpg", "")])
ends = datetime.now(UTC) + timedelta(days=90)
terms = Terms(purpose="bans", legal_basis="house rules", owner="Ann", expires_at=ends)
banned = Watchlists(gallery).create("Banned", "visitors", terms, actor="Ann")
ada = gallery.person_called("visitors", "Ada")
Watchlists(gallery).add(banned.id, ada.id, actor="Ann", reason="ban of 3 March")
watcher = Watcher(pipeline, [duty(gallery, Place("door", "door"))], camera="door")
list(watcher.watch(open_source("door.mp4")))
alerts = Alerts(gallery).find(states=["new"])
print([(alert.name, alert.camera, alert.level) for alert in alerts])
