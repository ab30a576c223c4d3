"""Everybody enrolled, one of them twice, and a search for who that is."""

from __future__ import annotations

from arcid.apps.demo.cast import TWICE, Cast, Player
from arcid.apps.demo.places import ACTOR, COLLECTION, LISTED
from arcid.apps.duplicates import Duplicates, work
from arcid.apps.enrol import Photo, enrol_photos
from arcid.errors import InputError
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline


def enrol(gallery: Gallery, pipeline: Pipeline, cast: Cast) -> None:
    """Two collections. Raises ``InputError`` where a photograph that is needed shows no face."""
    for name in (COLLECTION, LISTED):
        gallery.create_collection(name, keep_crops=True)
    _enrol(gallery, pipeline, COLLECTION, [item for one in cast.staff for item in _photos(one)])
    _enrol(gallery, pipeline, COLLECTION, [(TWICE, cast.twice, cast.twice.name)], twice=True)
    _enrol(gallery, pipeline, LISTED, _photos(cast.barred))


def find_twice(gallery: Gallery, pipeline: Pipeline) -> None:
    """Compare everybody with everybody; the pair waits for somebody's answer."""
    begun = Duplicates(gallery).runs.begin(
        COLLECTION, pipeline.calibration, allow_extrapolation=True, actor=ACTOR
    )
    work(gallery, COLLECTION, begun.id, pipeline.calibration)


def _photos(player: Player) -> list[Photo]:
    return [(player.name, photo, photo.name) for photo in player.enrolled]


def _enrol(
    gallery: Gallery,
    pipeline: Pipeline,
    collection: str,
    items: list[Photo],
    *,
    twice: bool = False,
) -> None:
    report = enrol_photos(
        pipeline, gallery, collection, items, require_quality=False, select="largest",
        allow_duplicate=twice,
    )  # fmt: skip
    missing = {name for name, _, _ in items} - {
        person.name for person in gallery.everybody(collection)
    }
    if missing:
        raise InputError(
            f"{len(missing)} people of the demo could not be enrolled: "
            f"{report.rejected[0].error.message}; --photos names another folder"
        )
