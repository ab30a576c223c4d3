"""Events: who came, who left, who was not known: written, corrected, and erased.

Rows are only ever added. A correction is a row about another row; ``reading`` says how they read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from arcid.errors import InputError
from arcid.events.reading import EventReading
from arcid.events.records import ACTIONS, Action, AppKind, Event, Place
from arcid.events.store import correcting as _correcting
from arcid.events.store import decided as _decided
from arcid.events.store import events as _rows
from arcid.events.store import traces as _traces
from arcid.events.store.correcting import remark, signed
from arcid.events.store.events import Evidence
from arcid.events.store.log import Log, noted, writing
from arcid.events.store.readings import corrected, written
from arcid.events.tables import events
from arcid.gallery import Decide, Gallery
from arcid.gallery.records import NewConsent, NewFace, Person
from arcid.gallery.store import consents as _consents
from arcid.gallery.store import faces as _faces
from arcid.gallery.store import people as _people
from arcid.gallery.store.journal import to_us
from arcid.types import Embeddings, Image


class Events(EventReading):
    """Reads and writes events. Thread-safe; every method that writes is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        super().__init__(gallery)
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
        who = signed(actor)
        with writing(self._database, collection, targets) as log:
            _people.find(log.connection, log.collection, person_id)
            row = _rows.add(
                log,
                _rows.key("manual", kind, person_id, _rows.happened(at), who),
                {"kind": kind, "at": _rows.happened(at), "camera": "", "place": place,
                 "person_uid": person_id, "actor": who, "note": remark("note", note)},
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
                log, about, action, signed(actor), remark("note", note),
                person_uid=person_id, at=None if at is None else _rows.happened(at), block=block,
            )  # fmt: skip
            noted(log, f"event.{action}", event_id, person=person_id)
            return written(log, [row])[0], blocked

    def enrol(
        self,
        collection: str,
        name: str,
        faces: Mapping[str, NewFace | None],
        *,
        actor: str,
        note: str = "",
        targets: Sequence[str] = (),
        decide: Decide | None = None,
        consent: NewConsent | None = None,
    ) -> Person:
        """Enrol faces by the unknown event they come from; the events become that person's, those
        without a face here too.

        All of it or, on any error, nothing. Raises ``EventNotFound``, ``InputError`` for an event
        that is not of somebody unknown, and what ``Gallery.enrol`` raises; ``decide`` and
        ``consent`` as there.
        """
        who, why = signed(actor), remark("note", note)
        new = [face for face in faces.values() if face is not None]
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
            _consents.settle(connection, own, person, consent)
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
