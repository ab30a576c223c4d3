"""Rows read as events: as they were written, and as their corrections say."""

from __future__ import annotations

import heapq
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from arcid.events.records import APPS, ATTENDANCE, Event, EventKind
from arcid.events.review_records import ReviewState
from arcid.events.store import corrections
from arcid.events.store import events as _events
from arcid.events.store import reviews as _reviews
from arcid.events.store.log import Log
from arcid.gallery.paging import Order, Place
from arcid.gallery.schema import Row, people
from arcid.gallery.store.journal import from_us, to_us
from arcid.gallery.store.keys import chunks

READS: dict[ReviewState, EventKind] = {
    "open": "review", "yes": "arrival", "no": "unknown", "withdrawn": "review",
}  # fmt: skip
EVENTS = Order("events", (int, int))  # time as corrected, key
Placed = tuple[Place, Event]  # ((time, row key), event)


def written(log: Log, rows: Sequence[Row]) -> list[Event]:
    """Rows as events, without their corrections."""
    names = names_of(log, [row["person_uid"] for row in rows])
    return [_record(log, row, names) for row in rows]


def corrected(log: Log, rows: Sequence[Row]) -> list[Event]:
    """Rows as events, each read as its corrections say."""
    if not rows:
        return []
    standing = corrections.standing(log, [row["uid"] for row in rows])
    changed = {r["person_uid"] for given in standing.values() for r in given} - {None}
    names = names_of(log, [*(r["person_uid"] for r in rows), *changed])
    found = []
    for row in rows:
        event = _record(log, row, names)
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
            elif r["action"] == "not_person" and row["kind"] != "review":
                gone = event.voided or event.kind == "departure"
                event = replace(event, person_id=None, name=None, voided=gone)
                if event.kind == "arrival":
                    event = replace(event, kind="unknown")
        found.append(event)
    return _reviewed(log, rows, found, standing, names)


def _reviewed(
    log: Log,
    rows: Sequence[Row],
    found: list[Event],
    standing: Mapping[str, Sequence[Row]],
    names: Mapping[str, str],
) -> list[Event]:
    """Events that wait, or waited, for a human, as their review was answered."""
    keys = [row["id"] for row in rows if row["kind"] == "review"]
    asked = _reviews.asked(log, keys) if keys else {}
    for place, row in enumerate(rows):
        if row["kind"] == "review":
            given = standing.get(row["uid"], ())
            answer = _reviews.read(given, asked.get(row["id"], ()))
            who = answer.person_uid
            found[place] = replace(
                found[place], kind=READS[answer.state], person_id=who, name=names.get(who or "")
            )
    return found


def newest_first(
    log: Log,
    since: int | None,
    until: int | None,
    mark: Place | None,
    kinds: Collection[str] | None = None,
) -> Iterator[Placed]:
    """Events of a span of time with their place, (time as corrected, row key), newest first.

    ``mark`` is the place to go on after; ``kinds`` leaves out what cannot read as one of these.
    """
    moved = _placed(log, _events.moved(log, since, until))
    placed = [
        (key, event)
        for key, event in moved
        if (since is None or key[0] >= since)
        and (until is None or key[0] < until)
        and (mark is None or key < mark)
    ]
    placed.sort(key=_key, reverse=True)
    rest = _unmoved(log, since, until, mark, _as_written(kinds))
    yield from heapq.merge(placed, rest, key=_key, reverse=True)


def names_of(log: Log, uids: Sequence[str | None]) -> dict[str, str]:
    """Names by person uid, of those who still exist."""
    wanted = sorted({uid for uid in uids if uid is not None})
    found: dict[str, str] = {}
    for part in chunks(wanted):
        query = sa.select(people.c.uid, people.c.name).where(
            people.c.collection_id == log.collection["id"], people.c.uid.in_(part)
        )
        found |= {row.uid: row.name for row in log.execute(query)}
    return found


def _as_written(kinds: Collection[str] | None) -> list[str] | None:
    """Kinds of rows that may read as one of these: corrections change those of attendance only."""
    if kinds is None:
        return None
    own: list[str] = [kind for kind in APPS if kind in kinds]
    return own if len(own) == len(set(kinds)) else [*own, *ATTENDANCE]


def _unmoved(
    log: Log,
    since: int | None,
    until: int | None,
    mark: Place | None,
    kinds: Collection[str] | None,
) -> Iterator[Placed]:
    while rows := _events.page(log, since, until, mark, kinds):
        mark = (rows[-1]["at"], rows[-1]["id"])
        yield from _placed(log, rows)


def _placed(log: Log, rows: Sequence[Row]) -> list[Placed]:
    read = corrected(log, rows)
    return [((to_us(event.at), row["id"]), event) for event, row in zip(read, rows, strict=True)]


def _key(placed: Placed) -> tuple[int, int]:
    return placed[0]


def _record(log: Log, row: Row, names: Mapping[str, str]) -> Event:
    return Event(
        row["uid"],
        row["kind"],
        from_us(row["at"]),
        from_us(row["recorded_at"]),
        log.collection["name"],
        row["camera"],
        row["place"],
        row["person_uid"],
        names.get(row["person_uid"] or ""),
        row["visitor_uid"],
        row["about_uid"],
        row["action"],
        row["actor"],
        _events.note_of(log, row),
        _grounds(row["grounds"]),
    )


def _grounds(text: str) -> dict[str, Any]:
    """With the names that decisions have now, whenever they were written."""
    found: dict[str, Any] = json.loads(text)
    if "threshold" in found:
        found["cosine_threshold"] = found.pop("threshold")
    if kind := found.pop("target_kind", None):
        found[f"target_{kind}"] = found.pop("target", None)
    return found
