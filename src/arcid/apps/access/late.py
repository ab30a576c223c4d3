"""Openings made while the database was away, written down when it is back."""

from __future__ import annotations

import uuid
from contextlib import suppress

from arcid.apps.access import passages, store
from arcid.apps.access.openings import CRASHED
from arcid.apps.access.rules import Door
from arcid.apps.access.states import Answer
from arcid.apps.access.tables import openings
from arcid.errors import DoorNotFound
from arcid.events.store.log import Log
from arcid.gallery.database import Database
from arcid.gallery.schema import Row
from arcid.gallery.store.audit import append
from arcid.gallery.store.journal import to_us


def add(database: Database, answer: Answer, became: str, detail: str, then: Door | None) -> None:
    """Once; a crash left ``claimed`` behind. Of a door that was deleted the passage alone is
    written, at the door as it was ``then``.

    Raises ``CollectionNotFound``, and ``DoorNotFound`` where ``then`` is not known.
    """
    with database.write() as connection:
        row: Row | None = None
        with suppress(DoorNotFound):
            row = store.find(connection, answer.door)
        door = then if row is None else store.record(row)
        if door is None:
            raise DoorNotFound("a door that was deleted meanwhile")
        if store.opening(connection, answer.id) is not None:
            return
        opening = None if row is None else uuid.uuid4().hex
        log = passages.log_of(database, connection, door)
        if passages.write(log, door, answer, answer.now.at, opening) is None:
            return
        if answer.actor:
            _audit(log, answer, opening)
        if row is None:
            return
        at, lost = to_us(answer.now.at), became == "claimed"
        values = {
            "uid": opening, "door_id": row["id"], "opening_key": store.opening_key(answer.id),
            "state": "unknown" if lost else became, "person_uid": answer.person_id,
            "actor": answer.actor or None, "asked_at": at, "claimed_at": at, "ended_at": at,
            "detail": CRASHED if lost else detail or None,
        }  # fmt: skip
        connection.execute(openings.insert().values(values))
        for person in (answer.person_id, answer.with_id):
            if person is not None and became != "failed":
                store.place(connection, person, door.area, at, late=True)


def _audit(log: Log, answer: Answer, opening: str | None) -> None:
    """By hand: nobody could write it down when it was asked for."""
    why = next(str(r.values["why"]) for r in answer.reasons if r.code == "by_hand")
    append(
        log.connection, verb="door.open", subject=f"door:{answer.door}", reason=why,
        collection=log.collection["uid"], details={"opening": opening, "offline": True},
        actor="service:doors", address="",
    )  # fmt: skip


__all__ = ["add"]
