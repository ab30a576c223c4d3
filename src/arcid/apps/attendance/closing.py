"""A camera that watches no more ends the stays it began: nobody else would see them end."""

from __future__ import annotations

import logging

from arcid.errors import ArcidError
from arcid.events import Cause, Place, Sightings
from arcid.gallery import Gallery

log = logging.getLogger(__name__)


def end_stays(
    gallery: Gallery, collection: str, place: Place, cause: Cause = "camera_closed"
) -> None:
    """One departure a stay, dated when they were last seen; trouble is logged."""
    why = "deleted" if cause == "camera_deleted" else "closed"
    try:
        Sightings(gallery).abandon(collection, place, f"the camera was {why}", cause=cause)
    except ArcidError as error:
        log.warning("departures were not written", extra={"code": error.code})
