"""What doors answered, as events of kind ``access``: written once, read with names, forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.access import keeping, store
from arcid.apps.access.reasons import Reason
from arcid.apps.access.rules import Door
from arcid.apps.access.states import Answer, Outcome
from arcid.apps.access.tables import openings
from arcid.events import Event, Events, Place
from arcid.events.store import decided
from arcid.events.store.log import Log, writing
from arcid.gallery import Gallery
from arcid.gallery.database import Database
from arcid.gallery.paging import Page
from arcid.gallery.schema import people
from arcid.gallery.store import collections
from arcid.types import instant

GONE = "somebody since deleted"


@dataclass(frozen=True, slots=True)
class Passage:
    """One answer of a door, in the words of today."""

    id: str
    at: datetime
    door_id: str
    door: str
    outcome: Outcome
    reasons: tuple[Reason, ...]
    person_id: str | None
    name: str | None
    with_id: str | None
    actor: str | None
    note: str | None
    opening: str | None  # what became of it: opened, failed, unknown, claimed
    detail: str | None
    duress: bool
    offline_s: float | None
    target_fpir: float | None
    cosine: float | None

    @property
    def granted(self) -> bool:
        return self.outcome == "granted"

    @property
    def words(self) -> str:
        return "; ".join(one.words for one in self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {key: getattr(self, key) for key in self.__slots__ if key not in ("at", "reasons")}
        return plain | {
            "at": instant(self.at),
            "words": self.words,
            "reasons": [one.to_dict() for one in self.reasons],
        }


def write(
    log: Log, door: Door, answer: Answer, at: datetime, opening: str | None = None
) -> str | None:
    """The event's id; None where the answer was written before. Inside ``log``'s transaction."""
    decision = {} if answer.decision is None else answer.decision.to_dict()
    details = {
        "door_id": door.id,
        "outcome": answer.outcome,
        "reasons": [one.kept() for one in answer.reasons],
        "with_id": answer.with_id,
        "opening_id": opening,
        "duress": answer.duress,
        "offline_s": None if answer.copy_s is None else round(answer.copy_s, 1),
        "keep_days": door.keep_days,  # for the time when the door is gone
    }
    note = next((r.values["why"] for r in answer.reasons if r.code == "by_hand"), "")
    row = decided.write(
        log,
        "access",
        (door.id, answer.id, details["outcome"]),
        Place(door.name, door.camera),
        at,
        grounds={**decision, "details": details},
        person_id=_existing(log, answer.person_id),
        actor=answer.actor or None,
        note=str(note),
    )
    return None if row is None else str(row["uid"])


class Passages:
    """Thread-safe."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def note(self, door: Door, answer: Answer) -> str | None:
        """A refusal, written in a transaction of its own; see ``write``."""
        with writing(self._gallery.database, door.collection) as log:
            return write(log, door, answer, answer.now.at)

    def find(
        self,
        collection: str,
        *,
        door: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        person_id: str | None = None,
        limit: int | None = 100,
        after: str | None = None,
    ) -> Page[Passage]:
        """Newest first. ``door``: by id or name. Raises ``DoorNotFound``, ``CursorInvalid``."""
        with self._gallery.database.read() as connection:
            place = None if door is None else store.find(connection, door)["uid"]
        found = Events(self._gallery).find(
            collection, kinds=["access"], since=since, until=until, person_id=person_id,
            where=None if place is None else lambda event: _details(event).get("door_id") == place,
            limit=limit, after=after,
        )  # fmt: skip
        with self._gallery.database.read() as connection:
            return Page(_read(connection, found), found.next)

    def forget(self, now: datetime) -> int:
        """Erase passages and openings older than their door keeps them, and passages of doors that
        are gone when these said so; returns how many passages."""
        return keeping.erase_old(self._gallery.database, now)


def forget_old(gallery: Gallery) -> int:
    """The service's task: ``Passages.forget`` now."""
    return Passages(gallery).forget(datetime.now(UTC))


def log_of(database: Database, connection: Connection, door: Door) -> Log:
    """The event log that a door's answers go to, in an open write."""
    own = collections.find(connection, door.collection)
    return Log(connection, own, (), database.outboxes)


def _details(event: Event) -> Mapping[str, Any]:
    found: Mapping[str, Any] = event.grounds.get("details") or {}
    return found


def _read(connection: Connection, found: list[Event]) -> list[Passage]:
    with_ids = {_details(event).get("with_id") for event in found} - {None}
    names: dict[str, str] = {}
    if with_ids:
        query = sa.select(people.c.uid, people.c.name).where(people.c.uid.in_(with_ids))
        names = dict(connection.execute(query).tuples().all())
    became = _became(connection, [_details(event).get("opening_id") for event in found])
    return [_passage(event, names, became) for event in found]


def _passage(
    event: Event, names: Mapping[str, str], became: Mapping[str, tuple[str, str | None]]
) -> Passage:
    details, grounds = _details(event), event.grounds
    state, detail = became.get(str(details.get("opening_id")), (None, None))
    said = []
    for kept in details.get("reasons", ()):
        second = kept["code"] == "second_person"
        name = names.get(str(details.get("with_id")), GONE) if second else event.name or GONE
        said.append(Reason.read(kept, name=name, actor=event.actor or "", why=event.note or ""))
    return Passage(
        event.id, event.at, str(details.get("door_id")), event.place,
        details.get("outcome", "refused"), tuple(said), event.person_id, event.name,
        details.get("with_id"), event.actor, event.note, state, detail,
        bool(details.get("duress")), details.get("offline_s"), grounds.get("target_fpir"),
        grounds.get("cosine"),
    )  # fmt: skip


def _became(
    connection: Connection, openings_of: Sequence[str | None]
) -> dict[str, tuple[str, str | None]]:
    found: dict[str, tuple[str, str | None]] = {}
    ids = [one for one in openings_of if one is not None]
    for i in range(0, len(ids), 500):
        query = sa.select(openings.c.uid, openings.c.state, openings.c.detail).where(
            openings.c.uid.in_(ids[i : i + 500])
        )
        found |= {uid: (state, detail) for uid, state, detail in connection.execute(query)}
    return found


def _existing(log: Log, person_uid: str | None) -> str | None:
    query = sa.select(people.c.uid).where(
        people.c.uid == person_uid, people.c.collection_id == log.collection["id"]
    )
    return None if person_uid is None else log.execute(query).scalar()


__all__ = ["Passage", "Passages", "log_of", "write"]
