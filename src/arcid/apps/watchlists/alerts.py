"""Alerts: raised by cameras, answered by people, taken back, and erased when their time is over."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.watchlists import alert_store, store
from arcid.apps.watchlists.records import LEVELS, STATES, VERBS, Alert, Level, Verb
from arcid.apps.watchlists.states import TO, check
from arcid.apps.watchlists.tables import alerts, watchlists
from arcid.errors import InputError
from arcid.events import Place, Trace
from arcid.events.audit import actor_now, append
from arcid.events.store import correcting, decided, traces
from arcid.events.store import events as _events
from arcid.events.store.correcting import remark, signed
from arcid.events.store.log import Log
from arcid.events.tables import events
from arcid.events.tables import traces as _traces
from arcid.gallery import Gallery, Page
from arcid.gallery.imaging import decode_crop
from arcid.gallery.schema import Row, people
from arcid.gallery.store import collections as _collections
from arcid.gallery.store.journal import to_us
from arcid.types import Embeddings, Image

DISMISSED_KEPT = timedelta(days=1)  # the face of somebody who was on no list, to take it back
TOLD = ("confirm", "escalate")  # of what people answer


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Somebody on a list, as a camera saw them."""

    list_id: str
    person_id: str
    level: Level
    place: Place
    at: datetime  # the track began
    until: datetime  # and was seen last
    mark: str  # tells the tracks of one moment apart
    grounds: Mapping[str, Any] = field(repr=False)
    vector: Embeddings = field(repr=False)  # one row
    crop: Image | None = field(default=None, repr=False)
    visible: float = field(default_factory=time.monotonic)  # since when, by that clock


class Alerts:
    """The alerts of all lists of a gallery. Thread-safe; every change is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    # cameras

    def raise_(self, seen: Seen, *, targets: Sequence[str] = ()) -> Alert | None:
        """The alert a sighting makes. None where it goes on with one of the same person at the same
        camera within the cooldown, was written before, or the list has expired meanwhile.

        A sighting of level ``review`` tells nobody; one of level ``alert`` that goes on with a
        review makes it an alert.
        """
        with self._database.write() as connection:
            found = self._whom(connection, seen)
            if found is None:
                return None
            row, person = found
            silent = seen.level == "review"
            log = _log(connection, row) if silent else self._told(connection, row, targets)
            cooldown = int(store.record(row).terms.cooldown_s * 1e6)
            at, until = to_us(seen.at), to_us(seen.until)
            known = alert_store.recent(
                connection, row["id"], person["id"], seen.place.camera, at, cooldown
            )
            more = {} if known is None else _later(known, at, until)
            if known is not None and (known["level"] == "alert" or seen.level == "review"):
                alert_store.change(connection, known, **more)
                return None
            uid = uuid.uuid4().hex if known is None else known["uid"]
            event = self._write(log, row, seen, uid)
            if event is None:
                return None
            latency = round(1000 * (time.monotonic() - seen.visible))
            if known is not None:
                traces.erase_of(log, [known["event_id"]])
                alert_store.change(
                    connection, known, level="alert", event_id=event["id"], latency_ms=latency,
                    **more,
                )  # fmt: skip
            else:
                alert_store.add(
                    connection, uid=uid, list_id=row["id"], person_id=person["id"],
                    event_id=event["id"], level=seen.level, camera=seen.place.camera,
                    four_eyes=int(store.record(row).terms.four_eyes), at=at, last_seen_at=until,
                    latency_ms=latency,
                )  # fmt: skip
            now = alert_store.find(connection, uid)
            _note(connection, now, "alert.raise", level=seen.level, camera=seen.place.camera)
            return alert_store.records(connection, [now])[0]

    # people

    def find(
        self,
        *,
        lists: Collection[str] | None = None,
        states: Collection[str] | None = None,
        levels: Collection[str] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Alert]:
        """Newest first; ``lists``: ids, None: all. Raises ``InputError``, ``CursorInvalid``."""
        _known("state", states, STATES)
        _known("level", levels, LEVELS)
        conditions: list[sa.ColumnElement[bool]] = []
        if lists is not None:
            conditions.append(watchlists.c.uid.in_(list(lists)))
        if states is not None:
            conditions.append(alerts.c.state.in_(list(states)))
        if levels is not None:
            conditions.append(alerts.c.level.in_(list(levels)))
        with self._database.read() as connection:
            found = alert_store.page(connection, conditions, limit, after)
            return Page(alert_store.records(connection, found), found.next)

    def get(self, alert_id: str) -> Alert:
        """Raises ``AlertNotFound``."""
        with self._database.read() as connection:
            return alert_store.records(connection, [alert_store.find(connection, alert_id)])[0]

    def face(self, alert_id: str) -> Trace | None:
        """The face behind an alert; None once it is erased. Raises ``AlertNotFound``."""
        with self._database.read() as connection:
            row = alert_store.find(connection, alert_id)
            log = _log(connection, row)
            found = traces.read(log, [{"id": row["event_id"]}]).get(row["event_id"])
        if found is None:
            return None
        contract, vector, crop = found
        return Trace(
            Embeddings(vector[None], contract), None if crop is None else decode_crop(crop)
        )

    def answer(
        self,
        alert_id: str,
        verb: Verb,
        *,
        actor: str,
        note: str = "",
        targets: Sequence[str] = (),
    ) -> Alert:
        """``acknowledge``: somebody looks at it. ``confirm``: it is them; two people say so where
        the list wants four eyes. ``escalate``: somebody else has to act. ``dismiss``: it is not
        them, and this face is not taken for them again, at any camera, until that is undone.

        The same answer again changes nothing. Raises ``AlertNotFound``, ``AlertAnswered``,
        ``SecondPersonNeeded``, ``InputError``.
        """
        if verb not in VERBS:
            raise InputError(f"answer {verb!r} is unknown; use {', '.join(VERBS)}")
        who, why = remark("actor", actor), remark("note", note)
        with self._database.write() as connection:
            row = alert_store.find(connection, alert_id)
            (now,) = alert_store.records(connection, [row])
            if not check(verb, now.steps, now.four_eyes, who, actor_now()):
                return now
            silent = row["level"] == "review" and verb not in TOLD
            log = _log(connection, row) if silent else self._told(connection, row, targets)
            correction = None
            if verb == "dismiss":
                about = _events.find(log, now.event_id)
                made, _ = correcting.correct(log, about, "not_person", signed(who), why, block=True)
                correction = made["uid"]
            alert_store.step(connection, row, verb, who, why, correction)
            _note(connection, row, f"alert.{verb}")
            row = alert_store.settle(connection, row)
            if verb in TOLD and row["state"] == TO[verb]:
                self._tell(log, row, verb, signed(who), why, len(now.steps))
            return alert_store.records(connection, [row])[0]

    def undo(self, alert_id: str, *, actor: str, note: str = "") -> Alert:
        """Take the newest step back; after a dismissal the face may alert again.

        Raises ``InputError`` where there is nothing to take back.
        """
        who, why = signed(actor), remark("note", note)
        with self._database.write(erases=True) as connection:
            row = alert_store.find(connection, alert_id)
            taken = alert_store.steps_of(connection, [row["id"]]).get(row["id"], [])
            last = next((one for one in reversed(taken) if one["undone_by"] is None), None)
            if last is None:
                raise InputError("nothing was answered, so there is nothing to take back")
            if last["correction_uid"] is not None:
                silent = row["level"] == "review"
                log = _log(connection, row) if silent else self._told(connection, row)
                about = _events.find(log, last["correction_uid"])
                correcting.correct(log, about, "void", who, why)
            alert_store.undo(connection, last, who)
            _note(connection, row, "alert.undo", step=last["verb"])
            return alert_store.records(connection, [alert_store.settle(connection, row)])[0]

    # time

    def forget(self, now: datetime | None = None) -> int:
        """Erase alerts that are older than their lists keep them, with event and face, and the
        faces of those dismissed a day ago; returns how many alerts went."""
        moment = now or datetime.now(UTC)
        gone = 0
        with self._database.read() as connection:
            every = store.every(connection, None, None)
        for row in every:
            keep = timedelta(days=store.record(row).terms.keep_days)
            own = alerts.c.list_id == row["id"]
            old = sa.and_(own, alerts.c.raised_at < to_us(moment - keep))
            cold = sa.and_(
                own, alerts.c.state == "dismissed",
                alerts.c.raised_at < to_us(moment - DISMISSED_KEPT),
                sa.exists().where(_traces.c.event_id == alerts.c.event_id),
            )  # fmt: skip
            with self._database.read() as connection:
                query = sa.select(alerts.c.id).where(sa.or_(old, cold)).limit(1)
                if connection.execute(query).first() is None:
                    continue
            with self._database.write(erases=True) as connection:
                collection = _collections.by_id(connection, row["collection_id"])
                gone += alert_store.erase(connection, collection, old)
                log = _log(connection, row)
                faces = connection.execute(sa.select(alerts.c.event_id).where(cold)).scalars()
                traces.erase_of(log, list(faces))
        return gone

    # inside

    def _told(self, connection: Connection, row: Row, targets: Sequence[str] = ()) -> Log:
        """What is written in it is told, to ``targets`` and whoever subscribed."""
        return replace(_log(connection, row), targets=targets, subscribed=self._database.outboxes)

    def _whom(self, connection: Connection, seen: Seen) -> tuple[Row, Row] | None:
        """The list and the person, where it has not expired and they are on it still."""
        query = sa.select(watchlists.c.id).where(watchlists.c.uid == seen.list_id)
        key = connection.execute(query).scalar()
        if key is None:
            return None
        row = store.by_key(connection, key)
        who = sa.select(people).where(
            people.c.uid == seen.person_id, people.c.collection_id == row["collection_id"]
        )
        person = connection.execute(who).mappings().first()
        if person is None or store.record(row).expired():
            return None
        return (row, person) if store.is_member(connection, row, person) else None

    def _write(self, log: Log, row: Row, seen: Seen, uid: str) -> Row | None:
        details = {"step": "raise", "alert_id": uid, "list_id": row["uid"], "level": seen.level}
        return decided.write(
            log,
            "alert",
            (row["uid"], seen.level, seen.place.camera, seen.person_id, to_us(seen.at), seen.mark),
            seen.place,
            seen.at,
            grounds={**seen.grounds, "details": {**details, **seen.grounds.get("details", {})}},
            person_id=seen.person_id,
            vector=seen.vector,
            crop=seen.crop,
        )

    def _tell(self, log: Log, row: Row, verb: Verb, actor: str, note: str, number: int) -> None:
        """Those who hear of alerts hear what became of one."""
        details = {"step": verb, "alert_id": row["uid"], "list_id": row["list_uid"],
                   "level": row["level"]}  # fmt: skip
        about = log.execute(sa.select(events.c.place).where(events.c.id == row["event_id"]))
        decided.write(
            log,
            "alert",
            (row["uid"], verb, number),
            Place(about.scalar_one(), row["camera"]),
            datetime.now(UTC),
            grounds={"details": details},
            person_id=row["person_uid"],
            actor=actor,
            note=note,
        )


def forget(gallery: Gallery) -> int:
    """``Alerts.forget``, for whoever keeps house."""
    return Alerts(gallery).forget()


def _note(connection: Connection, row: Row, verb: str, **details: Any) -> None:
    append(
        connection, verb=verb, subject=f"alert:{row['uid']}", collection=row["collection_uid"],
        details={"list": row["list_uid"], "person": row["person_uid"], **details},
    )  # fmt: skip


def _later(known: Row, at: int, until: int) -> dict[str, int]:
    """An alert's columns after somebody was seen from ``at`` to ``until``."""
    again = int(at > known["last_seen_at"])
    return {
        "last_seen_at": max(until, known["last_seen_at"]),
        "sightings": known["sightings"] + again,
    }


def _log(connection: Connection, row: Row) -> Log:
    """Nobody is told of what is written in it."""
    return Log(connection, _collections.by_id(connection, row["collection_id"]))


def _known(what: str, given: Collection[str] | None, known: Sequence[str]) -> None:
    if given is not None and not set(given) <= set(known):
        raise InputError(f"an alert's {what} is one of {', '.join(known)}")
