"""People by what their metadata says: exactly, in any database.

Metadata is stored as compact JSON, so that a text that lacks ``"name":value`` cannot hold that
pair. The database leaves those out; what is left is read and compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.index import Keys
from arcid.gallery.schema import Row, people
from arcid.gallery.seals import check_row


def likely(where: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    """Who cannot be left out by the text alone; numbers have several spellings."""
    parts = []
    for key, value in where.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        text = json.dumps(key) + ":" + ("" if number else json.dumps(value))
        parts.append(people.c.metadata.contains(text, autoescape=True))
    return sa.and_(sa.true(), *parts)


def has(row: Row, where: Mapping[str, Any]) -> bool:
    """Whether somebody's metadata has these values at its top level; 1 is 1.0 and not true."""
    held = json.loads(row["metadata"])
    return all(key in held and _same(held[key], value) for key, value in where.items())


def keys(connection: Connection, collection: Row, where: Mapping[str, Any]) -> Keys:
    """(N,) of everybody who has these values, in order."""
    query = (
        sa.select(people)
        .where(people.c.collection_id == collection["id"], likely(where))
        .order_by(people.c.id)
    )
    found = []
    for row in connection.execute(query).mappings():
        check_row("people", row)
        if has(row, where):
            found.append(row["id"])
    return np.array(found, np.int64)


def _same(held: Any, value: Any) -> bool:
    return bool(held == value) and isinstance(held, bool) == isinstance(value, bool)
