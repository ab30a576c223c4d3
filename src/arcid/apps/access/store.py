"""Rows of doors and of those who may pass them, inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import fields
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.access.machine import DoorState, Position
from arcid.apps.access.rules import Door, Pass, Schedule, Site
from arcid.apps.access.tables import (
    doors,
    groups,
    holidays,
    members,
    openings,
    positions,
    rules,
    schedules,
)
from arcid.errors import AlreadyExists, DoorNotFound, NotFound
from arcid.events.store import events as _events
from arcid.gallery import rules as _rules
from arcid.gallery.schema import Row, collections, people
from arcid.gallery.store.collections import find as find_collection
from arcid.gallery.store.journal import from_us

SETTINGS = tuple(f.name for f in fields(Door) if f.name not in ("id", "name", "collection"))
KNOWN = sa.select(
    doors, collections.c.name.label("collection"), collections.c.uid.label("collection_uid")
).join(collections, collections.c.id == doors.c.collection_id)


def find(connection: Connection, reference: str) -> Row:
    """By id, else by name, whatever its case. Raises ``DoorNotFound``."""
    key = _rules.name_key(reference.strip())
    query = KNOWN.where(sa.or_(doors.c.uid == reference, doors.c.name_key == key))
    row = connection.execute(query.order_by(doors.c.uid != reference)).mappings().first()
    if row is None:
        raise DoorNotFound(f"no door has the id or name {reference!r}; see: arcid access door list")
    return row


def record(row: Row) -> Door:
    settings = json.loads(row["settings"])
    # a null could be stored once; it is as if nothing had been set
    known = {key: value for key, value in settings.items() if key in SETTINGS and value is not None}
    known["interlock"] = tuple(known.get("interlock", ()))
    return Door(id=row["uid"], name=row["name"], collection=row["collection"], **known)


def packed(door: Door) -> str:
    return json.dumps({name: getattr(door, name) for name in SETTINGS})


def every(connection: Connection) -> list[Door]:
    """By name."""
    return [record(row) for row in connection.execute(KNOWN.order_by(doors.c.name_key)).mappings()]


def site(
    connection: Connection, *, door: str | None = None, persons: Collection[str] | None = None
) -> Site:
    """What is set up; with ``door`` or ``persons`` only passes of those."""
    query = (
        sa.select(
            doors.c.uid.label("door"),
            people.c.uid.label("person"),
            groups.c.name.label("group"),
            members.c.valid_from,
            members.c.valid_until,
            schedules.c.name.label("schedule"),
            schedules.c.hours,
            schedules.c.zone,
        )
        .select_from(rules)
        .join(doors, doors.c.id == rules.c.door_id)
        .join(groups, groups.c.id == rules.c.group_id)
        .join(members, members.c.group_id == groups.c.id)
        .join(people, people.c.id == members.c.person_id)
        .outerjoin(schedules, schedules.c.id == rules.c.schedule_id)
        .order_by(rules.c.id)
    )
    if door is not None:
        query = query.where(doors.c.uid == door)
    if persons is not None:
        query = query.where(people.c.uid.in_(list(persons)))
    parsed: dict[tuple[str, str, str], Schedule] = {}
    passes: dict[tuple[str, str], tuple[Pass, ...]] = {}
    for row in connection.execute(query).mappings():
        schedule = None
        if row["hours"] is not None:
            words = (row["schedule"], row["hours"], row["zone"])
            schedule = parsed.setdefault(words, Schedule.parse(*words))
        begins, ends = (None if row[c] is None else from_us(row[c])
                        for c in ("valid_from", "valid_until"))  # fmt: skip
        key = (row["door"], row["person"])
        passes[key] = (*passes.get(key, ()), Pass(row["group"], schedule, begins, ends))
    days = connection.execute(sa.select(holidays.c.day)).scalars()
    return Site(
        {one.id: one for one in every(connection)}, passes, frozenset(map(date.fromisoformat, days))
    )


def standing(connection: Connection) -> dict[str, DoorState]:
    """What other processes did to doors: lock-downs, last openings."""
    rows = connection.execute(sa.select(doors.c.uid, doors.c.lockdown, doors.c.opened_at))
    return {
        uid: DoorState(lockdown=why, opened_at=None if at is None else from_us(at))
        for uid, why, at in rows
    }


def where(connection: Connection, persons: Collection[str] | None = None) -> dict[str, Position]:
    """Through which area's door people went last."""
    query = sa.select(people.c.uid, positions.c.area, positions.c.at).join(
        people, people.c.id == positions.c.person_id
    )
    if persons is not None:
        query = query.where(people.c.uid.in_(list(persons)))
    return {uid: Position(area, from_us(at)) for uid, area, at in connection.execute(query)}


def place(
    connection: Connection, person_uid: str, area: str, at_us: int, *, late: bool = False
) -> None:
    """A person went there. ``late``: told afterwards, so that where they went since then stays."""
    key = sa.select(people.c.id).where(people.c.uid == person_uid)
    person = connection.execute(key).scalar()
    newer = positions.c.person_id == person, positions.c.at > at_us
    if person is None or (late and connection.execute(sa.select(positions).where(*newer)).first()):
        return
    connection.execute(positions.delete().where(positions.c.person_id == person))
    values: dict[str, Any] = {"person_id": person, "area": area, "at": at_us}
    connection.execute(positions.insert().values(values))


def leave(connection: Connection, person_uid: str) -> None:
    """Where a person is, is not known."""
    person = sa.select(people.c.id).where(people.c.uid == person_uid).scalar_subquery()
    connection.execute(positions.delete().where(positions.c.person_id == person))


def opening_key(decision: str) -> str:
    """What makes one decision or order one opening."""
    return _events.key("opening", decision)


def opening(connection: Connection, decision: str) -> Row | None:
    """What was made of it."""
    query = sa.select(openings).where(openings.c.opening_key == opening_key(decision))
    return connection.execute(query).mappings().first()


def insert(
    connection: Connection, table: sa.Table, own: Row, name: str, values: dict[str, Any]
) -> None:
    """A named row of a collection. Raises ``AlreadyExists``."""
    key = _rules.name_key(name)
    here = sa.and_(table.c.collection_id == own["id"], table.c.name_key == key)
    if connection.execute(sa.select(table.c.id).where(here)).first() is not None:
        raise AlreadyExists(f"there is a {name!r} in collection {own['name']!r} already")
    row = {"collection_id": own["id"], "name": name, "name_key": key} | values
    connection.execute(table.insert().values(row))


def named(connection: Connection, table: sa.Table, collection: str, name: str, what: str) -> Row:
    """By name, whatever its case. Raises ``NotFound``."""
    own = find_collection(connection, collection)
    here = sa.and_(
        table.c.collection_id == own["id"], table.c.name_key == _rules.name_key(name.strip())
    )
    row = connection.execute(sa.select(table).where(here)).mappings().first()
    if row is None:
        raise NotFound(f"collection {own['name']!r} has no {what} {name!r}")
    return row
