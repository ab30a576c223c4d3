"""How long passages and openings are kept: as long as their doors say, or said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.access import store
from arcid.apps.access.rules import KEEP_DAYS, Door
from arcid.apps.access.tables import doors, openings
from arcid.events.store import events as _events
from arcid.events.tables import events
from arcid.gallery.database import Database
from arcid.gallery.store import collections
from arcid.gallery.store.journal import to_us
from arcid.gallery.store.keys import chunks

MOST = 10_000  # passages of one door that are erased at a turn


def erase_old(database: Database, now: datetime) -> int:
    """See ``Passages.forget``."""
    with database.read() as connection:
        known = store.every(connection)
    erased = sum(_erase_of(database, door, now) for door in known)
    with database.read() as connection:
        keys = list(islice(_of_gone(connection, now), MOST))
    if keys:
        _erase(database, keys)
    return erased + len(keys)


def _erase_of(database: Database, door: Door, now: datetime) -> int:
    before = to_us(now - timedelta(days=door.keep_days))
    own = sa.select(doors.c.id).where(doors.c.uid == door.id).scalar_subquery()
    opened = sa.and_(openings.c.door_id == own, openings.c.asked_at < before)
    with database.read() as connection:
        keys = _of_door(connection, door, before)
        more = connection.execute(sa.select(openings.c.id).where(opened).limit(1)).first()
    if keys or more is not None:
        _erase(database, keys, opened)
    return len(keys)


def _erase(
    database: Database, keys: Sequence[int], opened: sa.ColumnElement[bool] | None = None
) -> None:
    with database.write(erases=True) as connection:
        for part in chunks(keys):
            _events.delete(connection, events.c.id.in_(part))
        if opened is not None:
            connection.execute(openings.delete().where(opened))


def _of_door(connection: Connection, door: Door, before: int) -> list[int]:
    query = sa.select(events.c.id).where(
        events.c.kind == "access", events.c.at < before,
        events.c.collection_id == collections.find(connection, door.collection)["id"],
        events.c.grounds.contains(f'"{door.id}"'),
    )  # fmt: skip
    return list(connection.execute(query.limit(MOST)).scalars())


def _of_gone(connection: Connection, now: datetime) -> Iterator[int]:
    """Passages of doors that were deleted, older than these kept them."""
    of_a_door = sa.exists().where(events.c.grounds.contains('"' + doors.c.uid + '"'))
    query = sa.select(events.c.id, events.c.at, events.c.grounds).where(
        events.c.kind == "access", events.c.at < to_us(now), ~of_a_door
    )
    for key, at, grounds in connection.execute(query.execution_options(yield_per=1000)):
        details = json.loads(grounds).get("details", {})
        days = details.get("keep_days", KEEP_DAYS)  # versions before did not write it
        if "door_id" in details and at < to_us(now - timedelta(days=days)):
            yield key


__all__ = ["erase_old"]
