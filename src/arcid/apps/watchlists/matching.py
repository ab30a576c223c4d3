"""Searching one list: the templates of those on it, and nobody else's."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.watchlists.tables import members
from arcid.gallery.index import Keys
from arcid.gallery.index.exact import ExactIndex
from arcid.gallery.schema import Row, contracts, embeddings, faces, people
from arcid.gallery.store import vectors
from arcid.types import Embeddings, FloatArray, Match

CANDIDATES = 5


def templates(connection: Connection, row: Row, contract_id: str) -> int:
    """How many templates of that model the people on a list have."""
    query = sa.select(sa.func.count()).select_from(_of(row, contract_id).subquery())
    return int(connection.execute(query).scalar_one())


class Templates:
    """The templates of one list in memory, as they were when it was read."""

    def __init__(self, connection: Connection, row: Row, contract_id: str) -> None:
        self._faces: dict[int, str] = {}
        self._people: dict[int, tuple[str, str]] = {}
        for face in connection.execute(_of(row, contract_id)):
            self._faces[face.id] = face.face_uid
            self._people[face.person_id] = (face.person_uid, face.name)
        self._index: ExactIndex | None = None
        made_by = vectors.contract(connection, contract_id)
        if made_by is None or not self._faces:
            return
        keys, owners, rows = vectors.of_faces(
            connection, row["collection_id"], made_by, list(self._faces)
        )
        order = np.argsort(keys)
        self._keys, self._rows = keys[order], rows[order]
        self._index = ExactIndex(made_by["dim"], self._fetch, threads=1)
        self._index.add(self._keys, owners[order], self._rows)

    def __len__(self) -> int:
        return len(self._faces)

    def nearest(self, probe: Embeddings) -> list[Match]:
        """The people on the list nearest to one face, best first. Exact."""
        if self._index is None:
            return []
        (hits,) = self._index.search_people(probe.vectors, CANDIDATES)
        return [
            Match(
                *self._people[hit.person_key], float(np.clip(hit.cosine, -1, 1)),
                self._faces[hit.best_face_key], hit.faces,
            )
            for hit in hits
        ]  # fmt: skip

    def _fetch(self, keys: Keys) -> FloatArray:
        found: FloatArray = self._rows[np.searchsorted(self._keys, keys)]
        return found


def _of(row: Row, contract_id: str) -> sa.Select[tuple[int, str, int, str, str]]:
    return (
        sa.select(
            faces.c.id, faces.c.uid.label("face_uid"), faces.c.person_id,
            people.c.uid.label("person_uid"), people.c.name,
        )
        .join(people, people.c.id == faces.c.person_id)
        .join(members, members.c.person_id == faces.c.person_id)
        .join(embeddings, embeddings.c.face_id == faces.c.id)
        .join(contracts, contracts.c.id == embeddings.c.contract_id)
        .where(members.c.list_id == row["id"], contracts.c.uid == contract_id)
    )  # fmt: skip
