"""Whether a face to be enrolled is somebody else already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

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
        if decide is None or not new:
            return [None] * len(new)
        with self._projection.snapshot(log.connection) as snapshot:
            return _find(snapshot, collection, person, new, decide)


def _find(
    snapshot: Snapshot,
    collection: Row,
    person: Row | None,
    new: Sequence[NewFace],
    decide: Decide,
) -> list[PossibleDuplicate | None]:
    """A face is somebody's where they are the nearest of the collection and ``decide`` says match,
    and where the same face of the same photo is enrolled as theirs."""
    own = None if person is None else person["uid"]
    columns = [rules.face_columns(face) for face in new]
    found: list[PossibleDuplicate | None] = []
    for face, (nearest, size) in zip(columns, _nearest(snapshot, collection, new), strict=True):
        decision = None
        if nearest is not None and nearest.person_id != own:
            decision = decide(nearest.cosine, size)
        if nearest is not None and decision is not None and decision.matched:
            found.append(_of_match(nearest, decision))
        else:
            found.append(_of_photo(snapshot, collection, own, face))
    return found


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
    return PossibleDuplicate(
        f"this face is enrolled as {nearest.name!r} already: cosine {nearest.cosine:.3f}, a match "
        f"from {decision.cosine_threshold:.3f}; if it is another person, say "
        f"{PossibleDuplicate.allow}",
        person_id=nearest.person_id,
        face_id=nearest.face_id,
        cosine=nearest.cosine,
        cosine_threshold=decision.cosine_threshold,
        target_fpir=decision.target_fpir,
    )


def _of_photo(
    snapshot: Snapshot, collection: Row, own: str | None, face: Row
) -> PossibleDuplicate | None:
    if face["photo_id"] is None:
        return None
    for known in faces_store.of_photo(snapshot.connection, collection, face["photo_id"]):
        if known["person_uid"] != own and faces_store.same_face(face, known):
            owner = people_store.by_keys(snapshot.connection, [known["person_id"]])
            name = owner[known["person_id"]]["name"]
            return PossibleDuplicate(
                f"this face of this photo is enrolled as {name!r} already; if it is another "
                f"person, say {PossibleDuplicate.allow}",
                person_id=known["person_uid"],
                face_id=known["uid"],
                cosine=None,
            )
    return None
