"""Whose a face is and what its vector is, read from the gallery for what an engine found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.index import Keys
from arcid.gallery.schema import embeddings, faces
from arcid.gallery.store import vectors
from arcid.gallery.store.keys import chunks
from arcid.types import FloatArray


class Reader:
    """``index.Truth`` of one collection and contract."""

    def __init__(
        self,
        connected: Callable[[], AbstractContextManager[Connection]],
        collection_key: int,
        made_by: Any,
    ) -> None:
        self._connected, self._collection_key, self._made_by = connected, collection_key, made_by

    def __call__(self, face_keys: Keys) -> FloatArray:
        with self._connected() as connection:
            return vectors.fetch(connection, self._made_by, face_keys)

    def owners(self, face_keys: Keys) -> tuple[Keys, Keys]:
        return self._rows(faces.c.id, face_keys)

    def faces_of(self, person_keys: Keys) -> tuple[Keys, Keys]:
        return self._rows(faces.c.person_id, person_keys)

    def everybody(self) -> Keys:
        with self._connected() as connection:
            return vectors.owners(connection, self._collection_key, self._made_by)[0]

    def _rows(self, column: sa.Column[Any], keys: Keys) -> tuple[Keys, Keys]:
        """Faces, with their people, whose column is among the keys."""
        own = (
            sa.select(faces.c.id, faces.c.person_id)
            .join(embeddings, embeddings.c.face_id == faces.c.id)
            .where(
                faces.c.collection_id == self._collection_key,
                embeddings.c.contract_id == self._made_by["id"],
            )
        )
        found: list[Sequence[int]] = []
        with self._connected() as connection:
            for part in chunks(keys.tolist()):
                found += map(tuple, connection.execute(own.where(column.in_(part))))
        rows = np.array(found, np.int64).reshape(-1, 2)
        return rows[:, 0], rows[:, 1]


__all__ = ["Reader"]
