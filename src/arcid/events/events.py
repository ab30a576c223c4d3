"""Events: who came, who left, who was not known: read, corrected, and erased.

Rows are only ever added. A correction is a row about another row; ``find`` and ``get`` answer with
corrections applied, ``history`` with every row as it was written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Literal

import sqlalchemy as sa

from arcid.errors import InputError
from arcid.events.records import ACTIONS, Action, AppKind, Event, Place, Stay, Trace
from arcid.events.store import correcting as _correcting
from arcid.events.store import decided as _decided
from arcid.events.store import events as _rows
from arcid.events.store import stays as _stays
from arcid.events.store import traces as _traces
from arcid.events.store.correcting import remark
from arcid.events.store.events import Evidence
from arcid.events.store.log import Log, noted, reading, writing
from arcid.events.store.readings import EVENTS, corrected, names_of, newest_first, written
from arcid.events.tables import events
from arcid.gallery import Decide, Gallery
from arcid.gallery.imaging import decode_crop
from arcid.gallery.paging import Page, check_limit
from arcid.gallery.records import NewFace, Person
from arcid.gallery.schema import Row
from arcid.gallery.store import faces as _faces
from arcid.gallery.store import people as _people
from arcid.gallery.store.journal import from_us, to_us
from arcid.types import Embeddings, FloatArray, Image


class Events:
    """Reads and writes events. Thread-safe; every method that writes is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database
        self._duplicates = gallery.duplicates

    # what people say

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
        with writing(self._database, collection, targets) as log:
            _people.find(log.connection, log.collection, person_id)
            row = _rows.add(
                log,
                _rows.key("manual", kind, person_id, _rows.happened(at), remark("actor", actor)),
                {"kind": kind, "at": _rows.happened(at), "camera": "", "place": place,
                 "person_uid": person_id, "actor": actor, "note": remark("note", note)},
                Evidence(json.dumps({"reason": "entered by hand"})),
            )  # fmt: skip
            if row is None:
                raise InputError("this was entered before: same person, time and actor")
            noted(log, "event.enter", row["uid"], person=person_id)
            return written(log, [row])[0]

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
        the stay goes on, departure and blocked face are as before). ``reassign``: it was
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
        with writing(self._database, collection, targets, erases=True) as log:
            about = _rows.find(log, event_id)
            if person_id is not None:
                _people.find(log.connection, log.collection, person_id)
            row, blocked = _correcting.correct(
                log, about, action, remark("actor", actor), remark("note", note),
                person_uid=person_id, at=None if at is None else _rows.happened(at), block=block,
            )  # fmt: skip
            noted(log, f"event.{action}", event_id, person=person_id)
            return written(log, [row])[0], blocked

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
        with self._duplicates.enrolling(collection, new, decide, erases=True) as (journal, own):
            connection = journal.connection
            log = Log(connection, own, targets, self._database.outboxes)
            rows = [_rows.find(log, event_id) for event_id in faces]
            if any(event.kind != "unknown" for event in corrected(log, rows)):
                raise InputError("one of these visitors is not unknown any more; look again")
            person = _people.by_name(connection, own, name)
            for doubt in self._duplicates.find(journal, own, person, new, decide):
                if doubt is not None:
                    raise doubt
            if person is None:
                person = _people.add(journal, own, name, None)
            _faces.add(journal, own, person, new)
            for row in rows:
                _correcting.correct(log, row, "reassign", who, why, person_uid=person["uid"])
                noted(log, "event.enrol", row["uid"], person=person["uid"])
            return _people.record(connection, own, _people.find(connection, own, person["uid"]))

    # what applications decide

    def write(
        self,
        collection: str,
        kind: AppKind,
        key: Sequence[object],
        place: Place,
        at: datetime,
        *,
        grounds: Mapping[str, object],
        person_id: str | None = None,
        vector: Embeddings | None = None,
        crop: Image | None = None,
        actor: str | None = None,
        note: str = "",
        targets: Sequence[str] = (),
    ) -> Event | None:
        """What an application decided; None where this ``key`` was written before.

        ``key`` is what makes two reports of one happening the same: a restart or a replay writes
        nothing twice. ``grounds`` hold ids and numbers, never names; receivers are told what
        stands under ``details`` and the scores and rates (``records.TOLD``). To write in the
        transaction of an application's own rows: ``store.decided.write``. Raises
        ``PersonNotFound``, ``InputError``.
        """
        with writing(self._database, collection, targets) as log:
            row = _decided.write(
                log, kind, key, place, at, grounds=grounds, person_id=person_id, vector=vector,
                crop=crop, actor=actor, note=note,
            )  # fmt: skip
            return None if row is None else written(log, [row])[0]

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
        with reading(self._database, collection) as log:
            mark = None if after is None else EVENTS.place(log.collection["uid"], after)
            wanted = (
                (place, event)
                for place, event in newest_first(log, low, high, mark, kinds)
                if (kinds is None or event.kind in kinds)
                and (person_id is None or event.person_id == person_id)
                and (camera is None or event.camera == camera)
                and (voided or not event.voided)
            )
            found = EVENTS.page(
                log.collection["uid"], list(islice(wanted, most)), limit, lambda row: row[0]
            )
            return Page([event for _, event in found], found.next)

    def get(self, collection: str, event_id: str) -> Event:
        """One event with corrections applied. Raises ``EventNotFound``."""
        with reading(self._database, collection) as log:
            return corrected(log, [_rows.find(log, event_id)])[0]

    def history(self, collection: str, event_id: str) -> list[Event]:
        """The event as written, and the corrections about it, oldest first."""
        with reading(self._database, collection) as log:
            row = _rows.find(log, event_id)
            about = _rows.corrections(log, [event_id]).get(event_id, [])
            level = about
            while level:
                found = _rows.corrections(log, [r["uid"] for r in level])
                level = [r for rows in found.values() for r in rows]
                about = [*about, *level]
            return written(log, [row, *sorted(about, key=_id)])

    def present(self, collection: str) -> list[Stay]:
        """Who is there: people whose stay has not ended, each once at a place."""
        with reading(self._database, collection) as log:
            return _stays_of(log, _stays.present(log))

    def unfinished(self, collection: str) -> list[Stay]:
        """Stays without a departure: of those present, and those a recording is still read of."""
        with reading(self._database, collection) as log:
            return _stays_of(log, _stays.unfinished(log))

    def trace(self, collection: str, event_id: str) -> Trace | None:
        """The face behind an event; None once it is erased."""
        with reading(self._database, collection) as log:
            row = _rows.find(log, event_id)
            found = _traces.read(log, [row]).get(row["id"])
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
        with reading(self._database, collection) as log:
            rows = [_rows.find(log, event.id) for event in found]
            traced = _traces.read(log, rows)
        pairs = zip(found, rows, strict=True)
        return [
            (event, traced[row["id"]][1])
            for event, row in pairs
            if row["id"] in traced and traced[row["id"]][0] == contract_id
        ]

    def blocked(self, collection: str, contract_id: str) -> list[tuple[str, FloatArray]]:
        """(person id, (D,) vector of a face that is not theirs)."""
        with reading(self._database, collection) as log:
            return _traces.blocked(log, contract_id)

    # erasing

    def forget_faces(self, collection: str, before: datetime) -> int:
        """Erase the faces behind events recorded before then; the events stay."""
        with writing(self._database, collection, erases=True) as log:
            condition = sa.and_(
                events.c.collection_id == log.collection["id"], events.c.recorded_at < to_us(before)
            )
            erased = _traces.erase(log, condition)
        return erased

    def forget_face(self, collection: str, event_id: str) -> bool:
        """Erase the face behind one event; the event stays."""
        with writing(self._database, collection, erases=True) as log:
            row = _rows.find(log, event_id)
            erased = _traces.erase(log, events.c.id == row["id"])
        return bool(erased)


def _stays_of(log: Log, rows: Sequence[Row]) -> list[Stay]:
    names = names_of(log, [row["person_uid"] for row in rows])
    return [
        Stay(
            row["person_uid"], names.get(row["person_uid"]), row["place"], row["camera"],
            from_us(row["arrived_at"]), from_us(row["last_seen_at"]),
        )
        for row in rows
    ]  # fmt: skip


def _id(row: Row) -> int:
    return int(row["id"])
