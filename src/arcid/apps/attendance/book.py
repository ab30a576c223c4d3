"""What was written: read it, explain it, correct it, and deal with visitors nobody knows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any, Literal

import numpy as np

from arcid.apps.attendance import export, sheets
from arcid.apps.attendance.sheets import Day, Month
from arcid.calibration import Calibration
from arcid.errors import InputError, PersonNotFound
from arcid.events import ATTENDANCE, Action, Event, Events, Stay
from arcid.gallery import Decide, Gallery, NewConsent, NewFace, Page
from arcid.gallery.records import Person
from arcid.gallery.store import audit, disclosures
from arcid.gallery.store import collections as _collections
from arcid.types import FloatArray, Image

VISITOR_FMR = 1e-3


@dataclass(frozen=True, slots=True)
class Visitor:
    """Unknown sightings that look like one person, newest first."""

    events: tuple[Event, ...]

    @property
    def id(self) -> str:
        """The newest event: what ``picture`` and ``enrol_unknown`` take."""
        return self.events[0].id

    @property
    def first_seen(self) -> datetime:
        return self.events[-1].at

    @property
    def last_seen(self) -> datetime:
        return self.events[0].at


class Attendance:
    """The attendance book of one collection. Thread-safe; every change is one transaction.

    ``targets``: outboxes that corrections and entries by hand are put in as well.
    """

    def __init__(self, gallery: Gallery, collection: str, *, targets: Sequence[str] = ()) -> None:
        self.collection = gallery.collection(collection).name
        self._gallery = gallery
        self._events = Events(gallery)
        self._targets = tuple(targets)

    # reading

    def events(
        self,
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
        """Newest first, corrections applied; ``after`` is ``next`` of the page before.

        ``kinds`` None: those of attendance, not what other applications decided.
        """
        return self._events.find(
            self.collection,
            since=since,
            until=until,
            kinds=ATTENDANCE if kinds is None else kinds,
            person_id=person_id,
            camera=camera,
            voided=voided,
            limit=limit,
            after=after,
        )

    def event(self, event_id: str) -> Event:
        """Raises ``EventNotFound``."""
        return self._events.get(self.collection, event_id)

    def explain(self, event_id: str) -> dict[str, Any]:
        """An event as it reads now, the grounds it was decided on, and every row about it."""
        event = self.event(event_id)
        names: dict[str, str] = {}
        for candidate in event.grounds.get("candidates", ()):
            with suppress(PersonNotFound):
                person = self._gallery.person(self.collection, candidate["person_id"])
                names[person.id] = person.name
        return {
            **event.to_dict(),
            "grounds": dict(event.grounds),
            "candidate_names": names,
            "history": [e.to_dict() for e in self._events.history(self.collection, event_id)],
            "face_kept": self._events.trace(self.collection, event_id) is not None,
        }

    def present(self) -> list[Stay]:
        """Who is there now."""
        return self._events.present(self.collection)

    def day(self, day: date, *, zone: tzinfo | None = None, now: datetime | None = None) -> Day:
        """Everybody's first in, last out and hours; ``zone`` defaults to this machine's."""
        return sheets.day_sheet(self._gallery, self.collection, day, zone=zone, now=now)

    def month(
        self, year: int, month: int, *, zone: tzinfo | None = None, now: datetime | None = None
    ) -> Month:
        """The days of a month for everybody."""
        return sheets.month_sheet(self._gallery, self.collection, year, month, zone=zone, now=now)

    def exported(self, table: export.Table, kind: str) -> bytes:
        """A table of this collection as a file: csv, xlsx or json; the audit says who took it."""
        written = export.written(table, kind)
        column = table.columns.index("person_id")
        people = (None if row[column] is None else str(row[column]) for row in table.rows)
        with _collections.writing(self._gallery.database, self.collection) as (log, own):
            audit.append(
                log.connection, verb="attendance.export", subject=f"collection:{own['uid']}",
                collection=own["uid"], details={"kind": kind, "rows": len(table.rows)},
            )  # fmt: skip
            disclosures.note(
                log.connection, "export", f"{kind} file", people, f"attendance: {table.title}",
                collection=own["uid"],
            )  # fmt: skip
        return written

    # changing

    def correct(
        self,
        event_id: str,
        action: Action,
        *,
        actor: str,
        note: str = "",
        person_id: str | None = None,
        at: datetime | None = None,
    ) -> Event:
        """A correction: ``void``, ``reassign`` (to ``person_id``) or ``retime`` (to ``at``).

        The answer is the correction; ``event`` shows what it made of the event. Voiding a
        correction undoes it.
        """
        return self._events.correct(
            self.collection, event_id, action, actor=actor, note=note, person_id=person_id, at=at,
            targets=self._targets,
        )[0]  # fmt: skip

    def not_this_person(
        self, event_id: str, *, actor: str, note: str = "", block: bool = True
    ) -> tuple[Event, bool]:
        """Remove a match; (correction, whether this face is now kept from that person).

        ``block`` needs the face behind the event, so it fails once that was erased.
        """
        return self._events.correct(
            self.collection, event_id, "not_person", actor=actor, note=note, block=block,
            targets=self._targets,
        )  # fmt: skip

    def add(
        self,
        kind: Literal["arrival", "departure"],
        person_id: str,
        at: datetime,
        *,
        actor: str,
        note: str = "",
        place: str = "",
    ) -> Event:
        """An arrival or departure by hand. Raises ``PersonNotFound``."""
        return self._events.add(
            self.collection, kind, person_id, at, actor=actor, note=note, place=place,
            targets=self._targets,
        )  # fmt: skip

    # visitors nobody knows

    def unknowns(
        self, calibration: Calibration, *, fmr: float = VISITOR_FMR, limit: int = 500
    ) -> list[Visitor]:
        """Unknown visitors of whom a face is kept, alike ones together, newest first.

        Two sightings belong together at a false match rate of ``fmr``.
        """
        alike = calibration.threshold_at_fmr(max(fmr, calibration.smallest_supported_fmr)).cosine
        sums: list[FloatArray] = []
        groups: list[list[Event]] = []
        for event, vector in self._events.unknown(
            self.collection, calibration.contract_id, limit=limit
        ):
            scores = [float(s @ vector) / max(float(np.linalg.norm(s)), 1e-9) for s in sums]
            best = int(np.argmax(scores)) if scores else -1
            if best >= 0 and scores[best] >= alike:
                sums[best] = sums[best] + vector
                groups[best].append(event)
            else:
                sums.append(vector)
                groups.append([event])
        return [Visitor(tuple(events)) for events in groups]

    def picture(self, event_id: str) -> Image | None:
        """(S,S,3) uint8 RGB aligned face behind an event, where the policy keeps crops."""
        trace = self._events.trace(self.collection, event_id)
        return None if trace is None else trace.crop

    def enrol_unknown(
        self,
        event_ids: Sequence[str],
        name: str,
        *,
        actor: str,
        at_most: int | None = None,
        decide: Decide | None = None,
        consent: NewConsent | None = None,
    ) -> Person:
        """Enrol the faces behind unknown events under a name, ``at_most`` so many of them, the
        first; all the events become arrivals.

        All of it or, on any error, nothing. ``decide`` and ``consent`` as in
        ``Gallery.add_faces``.
        """
        if not event_ids:
            raise InputError("name at least one event to enrol from")
        faces: dict[str, NewFace | None] = dict.fromkeys(event_ids)
        for event_id in event_ids[:at_most]:
            event = self.event(event_id)
            trace = self._events.trace(self.collection, event_id)
            if event.kind != "unknown" or trace is None:
                raise InputError(
                    "only unknown visitors whose face is kept can be enrolled; "
                    "take a photo of the person instead"
                )
            measured = (event.grounds.get("track") or {}).get("quality") or {}
            quality = {k: float(v) for k, v in measured.items() if isinstance(v, float)}
            faces[event_id] = NewFace(
                trace.vector,
                photo_id=f"event-{event_id}",
                quality=quality,
                crop=trace.crop,
                source=f"seen by {event.camera}"[:200],
                provenance={
                    key: event.grounds.get(key)
                    for key in ("model", "detector", "runtime", "precision")
                },
            )
        return self._events.enrol(
            self.collection,
            name,
            faces,
            actor=actor,
            note="enrolled",
            targets=self._targets,
            decide=decide,
            consent=consent,
        )

    def forget_face(self, event_id: str) -> bool:
        """Erase the face behind one event for good; the event stays."""
        return self._events.forget_face(self.collection, event_id)

    def forget_faces(self, before: datetime) -> int:
        """Erase the faces behind all events recorded before then; returns how many."""
        return self._events.forget_faces(self.collection, before)
