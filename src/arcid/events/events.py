"""Events: who came, who left, who was not known, and what people said about it.

Rows are only ever added. A correction is a row about another row; ``find`` and ``get`` answer with
corrections applied, ``history`` with every row as it was written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import InputError
from arcid.events.records import (
    ACTIONS,
    FIRST_YEAR,
    LAST_YEAR,
    Action,
    Cause,
    Event,
    Place,
    Trace,
    Visit,
)
from arcid.events.review_records import Question
from arcid.events.store import correcting as _correcting
from arcid.events.store import corrections as _corrections
from arcid.events.store import events as _rows
from arcid.events.store import sightings as _sightings
from arcid.events.store import traces as _traces
from arcid.events.store import visits as _visits
from arcid.events.store.correcting import remark
from arcid.events.store.events import Evidence
from arcid.events.store.readings import EVENTS, corrected, names_of, newest_first, written
from arcid.events.tables import events
from arcid.gallery import Decide, Gallery, rules
from arcid.gallery.imaging import decode_crop, encode_crop
from arcid.gallery.paging import Page, check_limit
from arcid.gallery.records import NewFace, Person
from arcid.gallery.schema import Row
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import faces as _faces
from arcid.gallery.store import people as _people
from arcid.gallery.store.journal import from_us, to_us
from arcid.types import Embeddings, FloatArray, Image


class Events:
    """Reads and writes events. Thread-safe; every method that writes is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database
        self._duplicates = gallery.duplicates

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

        An older visit of theirs still open at this place ends, when they were last seen: its
        departure comes first. A departure written too early is taken back. A sighting of somebody
        deleted meanwhile is dropped. ``targets``: outboxes to tell.
        """
        with self._write(collection) as (connection, own):
            if _correcting.existing(connection, own, person_id) is None:
                return []
            rows = _sightings.person(
                connection, own, place, person_id, _happened(at), _seconds(cooldown_s),
                _evidence(grounds, vector, crop), targets,
            )  # fmt: skip
            return written(connection, own, rows)

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
        question: Question | None = None,
    ) -> list[Event]:
        """Somebody unknown was seen; the event unless a face of cosine ``alike`` was just there.

        With a ``question`` the event is a ``review``: it waits in ``Reviews`` for a human,
        unless the face of one that was just there was asked about.
        """
        with self._write(collection) as (connection, own):
            rows = _sightings.visitor(
                connection, own, place, _happened(at), _happened(until), mark,
                _seconds(cooldown_s), alike,
                _evidence(grounds, vector, crop), targets, question,
            )  # fmt: skip
            return written(connection, own, rows)

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
            rows = _sightings.spoof(
                connection, own, place, _happened(at), mark, person_id, _seconds(cooldown_s),
                _evidence(grounds, vector, crop), targets,
            )  # fmt: skip
            return written(connection, own, rows)

    def depart(
        self,
        collection: str,
        place: str,
        seen_before: datetime,
        why: str,
        *,
        cause: Cause = "not_seen",
        since: datetime | None = None,
        targets: Sequence[str] = (),
    ) -> list[Event]:
        """End the visits last seen before then: one departure each.

        ``why`` in words and ``cause`` stand in its grounds.
        """
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            if not _visits.any_unseen(connection, own, place, to_us(seen_before)):
                return []
        with self._write(collection) as (connection, own):
            begun = None if since is None else to_us(since)
            before = to_us(seen_before)
            rows = _visits.depart(connection, own, place, before, why, cause, targets, begun)
            return written(connection, own, rows)

    def abandon(
        self,
        collection: str,
        place: Place,
        why: str,
        *,
        cause: Cause,
        targets: Sequence[str] = (),
    ) -> list[Event]:
        """A camera watches its place no more: end the visits it began, one departure each."""
        with self._write(collection) as (connection, own):
            return written(
                connection, own, _visits.abandon(connection, own, place, why, cause, targets)
            )

    def shift(self, collection: str, camera: str, by_s: float) -> None:
        """A camera's clock moved back: move the visits it has open along."""
        with self._write(collection) as (connection, own):
            _visits.shift(connection, own, camera, _seconds(by_s))

    def supersede(
        self, collection: str, event_id: str, note: str, *, targets: Sequence[str] = ()
    ) -> list[Event]:
        """The system itself takes an event back, once; not one that somebody has corrected."""
        with self._write(collection) as (connection, own):
            about = _rows.find(connection, own, event_id)
            if _corrections.standing(connection, [event_id]).get(event_id):
                return []
            row = _corrections.correct(
                connection, own, about, "void", "system", note, targets,
                event_key=_rows.key("supersede", event_id),
            )  # fmt: skip
            _correcting.follow(connection, own, about, "system", targets)
            return written(connection, own, [] if row is None else [row])

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
            row = _rows.add(
                connection,
                own,
                _rows.key("manual", kind, person_id, _happened(at), remark("actor", actor)),
                {"kind": kind, "at": _happened(at), "camera": "", "place": place,
                 "person_uid": person_id, "actor": actor, "note": remark("note", note)},
                Evidence(json.dumps({"reason": "entered by hand"})),
                targets,
            )  # fmt: skip
            if row is None:
                raise InputError("this was entered before: same person, time and actor")
            return written(connection, own, [row])[0]

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
        with self._write(collection, erases=True) as (connection, own):
            about = _rows.find(connection, own, event_id)
            if person_id is not None:
                _people.find(connection, own, person_id)
            row, blocked = _correcting.correct(
                connection, own, about, action, remark("actor", actor),
                remark("note", note), targets, person_uid=person_id,
                at=None if at is None else _happened(at), block=block,
            )  # fmt: skip
            return written(connection, own, [row])[0], blocked

    def enrol(
        self,
        collection: str,
        name: str,
        faces: Mapping[str, NewFace],
        *,
        actor: str,
        note: str = "",
        targets: Sequence[str] = (),
        decide: Decide | None = None,
    ) -> Person:
        """Enrol faces by the unknown event they come from; the events become that person's.

        All of it or, on any error, nothing. Raises ``EventNotFound``, ``InputError`` for an event
        that is not of somebody unknown, and what ``Gallery.enrol`` raises; ``decide`` as there.
        """
        who, why = remark("actor", actor), remark("note", note)
        new = list(faces.values())
        with self._duplicates.enrolling(collection, new, decide, erases=True) as (log, own):
            connection = log.connection
            rows = [_rows.find(connection, own, event_id) for event_id in faces]
            if any(event.kind != "unknown" for event in corrected(connection, own, rows)):
                raise InputError("one of these visitors is not unknown any more; look again")
            person = _people.by_name(connection, own, name)
            for doubt in self._duplicates.find(log, own, person, new, decide):
                if doubt is not None:
                    raise doubt
            if person is None:
                person = _people.add(log, own, name, None)
            _faces.add(log, own, person, new)
            for row in rows:
                _correcting.correct(
                    connection, own, row, "reassign", who, why, targets, person_uid=person["uid"]
                )
            return _people.record(connection, own, _people.find(connection, own, person["uid"]))

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
    ) -> Page[Event]:
        """Newest first, corrections applied; voided ones are left out unless asked for.

        Ordered by the time as corrected, and of the same time by when they were written.
        ``until`` is exclusive; ``after`` is ``next`` of the page before. Raises ``CursorInvalid``.
        """
        most = check_limit(limit)
        low, high = (None if t is None else to_us(t) for t in (since, until))
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            mark = None if after is None else EVENTS.place(own["uid"], after)
            wanted = (
                (place, event)
                for place, event in newest_first(connection, own, low, high, mark)
                if (kinds is None or event.kind in kinds)
                and (person_id is None or event.person_id == person_id)
                and (camera is None or event.camera == camera)
                and (voided or not event.voided)
            )
            found = EVENTS.page(own["uid"], list(islice(wanted, most)), limit, lambda row: row[0])
            return Page([event for _, event in found], found.next)

    def get(self, collection: str, event_id: str) -> Event:
        """One event with corrections applied. Raises ``EventNotFound``."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            return corrected(connection, own, [_rows.find(connection, own, event_id)])[0]

    def history(self, collection: str, event_id: str) -> list[Event]:
        """The event as written, and the corrections about it, oldest first."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            row = _rows.find(connection, own, event_id)
            about = _rows.corrections(connection, [event_id]).get(event_id, [])
            level = about
            while level:
                found = _rows.corrections(connection, [r["uid"] for r in level])
                level = [r for rows in found.values() for r in rows]
                about = [*about, *level]
            return written(connection, own, [row, *sorted(about, key=_id)])

    def present(self, collection: str) -> list[Visit]:
        """Who is there: people whose visit has not ended, each once at a place."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            return _visits_of(connection, own, _visits.present(connection, own))

    def unfinished(self, collection: str) -> list[Visit]:
        """Visits without a departure: of those present, and those a recording is still read of."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            return _visits_of(connection, own, _visits.unfinished(connection, own))

    def trace(self, collection: str, event_id: str) -> Trace | None:
        """The face behind an event; None once it is erased."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            row = _rows.find(connection, own, event_id)
            found = _traces.read(connection, [row]).get(row["id"])
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
        found = self.find(collection, kinds=["unknown"], limit=limit)
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            rows = [_rows.find(connection, own, event.id) for event in found]
            traced = _traces.read(connection, rows)
        pairs = zip(found, rows, strict=True)
        return [
            (event, traced[row["id"]][1])
            for event, row in pairs
            if row["id"] in traced and traced[row["id"]][0] == contract_id
        ]

    def blocked(self, collection: str, contract_id: str) -> list[tuple[str, FloatArray]]:
        """(person id, (D,) vector of a face that is not theirs)."""
        with self._database.read() as connection:
            own = _collections.find(connection, collection)
            return _traces.blocked(connection, own, contract_id)

    # erasing

    def forget_faces(self, collection: str, before: datetime) -> int:
        """Erase the faces behind events recorded before then; the events stay."""
        with self._write(collection, erases=True) as (connection, own):
            condition = sa.and_(
                events.c.collection_id == own["id"],
                events.c.recorded_at < to_us(before),
            )
            erased = _traces.erase(connection, condition)
        return erased

    def forget_face(self, collection: str, event_id: str) -> bool:
        """Erase the face behind one event; the event stays."""
        with self._write(collection, erases=True) as (connection, own):
            row = _rows.find(connection, own, event_id)
            erased = _traces.erase(connection, events.c.id == row["id"])
        return bool(erased)

    @contextmanager
    def _write(self, collection: str, *, erases: bool = False) -> Iterator[tuple[Connection, Row]]:
        with self._database.write(erases=erases) as connection:
            yield connection, _collections.find(connection, collection)


def _evidence(
    grounds: Mapping[str, Any], vector: Embeddings | None, crop: Image | None
) -> Evidence:
    picture = None if crop is None or vector is None else encode_crop(crop)
    return Evidence(rules.json_text(grounds, "grounds"), vector, picture)


def _visits_of(connection: Connection, collection: Row, rows: Sequence[Row]) -> list[Visit]:
    names = names_of(connection, collection, [row["person_uid"] for row in rows])
    return [
        Visit(
            row["person_uid"], names.get(row["person_uid"]), row["place"], row["camera"],
            from_us(row["arrived_at"]), from_us(row["last_seen_at"]),
        )
        for row in rows
    ]  # fmt: skip


def _happened(at: datetime) -> int:
    """Microseconds since 1970 of something that is written down. Raises ``InputError``."""
    moment = to_us(at)
    year = from_us(moment).year
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InputError(
            f"events lie between the years {FIRST_YEAR} and {LAST_YEAR}, not in {year:04d}: look "
            "at the clock or the date that this time came from"
        )
    return moment


def _seconds(value: float) -> int:
    return int(value * 1_000_000)


def _id(row: Row) -> int:
    return int(row["id"])
