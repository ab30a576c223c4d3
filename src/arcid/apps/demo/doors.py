"""A door at the camera that people pass: who may, who may not, and once by hand."""

from __future__ import annotations

from pathlib import Path

from arcid.apps.access import Doorman, Doors, Groups
from arcid.apps.demo.cast import Cast
from arcid.apps.demo.places import ACTOR, CAMERA, COLLECTION
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline

GROUP = "Key holders"


def let_in(gallery: Gallery, pipeline: Pipeline, cast: Cast, home: Path) -> None:
    """Everybody but the last of the staff may pass. The camera shows photographs, so the door
    does not ask whether faces are alive; nothing is wired to it."""
    doors, groups = Doors(gallery), Groups(gallery)
    door = doors.add(CAMERA, COLLECTION, camera=CAMERA, output="none", liveness=False)
    groups.add(COLLECTION, GROUP)
    for player in cast.staff[:-1]:
        person = gallery.person_called(COLLECTION, player.name)
        groups.add_member(COLLECTION, GROUP, person.id)
    doors.allow(door.id, GROUP)
    with Doorman(gallery, pipeline.contract_id, home) as doorman:
        doorman.open_by_hand(door.id, ACTOR, "courier with a parcel")
