"""``register``, ``search`` and ``identify`` over a gallery: a name is a person with their faces."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from arcid.compat.deepface import pictures
from arcid.compat.deepface.faces import Found
from arcid.compat.deepface.models import Recogniser
from arcid.compat.deepface.modules.exceptions import DuplicateEntryError
from arcid.errors import AlreadyExists, SamePhotoConflict
from arcid.gallery import Gallery, NewFace
from arcid.gallery.opening import open_gallery
from arcid.image import photo_id
from arcid.types import Embeddings, FloatArray, Match

_LOG = logging.getLogger(__name__)


class Store:
    """A collection of a gallery for one model, one detector and one way to align faces.

    ``place``: the gallery's path or URL; None takes the default one.
    """

    def __init__(self, place: Any, model: Recogniser, backend: str, *, by_points: bool) -> None:
        if place is not None and not isinstance(place, str):
            raise ValueError(
                "connection_details is the path or URL of an arcid gallery; leave it out for the "
                "default one"
            )
        self.model, self.backend, self.by_points = model, backend, by_points
        self._gallery: Gallery = open_gallery(place, create=True)
        self._collection = f"deepface {model.name} {backend} {'points' if by_points else 'box'}"
        self._gallery.ensure_collection(self._collection)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self._gallery.close()

    def add(self, found: Found, vectors: FloatArray, name: str | None, source: Any) -> int:
        """How many faces of a picture were new; a known one is told to the log."""
        digest = photo_id(found.image)
        named = isinstance(source, str) and not source.startswith("data:")
        called = name or (pictures.named(source) if named else digest[:12])
        new = 0
        for row, vector in enumerate(vectors):
            face = NewFace(
                Embeddings(vector[None], self.model.embedder.contract_id),
                photo_id=f"{digest} {row}",
            )
            try:
                self._gallery.enrol(self._collection, called, [face])
            except (AlreadyExists, SamePhotoConflict):
                _LOG.warning("a face that is stored already was left out")
            else:
                new += 1
        return new

    def nearest(self, probes: FloatArray) -> list[list[Match]]:
        """For each vector everybody, nearest first. ``ValueError`` where nobody is stored."""
        contract = self.model.embedder.contract_id
        count = self._gallery.size(self._collection, contract)
        if not count:
            raise ValueError(
                "No embeddings found in the database for the criteria "
                f"model_name={self.model.name!r}, detector_backend={self.backend!r}, "
                f"align={self.by_points}. Register some first."
            )
        return list(self._gallery.search(self._collection, Embeddings(probes, contract), k=count))

    def stored(self, number: int) -> tuple[str, FloatArray]:
        """The name and the vector of the face with that ``id``. ``ValueError`` for none."""
        contract = self.model.embedder.contract_id
        for faces, people, block in self._gallery.vectors(self._collection, contract):
            for face_id, person_id, vector in zip(faces, people, block, strict=True):
                if number_of(face_id) == number:
                    return self._gallery.person(self._collection, person_id).name, vector
        raise ValueError(f"No embedding found in the database for identity_id={number}.")


def number_of(face_id: str) -> int:
    """A face's ``id`` for deepface, which wants a number: 52 bits of its digest."""
    return int(hashlib.sha256(face_id.encode()).hexdigest()[:13], 16)


def refuse_known(new: int, number: int) -> None:
    """``DuplicateEntryError`` where a picture of several brought nothing new."""
    if not new:
        raise DuplicateEntryError(f"The faces of picture {number} are stored already")


__all__ = ["Store", "number_of", "refuse_known"]
