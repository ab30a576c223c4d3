"""The event log of one collection, inside an open transaction: what everything here is handed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.database import Database
from arcid.gallery.schema import Row
from arcid.gallery.store import audit, collections
from arcid.gallery.store.journal import now_us


@dataclass(frozen=True, slots=True)
class Log:
    """An open transaction, the collection it is about, and who is told of what it writes."""

    connection: Connection
    collection: Row
    targets: Sequence[str] = ()  # outboxes
    #: Outboxes of all that this process writes, with the kinds they take (None: every kind).
    subscribed: Mapping[str, Collection[str] | None] = field(default_factory=dict)
    silent: bool = False  # only ``targets`` are told, stored webhooks neither

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
        own = collections.find(connection, collection)
        yield Log(connection, own, targets, database.outboxes)


def noted(log: Log, verb: str, event_id: str, **details: Any) -> None:
    """Write to the audit what was decided about an event."""
    audit.append(
        log.connection, verb=verb, subject=f"event:{event_id}", collection=log.collection["uid"],
        details=details,
    )  # fmt: skip


def clock_us(connection: Connection) -> int:
    """Now, in microseconds since 1970: the server's on PostgreSQL, this machine's on SQLite."""
    if connection.dialect.name != "postgresql":
        return now_us()
    clock = sa.text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
    return int(connection.execute(clock).scalar_one())
