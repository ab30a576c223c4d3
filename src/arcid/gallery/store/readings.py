"""Rows read as events: as they were written, and as their corrections say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.event_records import Event
from arcid.gallery.schema import Row, people
from arcid.gallery.store import corrections
from arcid.gallery.store.journal import from_us
from arcid.gallery.store.keys import chunks


def written(connection: Connection, collection: Row, rows: Sequence[Row]) -> list[Event]:
    """Rows as events, without their corrections."""
    names = names_of(connection, collection, [row["person_uid"] for row in rows])
    return [_record(collection, row, names) for row in rows]


def corrected(connection: Connection, collection: Row, rows: Sequence[Row]) -> list[Event]:
    """Rows as events, each read as its corrections say."""
    if not rows:
        return []
    standing = corrections.standing(connection, [row["uid"] for row in rows])
    changed = {r["person_uid"] for given in standing.values() for r in given} - {None}
    names = names_of(connection, collection, [*(r["person_uid"] for r in rows), *changed])
    found = []
    for row in rows:
        event = _record(collection, row, names)
        for r in standing.get(row["uid"], ()):
            event = replace(event, corrections=(*event.corrections, r["uid"]))
            if r["action"] == "void":
                event = replace(event, voided=True)
            elif r["action"] == "retime":
                event = replace(event, at=from_us(r["at"]))
            elif r["action"] == "reassign":
                who = r["person_uid"]
                event = replace(event, person_id=who, name=names.get(who))
                if event.kind == "unknown":
                    event = replace(event, kind="arrival")
            elif r["action"] == "not_person":
                gone = event.voided or event.kind == "departure"
                event = replace(event, person_id=None, name=None, voided=gone)
                if event.kind == "arrival":
                    event = replace(event, kind="unknown")
        found.append(event)
    return found


def names_of(connection: Connection, collection: Row, uids: Sequence[str | None]) -> dict[str, str]:
    """Names by person uid, of those who still exist."""
    wanted = sorted({uid for uid in uids if uid is not None})
    found: dict[str, str] = {}
    for part in chunks(wanted):
        query = sa.select(people.c.uid, people.c.name).where(
            people.c.collection_id == collection["id"], people.c.uid.in_(part)
        )
        found |= {row.uid: row.name for row in connection.execute(query)}
    return found


def _record(collection: Row, row: Row, names: Mapping[str, str]) -> Event:
    return Event(
        row["uid"],
        row["kind"],
        from_us(row["at"]),
        from_us(row["recorded_at"]),
        collection["name"],
        row["camera"],
        row["place"],
        row["person_uid"],
        names.get(row["person_uid"] or ""),
        row["visitor_uid"],
        row["about_uid"],
        row["action"],
        row["actor"],
        row["note"] or None,
        json.loads(row["grounds"]),
    )
