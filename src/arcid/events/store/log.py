"""The event log of one collection, inside an open transaction: what everything here is handed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.database import Database
from arcid.gallery.schema import Row
from arcid.gallery.store import collections


@dataclass(frozen=True, slots=True)
class Log:
    """An open transaction, the collection it is about, and who is told of what it writes."""

    connection: Connection
    collection: Row
    targets: Sequence[str] = ()  # outboxes

    def execute(self, statement: sa.Executable, rows: Any = None) -> sa.CursorResult[Any]:
        return self.connection.execute(statement, rows)


@contextmanager
def reading(database: Database, collection: str) -> Iterator[Log]:
    """Raises ``CollectionNotFound``."""
    with collections.reading(database, collection) as (connection, own):
        yield Log(connection, own)


@contextmanager
def writing(
    database: Database, collection: str, targets: Sequence[str] = (), *, erases: bool = False
) -> Iterator[Log]:
    """``erases``: as ``Database.write``. Raises ``CollectionNotFound``."""
    with database.write(erases=erases) as connection:
        yield Log(connection, collections.find(connection, collection), targets)
