"""Faces of many people in one transaction, each person's as if alone.

A commit waits for the disk, and an index follows it: once for many people costs a fraction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy.engine import Connection

from arcid.errors import AlreadyExists, ArcidError, InputError
from arcid.gallery.duplicates import Decide, Doubts, Duplicates
from arcid.gallery.records import NewFace, NewFaces
from arcid.gallery.schema import Row
from arcid.gallery.store import consents
from arcid.gallery.store import faces as faces_store
from arcid.gallery.store import people as people_store
from arcid.gallery.store.journal import Journal

#: Told in the transaction which faces it stores: the place of a person, those of their faces.
Noted = Callable[[int, Sequence[int], Connection], None]


def enrol(
    duplicates: Duplicates,
    collection: str,
    people: Sequence[NewFaces],
    decide: Decide | None,
    noted: Noted | None,
) -> list[list[ArcidError | None]]:
    """See ``Gallery.enrol_people``."""
    new = [face for person in people for face in person.faces]
    with duplicates.enrolling(collection, new, decide) as (log, own):
        adding = _Adding(log, own, duplicates.among(log, own, new, decide), people, noted)
        return [adding.outcomes(i, range(len(one.faces))) for i, one in enumerate(people)]


class _Adding:
    """One transaction's."""

    def __init__(
        self,
        log: Journal,
        collection: Row,
        doubts: Doubts,
        people: Sequence[NewFaces],
        noted: Noted | None,
    ) -> None:
        self._log, self._collection, self._doubts = log, collection, doubts
        self._people, self._noted = people, noted

    def outcomes(self, place: int, chosen: Sequence[int]) -> list[ArcidError | None]:
        """All of these faces of a person at once; where that is refused, each by itself."""
        if not chosen:
            return []
        person = self._people[place]
        faces = [person.faces[i] for i in chosen]
        try:
            with self._log.savepoint():
                owner, keys = self._add(person, faces)
                if self._noted is not None:
                    self._noted(place, chosen, self._log.connection)
        except (InputError, AlreadyExists) as error:
            if len(chosen) == 1:
                return [error]
            return [outcome for i in chosen for outcome in self.outcomes(place, [i])]
        self._doubts.stored(faces, owner, keys)
        return [None] * len(chosen)

    def _add(self, person: NewFaces, faces: Sequence[NewFace]) -> tuple[Row, list[int]]:
        """Whose they are, and the keys of the faces."""
        log, collection = self._log, self._collection
        known = people_store.by_name(log.connection, collection, person.name)
        if known is None and person.external_id is not None:
            known = people_store.by_external_id(log.connection, collection, person.external_id)
        for face in faces:
            if (doubt := self._doubts.of(face, known)) is not None:
                raise doubt
        owner = known or people_store.add(
            log, collection, person.name, person.metadata, external_id=person.external_id
        )
        consents.settle(log.connection, collection, owner, person.consent)
        return owner, faces_store.add(log, collection, owner, faces)
