"""How many people an approximate index missed when that was measured, and while it still counts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.records import IndexMisses
from arcid.gallery.schema import index_misses as table
from arcid.gallery.store import journal

FEWEST = 1000  # changes that never make a measurement stale


def keep(connection: Connection, collection_key: int, made_by: Any, found: IndexMisses) -> None:
    """In place of what was measured before."""
    connection.execute(table.delete().where(_of(collection_key, made_by)))
    values = {
        "collection_id": collection_key, "contract_id": made_by["id"], "kind": found.kind,
        "searches": found.searches, "missed": found.missed, "low": found.low, "high": found.high,
        "faces": found.faces, "change": journal.head(connection).last_change,
        "measured_at": journal.to_us(found.measured_at),
    }  # fmt: skip
    connection.execute(table.insert().values(values))


def find(
    connection: Connection, collection_key: int, made_by: Any, kind: str
) -> IndexMisses | None:
    """What was measured of an index of that kind."""
    where = sa.and_(_of(collection_key, made_by), table.c.kind == kind)
    row = connection.execute(sa.select(table).where(where)).mappings().first()
    if row is None:
        return None
    since = journal.head(connection).last_change - row["change"]
    return IndexMisses(
        kind, row["searches"], row["missed"], row["low"], row["high"], row["faces"],
        journal.from_us(row["measured_at"]), stale=since > max(row["faces"], FEWEST),
    )  # fmt: skip


def _of(collection_key: int, made_by: Any) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.collection_id == collection_key, table.c.contract_id == made_by["id"])


__all__ = ["find", "keep"]
