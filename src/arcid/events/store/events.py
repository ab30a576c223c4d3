"""Rows of the event log, inside the caller's transaction: written once under a key, not edited."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import EventNotFound, InputError
from arcid.events.records import FIRST_YEAR, LAST_YEAR
from arcid.events.store import traces
from arcid.events.store.hooked import hooked
from arcid.events.store.log import Log
from arcid.events.tables import events, outbox
from arcid.gallery import rules
from arcid.gallery.imaging import encode_crop
from arcid.gallery.schema import Row
from arcid.gallery.seals import check_row, row_seal
from arcid.gallery.store import collections as collections_store
from arcid.gallery.store import sealed
from arcid.gallery.store.journal import from_us, now_us, to_us
from arcid.gallery.store.keys import Key, chunks
from arcid.types import Embeddings, Image
from arcid.vault import place

PAGE = 500


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is kept with an event: why it was written, and the face."""

    grounds: str  # JSON
    vector: Embeddings | None = None  # one row
    crop: bytes | None = field(default=None, repr=False)  # PNG


def evidence(grounds: Mapping[str, Any], vector: Embeddings | None, crop: Image | None) -> Evidence:
    """The face is kept where its vector is; ``crop`` with it. Raises ``InputError``."""
    picture = None if crop is None or vector is None else encode_crop(crop)
    return Evidence(rules.json_text(grounds, "grounds"), vector, picture)


def happened(at: datetime) -> int:
    """Microseconds since 1970 of something that is written down. Raises ``InputError``."""
    moment = to_us(at)
    year = from_us(moment).year
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InputError(
            f"events lie between the years {FIRST_YEAR} and {LAST_YEAR}, not in {year:04d}: look "
            "at the clock or the date that this time came from"
        )
    return moment


def key(*parts: object) -> str:
    """What makes two reports of one happening the same: a sha256 over the parts."""
    return hashlib.sha256(json.dumps([str(p) for p in parts]).encode()).hexdigest()


def find(log: Log, event_id: str) -> Row:
    """Raises ``EventNotFound``."""
    query = sa.select(events).where(
        events.c.collection_id == log.collection["id"], events.c.uid == str(event_id)
    )
    row = log.execute(query).mappings().first()
    if row is None:
        raise EventNotFound(f"collection {log.collection['name']!r} has no event with that id")
    check_row("events", row)
    return row


def every(log: Log, column: sa.Column[Any], values: Sequence[Key]) -> list[Row]:
    """Rows of those values of a column, in no order."""
    found: list[Row] = []
    for part in chunks(values):
        found += _checked(log, sa.select(events).where(column.in_(part)))
    return found


def add(log: Log, event_key: str, values: dict[str, Any], evidence: Evidence) -> Row | None:
    """The new row, or None where the key was written before."""
    known = sa.select(events.c.id).where(events.c.event_key == event_key)
    if log.execute(known).first() is not None:
        return None
    row = {
        "uid": uuid.uuid4().hex,
        "event_key": event_key,
        "collection_id": log.collection["id"],
        "recorded_at": now_us(),
        "person_uid": None,
        "visitor_uid": None,
        "about_uid": None,
        "action": None,
        "actor": None,
        "note": None,
        "grounds": evidence.grounds,
    } | values
    row |= _sealed_note(log, row["uid"], row["note"])
    if row["kind"] in ("unknown", "review") and row["visitor_uid"] is None:
        row["visitor_uid"] = row["uid"]
    row["seal"] = row_seal("events", row)
    made = log.execute(events.insert().values(row)).inserted_primary_key
    row["id"] = None if made is None else made[0]
    if evidence.vector is not None:
        traces.leave(log, row["id"], evidence.vector, evidence.crop)
    told = set(log.targets)
    if not log.silent:
        told |= {
            name for name, kinds in log.subscribed.items() if kinds is None or row["kind"] in kinds
        }
        told |= hooked(log.connection, row["kind"])
    if told:
        due = {"event_id": row["id"], "attempts": 0, "next_at": row["recorded_at"]}
        log.execute(outbox.insert(), [due | {"target": name} for name in sorted(told)])
    return row


def page(
    log: Log,
    since: int | None,
    until: int | None,
    after: tuple[int, int] | None,
    kinds: Collection[str] | None = None,
    limit: int = PAGE,
) -> list[Row]:
    """Base events (no corrections) that were never moved, in a span of time, newest first.

    ``after``: (time, row key) of the last one of the page before; ``kinds``: as written.
    """
    moves = events.alias()
    moved = sa.exists().where(moves.c.about_uid == events.c.uid, moves.c.action == "retime")
    query = sa.select(events).where(
        events.c.collection_id == log.collection["id"],
        events.c.kind != "correction",
        *_inside(events.c.at, since, until),
        ~moved,
    )
    if kinds is not None:
        query = query.where(events.c.kind.in_(kinds))
    if after is not None:
        query = query.where(sa.tuple_(events.c.at, events.c.id) < sa.tuple_(*after))
    query = query.order_by(events.c.at.desc(), events.c.id.desc()).limit(limit)
    return _checked(log, query)


def moved(log: Log, since: int | None, until: int | None) -> list[Row]:
    """Base events ever moved by a correction that may lie in a span of time."""
    moves = sa.select(events.c.about_uid).where(
        events.c.collection_id == log.collection["id"], events.c.action == "retime"
    )
    there = moves.where(*_inside(events.c.at, since, until))
    # where the moves were undone, the event lies where it was
    back = sa.and_(events.c.uid.in_(moves), *_inside(events.c.at, since, until))
    return _checked(log, sa.select(events).where(sa.or_(events.c.uid.in_(there), back)))


def corrections(log: Log, uids: Sequence[str]) -> dict[str, list[Row]]:
    """Corrections by the event they speak of, oldest first."""
    found: dict[str, list[Row]] = {}
    for part in chunks(uids):
        query = sa.select(events).where(events.c.about_uid.in_(part)).order_by(events.c.id)
        for row in _checked(log, query):
            found.setdefault(row["about_uid"], []).append(row)
    return found


def forget_notes(log: Log, about: Sequence[Row], person_uid: str) -> int:
    """Erase what people wrote beside events, beside rows that name a person, and what was said
    about either; how many notes that were."""
    named = sa.select(events).where(events.c.person_uid == person_uid)
    rows, gone = [*about, *_checked(log, named)], set()
    while rows:
        for row in rows:
            if row["note"]:
                sealed.doom(log.connection, [row["note_key"]])
                _set_note(log.connection, row, {"note": None, "note_key": None})
                gone.add(row["id"])
        said = corrections(log, [row["uid"] for row in rows])
        rows = [row for found in said.values() for row in found]
    return len(gone)


def note_of(log: Log, row: Row) -> str | None:
    """What was written beside an event."""
    if not row["note"]:
        return None
    key_id, note = row["note_key"], row["note"]
    data = note.encode() if key_id is None else base64.b64decode(note)
    where = _note_place(log.collection, row["uid"])
    return sealed.unseal(log.connection, key_id, data, where).decode()


def delete(connection: Connection, condition: sa.ColumnElement[bool]) -> None:
    """Events that meet a condition, with the faces behind them and what was noted."""
    traces.doom(connection, sa.select(events.c.id).where(condition))
    keys = connection.execute(sa.select(events.c.note_key).where(condition)).scalars().all()
    sealed.doom(connection, keys)
    connection.execute(events.delete().where(condition))


def forget(connection: Connection, keys: Sequence[int]) -> None:
    """Erase the notes that these data keys sealed."""
    query = sa.select(events).where(events.c.note_key.in_(keys))
    for row in connection.execute(query).mappings().all():
        _set_note(connection, row, {"note": None, "note_key": None})


def seal_notes(connection: Connection) -> int:
    """Seal the notes written before the gallery was protected; how many."""
    query = sa.select(events).where(events.c.note != "", events.c.note_key.is_(None))
    rows = connection.execute(query).mappings().all()
    for row in rows:
        log = Log(connection, collections_store.by_id(connection, row["collection_id"]))
        _set_note(connection, row, _sealed_note(log, row["uid"], row["note"]))
    return len(rows)


def _sealed_note(log: Log, uid: str, note: str | None) -> dict[str, Any]:
    key_id = sealed.new_key(log.connection, log.collection) if note else None
    if note and key_id is not None:
        where = _note_place(log.collection, uid)
        data = sealed.seal(log.connection, key_id, note.encode(), where)
        note = base64.b64encode(data).decode()
    return {"note": note, "note_key": key_id}


def _set_note(connection: Connection, row: Row, values: dict[str, Any]) -> None:
    seal = row_seal("events", dict(row) | values)
    own = events.update().where(events.c.id == row["id"])
    connection.execute(own.values(seal=seal, **values))


def _note_place(collection: Row, uid: str) -> bytes:
    return place("note", collection["id"], uid)


def _inside(
    column: sa.Column[int], since: int | None, until: int | None
) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if since is not None:
        found.append(column >= since)
    if until is not None:
        found.append(column < until)
    return found


def _checked(log: Log, query: sa.Select[Any]) -> list[Row]:
    rows: list[Row] = list(log.execute(query).mappings())
    for row in rows:
        check_row("events", row)
    return rows
