"""A face in doubt, written as a camera of the service writes it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

from arcid.apps.watching.grounds import decided_on
from arcid.events import Place, Question, Sightings
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline


def write(home: Path, photo: Path, collection: str = "people", *, ago_s: float = 60) -> str:
    """The id of the review of the face in a photo; asked about are the two nearest people."""
    pipeline = Pipeline.from_models()
    with Gallery.open(home / "gallery.db", create=False) as gallery:
        (found,) = pipeline.identify(photo, gallery, collection, fpir=1e-9, k=2, select="largest")
        at = datetime.now(UTC) - timedelta(seconds=ago_s)
        (event,) = Sightings(gallery).visitor(
            collection, Place("Door", "Door"), at, at, photo.name, cooldown_s=300, alike=0.9,
            grounds=decided_on(
                pipeline, dataclasses.replace(found.decision, outcome="review"), found.candidates,
                source="Door",
            ),
            vector=found.face.embedding, crop=found.face.crop,
            question=Question(found.candidates, None, 1e-9),
        )  # fmt: skip
    return event.id
