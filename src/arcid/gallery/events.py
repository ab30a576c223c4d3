"""Attendance events beside the gallery: ``Gallery.events``.

Rows are only ever added. A correction is a row about another row; ``find`` and ``get`` answer with
corrections applied, ``history`` with every row as it was written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import InputError
from arcid.gallery import rules, schema
from arcid.gallery.database import Database
from arcid.gallery.imaging import decode_crop, encode_crop
from arcid.gallery.schema import Row
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import events as _store
from arcid.gallery.store import people as _people
from arcid.gallery.store.events import Place
from arcid.gallery.store.journal import from_us, now_us
from arcid.types import Embeddings, FloatArray, Image

EventKind = Literal["arrival", "departure", "unknown", "spoof", "correction"]
Action = Literal["void", "reassign", "retime", "not_person"]
ACTIONS: tuple[Action, ...] = ("void", "reassign", "retime", "not_person")
MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One event; as read by ``find`` and ``get``, with its corrections applied."""

    id: str
    kind: EventKind
    at: datetime  # UTC, by the source's clock
    recorded_at: datetime  # UTC
    collection: str
    camera: str
    place: str
    person_id: str | None
    name: str | None  # as it is now; None once the person is deleted
    visitor_id: str | None  # unknown visitors: the event they were first seen in
    about_id: str | None  # corrections: the event they speak of
    action: Action | None
    actor: str | None
    note: str | None
    grounds: Mapping[str, Any]  # on what it was decided
    corrections: tuple[str, ...] = ()  # ids of the rows that changed how this one reads
    voided: bool = False

    @property
    def flagged(self) -> bool:
        """Whether the face may have been a picture, and the camera's policy let it pass."""
        live = self.grounds.get("liveness") or {}
        return self.kind != "spoof" and live.get("outcome") == "flagged"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the grounds; times in ISO 8601, UTC."""
        values: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "at": self.at.isoformat(),
            "recorded_at": self.recorded_at.isoformat(),
            "collection": self.collection,
            "camera": self.camera,
            "place": self.place,
            "person_id": self.person_id,
            "name": self.name,
            "visitor_id": self.visitor_id,
        }
        if self.kind == "correction":
            values |= {"about_id": self.about_id, "action": self.action}
        for key in ("actor", "note"):
            if (value := getattr(self, key)) is not None:
                values[key] = value
        if self.corrections:
            values["corrections"] = list(self.corrections)
        if self.flagged:
            values["flagged"] = True
        if self.voided:
            values["voided"] = True
        return values


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who is there now."""

    person_id: str
    name: str | None
    place: str
    camera: str
    arrived_at: datetime  # UTC
    last_seen_at: datetime  # UTC


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The face behind an event."""

    vector: Embeddings  # one row
    crop: Image | None  # (S,S,3) uint8 RGB aligned, where the policy kept it


class Events:
    """Reads and writes events. Thread-safe; every method that writes is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # what cameras report

    def sighting(
        self,
        collection: str,
        place: Place,
        person_id: str,
        at: datetime,
        *,
        cooldown_s: float,
        grounds: Mapping[str, Any],
        vector: Embeddings | None = None,
        crop: Image | None = None,
        targets: Sequence[str] = (),
    ) -> list[Event]:
        """A person was seen; the arrival event where that begins a visit.

        A sighting of somebody deleted meanwhile is dropped. ``targets``: outboxes to tell.
        """
        with self._write(collection) as (connection, own):
            if _person(connection, own, person_id) is None:
                return []
            rows = _store.sighting(
                connection, own, place, person_id, _us(at), _seconds(cooldown_s),
                _evidence(grounds, vector, crop), targets,
            )  # fmt: skip
            return _records(connection, own, rows)

    def visitor(
        self,
        collection: str,
        place: Place,
        at: datetime,
        until: datetime,
        mark: str,
        *,
        cooldown_s: float,
        alike: float,
        grounds: Mapping[str, Any],
        vector: Embeddings | None = None,
        crop: Image | None = None,
        targets: Sequence[str] = (),
    ) -> list[Event]:
        """Somebody unknown was seen; the event unless a face of cosine ``alike`` was just there."""
        with self._write(collection) as (connection, own):
            rows = _store.visitor(
                connection, own, place, _us(at), _us(until), mark, _seconds(cooldown_s), alike,
                _evidence(grounds, vector, crop), targets,
            )  # fmt: skip
            return _records(connection, own, rows)

    def spoof(
        self,
        collection: str,
        place: Place,
        at: datetime,
        mark: str,
        *,
        person_id: str | None,
        cooldown_s: float,
        grounds: Mapping[str, Any],
        vector: Embeddings | None = None,
        crop: Image | None = None,
        targets: Sequence[str] = (),
    ) -> list[Event]:
        """A presentation attack is suspected."""
        with self._write(collection) as (connection, own):
            rows = _store.spoof(
                connection, own, place, _us(at), mark, person_id, _seconds(cooldown_s),
                _evidence(grounds, vector, crop), targets,
            )  # fmt: skip
            return _records(connection, own, rows)

    def depart(
        self,
        collection: str,
        place: str,
        seen_before: datetime,
        why: str,
        *,
        since: datetime | None = None,
        targets: Sequence[str] = (),
    ) -> list[Event]:
        """End the visits last seen before then: one departure each."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            open_visits = sa.select(schema.visits.c.id).where(
                schema.visits.c.collection_id == own["id"],
                schema.visits.c.place == place,
                schema.visits.c.closed == 0,
                schema.visits.c.last_seen_at <= _us(seen_before),
            )
            if connection.execute(open_visits).first() is None:
                return []
        with self._write(collection) as (connection, own):
            begun = None if since is None else _us(since)
            rows = _store.depart(connection, own, place, _us(seen_before), why, targets, begun)
            return _records(connection, own, rows)

    def shift(self, collection: str, camera: str, by_s: float) -> None:
        """A camera's clock moved back: move the visits it has open along."""
        with self._write(collection) as (connection, own):
            _store.shift(connection, own, camera, _seconds(by_s))

    def supersede(
        self, collection: str, event_id: str, note: str, *, targets: Sequence[str] = ()
    ) -> list[Event]:
        """The system itself takes an event back, once."""
        with self._write(collection) as (connection, own):
            about = _store.find(connection, own, event_id)
            row = _store.correct(
                connection, own, about, "void", "system", note, targets,
                event_key=_store.key("supersede", event_id),
            )  # fmt: skip
            return _records(connection, own, [] if row is None else [row])

    # what people do

    def add(
        self,
        collection: str,
        kind: Literal["arrival", "departure"],
        person_id: str,
        at: datetime,
        *,
        actor: str,
        note: str = "",
        place: str = "",
        targets: Sequence[str] = (),
    ) -> Event:
        """An arrival or departure entered by hand. Raises ``PersonNotFound``."""
        if kind not in ("arrival", "departure"):
            raise InputError(f"arrivals and departures can be entered by hand, not {kind!r}")
        with self._write(collection) as (connection, own):
            _people.find(connection, own, person_id)
            row = _store.add(
                connection,
                own,
                _store.key("manual", kind, person_id, _us(at), _text("actor", actor)),
                {"kind": kind, "at": _us(at), "camera": "", "place": place,
                 "person_uid": person_id, "actor": actor, "note": _text("note", note)},
                _store.Evidence(json.dumps({"reason": "entered by hand"})),
                targets,
            )  # fmt: skip
            if row is None:
                raise InputError("this was entered before: same person, time and actor")
            return _records(connection, own, [row])[0]

    def correct(
        self,
        collection: str,
        event_id: str,
        action: Action,
        *,
        actor: str,
        note: str = "",
        person_id: str | None = None,
        at: datetime | None = None,
        block: bool = False,
        targets: Sequence[str] = (),
    ) -> tuple[Event, bool]:
        """A correction row about an event, and whether the face is now kept from the person.

        ``void``: it did not happen (about a correction: that is undone, and with it what followed:
        the visit goes on, departure and blocked face are as before). ``reassign``: it was
        ``person_id``. ``retime``: it was at ``at``. ``not_person``: it was not that person; with
        ``block`` this face is not taken for them again, while the face behind the event is kept.
        Raises ``EventNotFound``, ``PersonNotFound``, ``InputError``.
        """
        if action not in ACTIONS:
            raise InputError(f"action {action!r} is unknown; known: {', '.join(ACTIONS)}")
        if (action == "reassign") != (person_id is not None):
            raise InputError("reassign, and nothing else, names the person it was: person_id")
        if (action == "retime") != (at is not None):
            raise InputError("retime, and nothing else, says when it was: at")
        with self._write(collection) as (connection, own):
            about = _store.find(connection, own, event_id)
            if about["kind"] == "correction" and action != "void":
                raise InputError("a correction can only be undone: action void")
            if person_id is not None:
                _people.find(connection, own, person_id)
            blocked = False
            if action == "not_person":
                now = _applied(connection, own, [about])[0]
                if now.person_id is None:
                    raise InputError("this event names nobody, so there is no match to remove")
                person = _person(connection, own, now.person_id)
                if block and person is not None:
                    blocked = _store.block(connection, person, about, _text("actor", actor))
            row = _store.correct(
                connection, own, about, action, _text("actor", actor), _text("note", note),
                targets, person_uid=person_id, at=None if at is None else _us(at),
            )  # fmt: skip
            self._follow(connection, own, about, actor, targets)
            return _records(connection, own, [row] if row else [])[0], blocked

    def _follow(
        self, connection: Connection, own: Row, about: Row, actor: str, targets: Sequence[str]
    ) -> None:
        """What hangs on an event is made to agree with how it reads after a correction."""
        while about["kind"] == "correction":
            about = _store.find(connection, own, about["about_uid"])
        uid = about["uid"]
        left = _store.standing(connection, [uid]).get(uid, [])
        if not any(row["action"] == "not_person" for row in left):
            _store.unblock(connection, about)
        if about["kind"] != "arrival" or about["person_uid"] is None:
            return
        now = _applied(connection, own, [about])[0]
        whose = None if now.voided or now.kind != "arrival" else now.person_id
        if whose is not None and _person(connection, own, whose) is None:
            whose = None
        given = _store.corrections(connection, [uid]).get(uid, [])
        named = [row["person_uid"] for row in given if row["person_uid"] is not None]
        _store.follow(connection, own, about, whose, named, actor, targets)

    # reading

    def find(
        self,
        collection: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        kinds: Collection[str] | None = None,
        person_id: str | None = None,
        camera: str | None = None,
        voided: bool = False,
        limit: int | None = 100,
        after: str | None = None,
    ) -> list[Event]:
        """Newest first, corrections applied; voided ones are left out unless asked for.

        ``until`` is exclusive; ``after`` is the id of the last event of the page before.
        """
        if limit is not None and limit < 1:
            raise InputError(f"limit must be at least 1, got {limit}")
        low, high = (None if t is None else _us(t) for t in (since, until))
        found: list[Event] = []
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            mark = None if after is None else _store.find(connection, own, after)
            rows = _store.retimed(connection, own, low, high) if mark is None else []
            while True:
                for event in _applied(connection, own, rows):
                    inside = (since is None or event.at >= since) and (
                        until is None or event.at < until
                    )
                    if (
                        inside
                        and (kinds is None or event.kind in kinds)
                        and (person_id is None or event.person_id == person_id)
                        and (camera is None or event.camera == camera)
                        and (voided or not event.voided)
                    ):
                        found.append(event)
                if limit is not None and len(found) >= limit:
                    break
                rows = _store.page(connection, own, low, high, mark)
                if not rows:
                    break
                mark = rows[-1]
        found = found[:limit]
        return sorted(found, key=lambda event: event.at, reverse=True)

    def get(self, collection: str, event_id: str) -> Event:
        """One event with corrections applied. Raises ``EventNotFound``."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            return _applied(connection, own, [_store.find(connection, own, event_id)])[0]

    def history(self, collection: str, event_id: str) -> list[Event]:
        """The event as written, and the corrections about it, oldest first."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            row = _store.find(connection, own, event_id)
            about = _store.corrections(connection, [event_id]).get(event_id, [])
            level = about
            while level:
                found = _store.corrections(connection, [r["uid"] for r in level])
                level = [r for rows in found.values() for r in rows]
                about = [*about, *level]
            return _records(connection, own, [row, *sorted(about, key=_id)])

    def present(self, collection: str) -> list[Visit]:
        """Who is there: people whose visit has not ended."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            rows = _store.present(connection, own)
            names = _names(connection, own, [r["person_uid"] for r in rows])
            return [
                Visit(
                    r["person_uid"], names.get(r["person_uid"]), r["place"], r["camera"],
                    from_us(r["arrived_at"]), from_us(r["last_seen_at"]),
                )
                for r in rows
            ]  # fmt: skip

    def trace(self, collection: str, event_id: str) -> Trace | None:
        """The face behind an event; None once it is erased."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            row = _store.find(connection, own, event_id)
            found = _store.trace(connection, [row]).get(row["id"])
        if found is None:
            return None
        contract, vector, crop = found
        return Trace(
            Embeddings(vector[None], contract), None if crop is None else decode_crop(crop)
        )

    def unknown(
        self, collection: str, contract_id: str, *, limit: int = 1000
    ) -> list[tuple[Event, FloatArray]]:
        """Unknown visitors of whom a face is kept, newest first, with its (D,) vector."""
        events = self.find(collection, kinds=["unknown"], limit=limit)
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            rows = [_store.find(connection, own, event.id) for event in events]
            traced = _store.trace(connection, rows)
        pairs = zip(events, rows, strict=True)
        return [
            (event, traced[row["id"]][1])
            for event, row in pairs
            if row["id"] in traced and traced[row["id"]][0] == contract_id
        ]

    def blocked(self, collection: str, contract_id: str) -> list[tuple[str, FloatArray]]:
        """(person id, (D,) vector of a face that is not theirs)."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            return _store.blocked(connection, own, contract_id)

    # the outbox

    def due(self, target: str, now: datetime, *, limit: int = 50) -> list[tuple[int, int, Event]]:
        """(delivery, attempts so far, event as written) to be told now, oldest first.

        One that waits for its next attempt holds back those behind it: order is kept.
        """
        o, e = schema.outbox.c, schema.events
        query = (
            sa.select(o.id.label("delivery"), o.attempts, o.next_at, e)
            .join(e, e.c.id == o.event_id)
            .where(o.target == target, o.done_at.is_(None), o.failed_at.is_(None))
            .order_by(o.id)
            .limit(limit)
        )
        found: list[tuple[int, int, Event]] = []
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
            for row in rows:
                if row["next_at"] > _us(now):
                    break
                own = _collections.by_id(connection, row["collection_id"])
                event = _records(connection, own, [row])[0]
                found.append((row["delivery"], row["attempts"], event))
        return found

    def delivered(self, delivery: int) -> None:
        with self._database.write() as connection:
            _outbox(connection, delivery, done_at=now_us(), last_error=None)

    def not_delivered(self, delivery: int, why: str, next_at: datetime | None) -> None:
        """Try again at ``next_at``; None gives up."""
        when: dict[str, Any] = {"failed_at": now_us()}
        if next_at is not None:
            when = {"next_at": _us(next_at)}
        with self._database.write() as connection:
            _outbox(connection, delivery, last_error=why[:200], **when)

    def outbox(self) -> dict[str, dict[str, int]]:
        """Deliveries by target: ``waiting``, ``done``, ``failed``."""
        o = schema.outbox.c
        query = sa.select(
            o.target, sa.func.count(), sa.func.count(o.done_at), sa.func.count(o.failed_at)
        ).group_by(o.target)
        with self._database.read() as connection:
            return {
                target: {"waiting": total - done - failed, "done": done, "failed": failed}
                for target, total, done, failed in connection.execute(query)
            }

    # erasing

    def forget_faces(self, collection: str, before: datetime) -> int:
        """Erase the faces behind events recorded before then; the events stay."""
        with self._write(collection) as (connection, own):
            condition = sa.and_(
                schema.events.c.collection_id == own["id"],
                schema.events.c.recorded_at < _us(before),
            )
            erased = _store.forget_traces(connection, condition)
        if erased:
            self._database.scrub()
        return erased

    def forget_face(self, collection: str, event_id: str) -> bool:
        """Erase the face behind one event; the event stays."""
        with self._write(collection) as (connection, own):
            row = _store.find(connection, own, event_id)
            erased = _store.forget_traces(connection, schema.events.c.id == row["id"])
        if erased:
            self._database.scrub()
        return bool(erased)

    @contextmanager
    def _write(self, collection: str) -> Iterator[tuple[Connection, Row]]:
        with self._database.write() as connection:
            yield connection, _collections.find(connection, collection)


def _outbox(connection: Connection, delivery: int, **values: Any) -> None:
    table = schema.outbox
    values["attempts"] = table.c.attempts + 1
    connection.execute(table.update().where(table.c.id == delivery).values(**values))


def _evidence(
    grounds: Mapping[str, Any], vector: Embeddings | None, crop: Image | None
) -> _store.Evidence:
    picture = None if crop is None or vector is None else encode_crop(crop)
    return _store.Evidence(rules.json_text(grounds, "grounds"), vector, picture)


def _applied(connection: Connection, collection: Row, rows: Sequence[Row]) -> list[Event]:
    """Rows as events, each read as its corrections say."""
    if not rows:
        return []
    standing = _store.standing(connection, [row["uid"] for row in rows])
    changed = {r["person_uid"] for given in standing.values() for r in given} - {None}
    names = _names(connection, collection, [*(r["person_uid"] for r in rows), *changed])
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


def _records(connection: Connection, collection: Row, rows: Sequence[Row]) -> list[Event]:
    names = _names(connection, collection, [row["person_uid"] for row in rows])
    return [_record(collection, row, names) for row in rows]


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


def _names(connection: Connection, collection: Row, uids: Sequence[str | None]) -> dict[str, str]:
    wanted = sorted({uid for uid in uids if uid is not None})
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _store.PAGE):
        query = sa.select(schema.people.c.uid, schema.people.c.name).where(
            schema.people.c.collection_id == collection["id"],
            schema.people.c.uid.in_(wanted[start : start + _store.PAGE]),
        )
        found |= {row.uid: row.name for row in connection.execute(query)}
    return found


def _person(connection: Connection, collection: Row, person_id: str) -> Row | None:
    query = sa.select(schema.people).where(
        schema.people.c.collection_id == collection["id"], schema.people.c.uid == person_id
    )
    return connection.execute(query).mappings().first()


def _text(what: str, value: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or "\0" in value:
        raise InputError(f"{what} must be text of at most {MAX_TEXT} characters")
    if what == "actor" and not value.strip():
        raise InputError("say who makes the change: actor")
    return value


def _us(at: datetime) -> int:
    if at.tzinfo is None:
        raise InputError("times need a zone, such as 2026-03-01T08:00:00+01:00")
    try:
        since = at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        raise InputError("times lie between the years 1 and 9999") from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _seconds(value: float) -> int:
    return int(value * 1_000_000)


def _id(row: Row) -> int:
    return int(row["id"])


__all__ = ["ACTIONS", "Action", "Event", "EventKind", "Events", "Place", "Trace", "Visit"]
