"""Openings: each claimed once in the database, before its output is triggered.

    asked → claimed → opened | failed | unknown          asked → refused | expired

A claim and the event that tells of it are one transaction, in which everything that another process
may have changed is asked again. Nobody ever triggers an opening that is claimed already: what a
crash left behind becomes ``unknown``, and is not repeated.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.access import machine, passages, store
from arcid.apps.access.machine import ASKED_S, Answer, DoorState, Now, Order, Position, State
from arcid.apps.access.rules import Door
from arcid.apps.access.tables import doors, openings
from arcid.errors import NotFound, UsageError
from arcid.events.store.correcting import signed
from arcid.gallery import Gallery
from arcid.gallery.store.audit import append
from arcid.gallery.store.journal import from_us, to_us

OpeningState = Literal["asked", "claimed", "opened", "failed", "unknown", "refused", "expired"]
WAIT_S = 8.0  # for the outcome of an opening by hand
UNKNOWN_AFTER_S = 60.0  # no output takes so long
CRASHED = "the process ended before it knew whether the door opened; it was not tried again"
NOBODY = "no running service has this door's output"
OTHER_DOOR = "this id was another door's: every opening has a new one"


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening and what became of it."""

    id: str
    state: OpeningState
    detail: str | None
    asked_at: datetime
    actor: str | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The state after a claim, the answer that counts, and the opening to be carried out."""

    state: State
    answer: Answer
    opening: str | None  # None: refused
    before: Mapping[str, Position | None] = field(default_factory=dict)  # where people were


class Openings:
    """Thread-safe; every change is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def ask(self, order: Order) -> str:
        """An opening by hand, left to whoever has the door's output; its id. The same order again
        is the same opening. Raises ``DoorNotFound``, ``UsageError`` for an id of another door."""
        with self._database.write() as connection:
            door = store.find(connection, order.door)
            known = store.opening(connection, order.id)
            if known is not None and known["door_id"] != door["id"]:
                raise UsageError(OTHER_DOOR)
            if known is not None:
                return str(known["uid"])
            values = {
                "uid": uuid.uuid4().hex, "door_id": door["id"],
                "opening_key": store.opening_key(order.id), "state": "asked",
                "actor": order.actor, "why": order.why, "asked_at": to_us(order.at),
            }  # fmt: skip
            connection.execute(openings.insert().values(values))
            append(
                connection, verb="door.open", subject=f"door:{door['uid']}", reason=order.why,
                collection=door["collection_uid"], details={"opening": values["uid"]},
            )  # fmt: skip
            return str(values["uid"])

    def order(self, door: Door, actor: str, why: str) -> str:
        """``ask`` for one opening now; its id."""
        return self.ask(Order(uuid.uuid4().hex, door.id, signed(actor), why, datetime.now(UTC)))

    def wait(self, opening: str, seconds: float = WAIT_S, *, taken: bool = False) -> Opening:
        """What became of one, or how it stands after so long; ``taken``: once somebody has it."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.get(opening)
            if found is None:
                raise NotFound("the opening was forgotten meanwhile")
            busy = found.state == "asked" or (found.state == "claimed" and not taken)
            if not busy or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    def asked(self, door_ids: Collection[str], now: datetime) -> list[tuple[str, Order]]:
        """(opening, order) that wait at these doors; those that waited too long expire."""
        query = (
            sa.select(openings, doors.c.uid.label("door"))
            .join(doors, doors.c.id == openings.c.door_id)
            .where(openings.c.state == "asked")
            .order_by(openings.c.id)
        )
        with self._database.read() as connection:
            rows = list(connection.execute(query).mappings())
        late = to_us(now) - int(ASKED_S * 1e6)
        old = [row["id"] for row in rows if row["asked_at"] < late]
        if old:
            with self._database.write() as connection:
                still = sa.and_(openings.c.id.in_(old), openings.c.state == "asked")
                connection.execute(
                    openings.update().where(still).values(state="expired", detail=NOBODY)
                )
        return [
            (row["uid"], Order(row["uid"], row["door"], row["actor"], row["why"],
                               from_us(row["asked_at"])))
            for row in rows
            if row["id"] not in old and row["door"] in door_ids
        ]  # fmt: skip

    def get(self, opening: str) -> Opening | None:
        """By id; None where there is none, or it was forgotten."""
        with self._database.read() as connection:
            query = sa.select(openings).where(openings.c.uid == opening)
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        return Opening(row["uid"], row["state"], row["detail"], from_us(row["asked_at"]),
                       row["actor"])  # fmt: skip

    def claim(self, state: State, answer: Answer, now: Now) -> Claimed:
        """Make a granted answer an opening, once, or say why not; both are written down.

        Raises ``GalleryError`` kinds where the database does not take it: then nothing was claimed.
        """
        persons = [p for p in (answer.person_id, answer.with_id) if p is not None]
        with self._database.write() as connection:
            row = store.find(connection, answer.door)
            door = store.record(row)
            site = store.site(connection, door=door.id, persons=persons)
            known = merged(state, store.standing(connection), store.where(connection, persons),
                           persons)  # fmt: skip
            if not _free(connection, answer):
                known = replace(known, spent={**known.spent, answer.id: now.ticks})
            after, answer = machine.claim(site, known, answer, now)
            opening = answer.id if answer.actor else uuid.uuid4().hex
            log = passages.log_of(self._database, connection, door)
            passages.write(log, door, answer, now.at, opening if answer.granted else None)
            if not answer.granted:
                if answer.actor:
                    self._end(connection, answer.id, "refused", answer.words, now)
                return Claimed(after, answer, None)
            at = to_us(now.at)
            if answer.actor:
                own = sa.and_(openings.c.uid == opening, openings.c.state == "asked")
                connection.execute(
                    openings.update().where(own).values(state="claimed", claimed_at=at)
                )
            else:
                values = {
                    "uid": opening, "door_id": row["id"], "state": "claimed",
                    "opening_key": store.opening_key(answer.id), "person_uid": answer.person_id,
                    "asked_at": at, "claimed_at": at,
                }  # fmt: skip
                connection.execute(openings.insert().values(values))
            connection.execute(doors.update().where(doors.c.uid == door.id).values(opened_at=at))
            for person in persons:
                store.place(connection, person, door.area, at)
            before = {person: known.positions.get(person) for person in persons}
            return Claimed(after, answer, opening, before)

    def refuse(self, answer: Answer, now: Now) -> None:
        """An order by hand that the machine refused, written down."""
        with self._database.write() as connection:
            door = store.record(store.find(connection, answer.door))
            passages.write(passages.log_of(self._database, connection, door), door, answer, now.at)
            self._end(connection, answer.id, "refused", answer.words, now)

    def settle(
        self,
        opening: str,
        became: OpeningState,
        detail: str,
        at: datetime,
        *,
        back: Mapping[str, Position | None] | None = None,
    ) -> None:
        """What became of one that was claimed. ``back``: who did not go through, and where they
        are."""
        own = sa.and_(openings.c.uid == opening, openings.c.state == "claimed")
        values = {"state": became, "detail": detail[:200] or None, "ended_at": to_us(at)}
        with self._database.write() as connection:
            connection.execute(openings.update().where(own).values(values))
            for person, place in (back or {}).items():
                store.leave(connection, person)
                if place is not None:
                    store.place(connection, person, place.area, to_us(place.at))

    def abandon(self, now: datetime, *, older_s: float = UNKNOWN_AFTER_S) -> int:
        """Openings that were claimed and never settled are ``unknown``; returns how many."""
        late = to_us(now) - int(older_s * 1e6)
        left = sa.and_(openings.c.state == "claimed", openings.c.claimed_at <= late)
        with self._database.read() as connection:
            if connection.execute(sa.select(openings.c.id).where(left)).first() is None:
                return 0
        values = {"state": "unknown", "detail": CRASHED, "ended_at": to_us(now)}
        with self._database.write() as connection:
            return connection.execute(openings.update().where(left).values(values)).rowcount

    def _end(self, connection: Connection, uid: str, state: str, why: str, now: Now) -> None:
        own = sa.and_(openings.c.uid == uid, openings.c.state == "asked")
        values = {"state": state, "detail": why[:200], "ended_at": to_us(now.at)}
        connection.execute(openings.update().where(own).values(values))


def merged(
    state: State,
    doors_now: Mapping[str, DoorState],
    where: Mapping[str, Position],
    persons: Collection[str] | None = None,
) -> State:
    """What this process knows, with what the database says: the newest opening of a door, a
    lock-down there or here, where people are (of ``persons`` only, or of all)."""
    known = dict(state.doors)
    for uid, there in doors_now.items():
        here = state.door(uid)
        newer = there.opened_at is not None and (
            here.opened_at is None or there.opened_at > here.opened_at
        )
        known[uid] = replace(
            here,
            lockdown=there.lockdown,
            opened_at=there.opened_at if newer else here.opened_at,
            opened_ticks=None if newer else here.opened_ticks,
        )
    if persons is None:
        return replace(state, doors=known, positions=dict(where))
    kept = {uid: at for uid, at in state.positions.items() if uid not in persons}
    return replace(state, doors=known, positions={**kept, **where})


def _free(connection: Connection, answer: Answer) -> bool:
    """Whether no opening was made of the answer; one asked for by hand still waits."""
    if answer.actor:
        query = sa.select(openings.c.state).where(openings.c.uid == answer.id)
        return connection.execute(query).scalar() == "asked"
    return store.opening(connection, answer.id) is None


__all__ = ["Claimed", "Opening", "OpeningState", "Openings", "merged"]
