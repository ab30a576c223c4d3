"""Alerts: raised by cameras, looked at and answered by people, and taken back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import partial

import sqlalchemy as sa

from arcid.apps.watchlists import alert_store, keeping
from arcid.apps.watchlists.alert_store import Outboxes
from arcid.apps.watchlists.raising import Seen, raised
from arcid.apps.watchlists.records import LEVELS, STATES, VERBS, Alert, Verb
from arcid.apps.watchlists.states import TO, check
from arcid.apps.watchlists.tables import alerts, watchlists
from arcid.errors import InputError
from arcid.events import Place, Trace
from arcid.events.audit import actor_now
from arcid.events.store import correcting, decided, traces
from arcid.events.store import events as _events
from arcid.events.store.correcting import remark, signed
from arcid.events.store.log import Log
from arcid.events.tables import events
from arcid.gallery import Gallery, Page
from arcid.gallery.again import again
from arcid.gallery.imaging import decode_crop
from arcid.gallery.schema import Row
from arcid.gallery.store import policies
from arcid.protection.keys import owner_of
from arcid.types import Embeddings

TOLD = ("confirm", "escalate")  # of what people answer


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
            return raised(connection, seen, (targets, self._boxes))

    # people

    @again
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

    @again
    def get(self, alert_id: str) -> Alert:
        """Raises ``AlertNotFound``."""
        with self._database.read() as connection:
            return alert_store.records(connection, [alert_store.find(connection, alert_id)])[0]

    @again
    def face(self, alert_id: str) -> Trace | None:
        """The face behind an alert; None once it is erased. Raises ``AlertNotFound``."""
        with self._database.read() as connection:
            row = alert_store.find(connection, alert_id)
            log = alert_store.log_of(connection, row)
            found = traces.read(log, [{"id": row["event_id"]}]).get(row["event_id"])
            hidden = policies.hidden(connection, log.collection)
        if found is None:
            return None
        contract, vector, crop = found
        return Trace(
            Embeddings(vector[None], contract),
            None if crop is None or hidden else decode_crop(crop),
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
            owner = partial(owner_of, connection)
            if not check(verb, now.steps, now.four_eyes, who, actor_now(), owner):
                return now
            silent = row["level"] == "review" and verb not in TOLD
            log = alert_store.log_of(connection, row, None if silent else (targets, self._boxes))
            correction = None
            if verb == "dismiss":
                about = _events.find(log, now.event_id)
                made, _ = correcting.correct(log, about, "not_person", signed(who), why, block=True)
                correction = made["uid"]
            alert_store.step(connection, row, verb, who, why, correction)
            alert_store.note(connection, row, f"alert.{verb}")
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
                log = alert_store.log_of(connection, row, None if silent else ((), self._boxes))
                about = _events.find(log, last["correction_uid"])
                correcting.correct(log, about, "void", who, why)
            alert_store.undo(connection, last, who)
            alert_store.note(connection, row, "alert.undo", step=last["verb"])
            return alert_store.records(connection, [alert_store.settle(connection, row)])[0]

    # time

    def forget(self, now: datetime | None = None) -> int:
        """Erase alerts that are older than their lists keep them, with event and face, and the
        faces of those dismissed a day ago; returns how many alerts went."""
        return keeping.erase_old(self._database, now or datetime.now(UTC))

    # inside

    @property
    def _boxes(self) -> Outboxes:
        """Those who subscribed to what is written here."""
        return self._database.outboxes

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


def _known(what: str, given: Collection[str] | None, known: Sequence[str]) -> None:
    if given is not None and not set(given) <= set(known):
        raise InputError(f"an alert's {what} is one of {', '.join(known)}")
