"""Rows as they are told to whom they speak of: plain values, times in ISO 8601, no bytes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.store.journal import from_us
from arcid.types import instant

_KEYS = ("id", "seal", "token_hash")  # of the database itself


def plain(
    connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]
) -> list[dict[str, Any]]:
    """Rows of a table, without its keys and bytes."""
    rows = connection.execute(sa.select(table).where(condition)).mappings()
    return [
        {name: _told(name, value) for name, value in row.items() if _shown(name, value)}
        for row in rows
    ]


def _shown(name: str, value: Any) -> bool:
    internal = name in _KEYS or name.endswith("_id")
    return not internal and not isinstance(value, (bytes, memoryview))


def _told(name: str, value: Any) -> Any:
    moment = name.endswith(("_at", "_until", "_from")) or name == "at"
    return instant(from_us(value)) if moment and isinstance(value, int) else value
