"""Whether a face to be enrolled is somebody else already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from sqlalchemy.engine import Connection

from arcid.errors import PossibleDuplicate
from arcid.gallery import rules, searching
from arcid.gallery.database import Database
from arcid.gallery.projection import Projection, Snapshot
from arcid.gallery.records import NewFace
from arcid.gallery.schema import Row
from arcid.gallery.store import collections as collections_store
from arcid.gallery.store import faces as faces_store
from arcid.gallery.store import people as people_store
from arcid.gallery.store import vectors
from arcid.gallery.store.journal import Journal
from arcid.types import Decision, Match

#: What a cosine means in a search among so many templates; None where it cannot be decided.
Decide = Callable[[float, int], Decision | None]


class Duplicates:
    """Asks before faces are written. Thread-safe."""

    def __init__(self, database: Database, projection: Projection) -> None:
        self._database = database
        self._projection = projection

    @contextmanager
    def enrolling(
        self,
        collection: str,
        new: Sequence[NewFace],
        decide: Decide | None,
        *,
        erases: bool = False,
    ) -> Iterator[tuple[Journal, Row]]:
        """A write to a collection. The index that ``refuse`` searches is built before it begins:
        that can take long, and nobody else writes meanwhile."""
        if decide is not None:
            with self._projection.snapshot() as snapshot:
                own = collections_store.find(snapshot.connection, collection)
                for contract_id in {face.embedding.contract_id for face in new}:
                    snapshot.index(own["id"], contract_id)
        with collections_store.writing(self._database, collection, erases=erases) as opened:
            yield opened

    def find(
        self,
        log: Journal,
        collection: Row,
        person: Row | None,
        new: Sequence[NewFace],
        decide: Decide | None,
    ) -> list[PossibleDuplicate | None]:
        """For each new face whose it is already, if that is not ``person``.

        To be called before the transaction changes anything; no other can change it any more.
        """
        doubts = self.among(log, collection, new, decide)
        return [doubts.of(face, person) for face in new]

    def among(
        self, log: Journal, collection: Row, new: Sequence[NewFace], decide: Decide | None
    ) -> Doubts:
        """``find`` for faces of many people, some of which are stored before others are asked
        about. To be called when that is."""
        if decide is None or not new:
            return Doubts(log.connection, collection)
        with self._projection.snapshot(log.connection) as snapshot:
            return Doubts.look(snapshot, collection, new, decide)


class Doubts:
    """Whose new faces are already, throughout one transaction."""

    def __init__(
        self, connection: Connection, collection: Row, decide: Decide | None = None
    ) -> None:
        self._connection, self._collection, self._decide = connection, collection, decide
        self._columns: dict[NewFace, Row] = {}
        self._nearest: dict[NewFace, tuple[Match | None, int]] = {}
        self._photos: set[str] = set()  # those of the faces that are enrolled
        self._stored: list[tuple[NewFace, Row, int]] = []  # since, with their person and key

    @classmethod
    def look(
        cls, snapshot: Snapshot, collection: Row, new: Sequence[NewFace], decide: Decide
    ) -> Doubts:
        """Compare all of them with who is enrolled. Raises ``InputError``."""
        doubts = cls(snapshot.connection, collection, decide)
        doubts._columns = {face: rules.face_columns(face) for face in new}
        doubts._nearest = dict(zip(new, _nearest(snapshot, collection, new), strict=True))
        photos = {columns["photo_id"] for columns in doubts._columns.values()} - {None}
        doubts._photos = faces_store.known_photos(snapshot.connection, collection, sorted(photos))
        return doubts

    def stored(self, new: Sequence[NewFace], person: Row, keys: Sequence[int]) -> None:
        """These were stored as a person's, under those keys."""
        if self._decide is not None:
            self._stored += [(face, person, key) for face, key in zip(new, keys, strict=True)]
            self._photos |= {self._columns[face]["photo_id"] for face in new} - {None}

    def of(self, face: NewFace, person: Row | None) -> PossibleDuplicate | None:
        """Whose a face is already, if that is not ``person``: it is somebody's where they are the
        nearest of the collection and ``decide`` says match, and where the same face of the same
        photo is enrolled as theirs."""
        if self._decide is None:
            return None
        own = None if person is None else person["uid"]
        nearest, size = self._nearest_of(face)
        if nearest is not None and nearest.person_id != own:
            decision = self._decide(nearest.cosine, size)
            if decision is not None and decision.matched:
                return _of_match(nearest, decision)
        columns = self._columns[face]
        if columns["photo_id"] not in self._photos:
            return None
        return _of_photo(self._connection, self._collection, own, columns)

    def _nearest_of(self, face: NewFace) -> tuple[Match | None, int]:
        """Among who was enrolled before and since, and among how many templates."""
        nearest, size = self._nearest[face]
        contract_id = face.embedding.contract_id
        since = [one for one in self._stored if one[0].embedding.contract_id == contract_id]
        if not since:
            return nearest, size
        vectors_since = np.concatenate([stored.embedding.vectors for stored, _, _ in since])
        cosines = vectors_since @ face.embedding.vectors[0]
        best = int(cosines.argmax())
        if nearest is None or cosines[best] > nearest.cosine:
            _, owner, key = since[best]
            (row,) = faces_store.select_keys(self._connection, self._collection, [key])
            cosine = float(np.clip(cosines[best], -1.0, 1.0))
            nearest = Match(owner["uid"], owner["name"], cosine, row["uid"], len(since))
        return nearest, size + len(since)


def _nearest(
    snapshot: Snapshot, collection: Row, new: Sequence[NewFace]
) -> list[tuple[Match | None, int]]:
    """The nearest person of each face, and among how many templates."""
    found: list[tuple[Match | None, int]] = [(None, 0)] * len(new)
    for contract_id in {face.embedding.contract_id for face in new}:
        opened = snapshot.index(collection["id"], contract_id)
        if opened is None or len(opened[1]) == 0:
            continue
        made_by, index = opened
        rows = [i for i, face in enumerate(new) if face.embedding.contract_id == contract_id]
        for i in rows:
            vectors.check_dim(made_by, new[i].embedding.dim)
        probes = np.concatenate([new[i].embedding.vectors for i in rows])
        hits = index.search_people(probes, 1, aggregate="max")
        for i, matches in zip(rows, searching.matches(snapshot.connection, hits), strict=True):
            found[i] = (matches[0] if matches else None, len(index))
    return found


def _of_match(nearest: Match, decision: Decision) -> PossibleDuplicate:
    return PossibleDuplicate.of(
        f"this face is enrolled as {{whose}} already: cosine {nearest.cosine:.3f}, a match "
        f"from {decision.cosine_threshold:.3f}; if it is another person, say "
        f"{PossibleDuplicate.allow}",
        nearest.name,
        person_id=nearest.person_id,
        face_id=nearest.face_id,
        cosine=nearest.cosine,
        cosine_threshold=decision.cosine_threshold,
        target_fpir=decision.target_fpir,
    )


def _of_photo(
    connection: Connection, collection: Row, own: str | None, face: Row
) -> PossibleDuplicate | None:
    for known in faces_store.of_photo(connection, collection, face["photo_id"]):
        if known["person_uid"] != own and faces_store.same_face(face, known):
            owner = people_store.by_keys(connection, [known["person_id"]])
            return PossibleDuplicate.of(
                "this face of this photo is enrolled as {whose} already; if it is another "
                f"person, say {PossibleDuplicate.allow}",
                owner[known["person_id"]]["name"],
                person_id=known["person_uid"],
                face_id=known["uid"],
                cosine=None,
            )
    return None
