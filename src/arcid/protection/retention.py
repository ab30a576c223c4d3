"""What is older than its collection keeps it is erased, a little at a time, by one process.

    retention = Retention(gallery)
    retention.due()           what would be erased now, by collection
    retention.carry_out()     erases it; each part is one transaction that also counts it
    retention.runs()          what was erased when, newest first

Whatever happens in the middle, what was erased is erased and counted, and the rest is erased the
next time. What is due is asked again in the transaction that erases it, so that nobody who is seen
meanwhile is lost, and nothing is erased or counted twice.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import CollectionNotFound, GalleryBusy, PersonNotFound, StorageFull
from arcid.events import Duty
from arcid.events.duties import holders
from arcid.events.store import keeping, traces
from arcid.events.store.keeping import Whose
from arcid.events.store.log import Log, reading
from arcid.events.tables import blocks
from arcid.gallery import Gallery, Policy
from arcid.gallery.schema import Row, audit, collections, faces, people, retention_runs
from arcid.gallery.store import audit as _audit
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import people as _people
from arcid.gallery.store import policies as _policies
from arcid.gallery.store.journal import from_us, now_us, to_us
from arcid.types import instant

DUTY, LEASE_S = "retention", 30.0  # one that was killed keeps others out for so long
PEOPLE = 20  # of one transaction
KEPT_RUNS = 1000
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
KINDS = ("people", "strangers", "event_faces", "refused")


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one collection."""

    people: int = 0
    strangers: int = 0  # faces of people who are not enrolled
    event_faces: int = 0  # faces behind events of people who are
    refused: int = 0  # faces that were said not to be somebody

    @property
    def total(self) -> int:
        return self.people + self.strangers + self.event_faces + self.refused

    def to_dict(self) -> dict[str, int]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Run:
    """What one turn erased."""

    began_at: datetime  # UTC
    ended_at: datetime | None  # None: it is at work, or was ended in the middle
    by: str  # for people: which process
    erased: dict[str, Counts]  # by the collection's id
    total: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return {
            "began_at": instant(self.began_at),
            "ended_at": None if self.ended_at is None else instant(self.ended_at),
            "by": self.by,
            "erased": {uid: counts.to_dict() for uid, counts in self.erased.items()},
            "total": self.total,
        }


class Retention:
    """Thread-safe."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._database = gallery.database

    def due(self, now: datetime | None = None) -> dict[str, Counts]:
        """What is too old now, by the collection's name; nothing is changed."""
        at = now_us() if now is None else to_us(now)
        found = {}
        for name, _ in self._collections():
            try:
                with reading(self._database, name) as log:
                    found[name] = _due(log, _policies.find(log.connection, log.collection), at)
            except CollectionNotFound:
                continue
        return found

    def carry_out(self, now: datetime | None = None) -> Run:
        """Erase it. Raises ``GalleryBusy`` while another process does."""
        at = now_us() if now is None else to_us(now)
        duty = Duty(self._gallery, DUTY, lasts_s=LEASE_S)
        if not duty.mine():
            held = holders(self._gallery).get(DUTY)
            whom = "another process" if held is None else held[0]
            raise GalleryBusy(f"{whom} is erasing what is too old; try again when it is done")
        try:
            turn = _Turn(self._gallery, at, duty.mine)
            for name, _ in self._collections():
                turn.collection(name)
            return turn.end()
        finally:
            duty.release()

    def runs(self, limit: int = 50) -> list[Run]:
        """Newest first; turns that erased nothing leave one row."""
        query = sa.select(retention_runs).order_by(retention_runs.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def _collections(self) -> list[tuple[str, str]]:
        query = sa.select(collections.c.name, collections.c.uid).order_by(collections.c.id)
        with self._database.read() as connection:
            return [(name, uid) for name, uid in connection.execute(query)]


class _Turn:
    """One turn: what it erased is counted in the transactions that erase."""

    def __init__(self, gallery: Gallery, at: int, mine: Callable[[], bool]) -> None:
        self._gallery = gallery
        self._database = gallery.database
        self._at = at
        self._mine = mine
        self._erased: dict[str, dict[str, int]] = {}
        by = f"process {os.getpid()} on {socket.gethostname()}"[:200]
        values = {"began_at": now_us(), "holder": by, "erased": "{}"}
        with self._database.write() as connection:
            made = connection.execute(retention_runs.insert().values(values)).inserted_primary_key
            self._key = None if made is None else made[0]

    def collection(self, name: str) -> None:
        """All that is too old of one; one that is gone meanwhile is left out."""
        try:
            with _collections.reading(self._database, name) as (connection, own):
                policy = _policies.find(connection, own)
            self._people(name)
            self._faces(name, "strangers", _before(self._at, policy, "strangers"))
            self._faces(name, "event_faces", _before(self._at, policy, "event_faces"))
            self._refused(name)
        except CollectionNotFound:
            return

    def end(self) -> Run:
        with self._database.write() as connection:
            own = retention_runs.c.id == self._key
            connection.execute(retention_runs.update().where(own).values(ended_at=now_us()))
            _tidy(connection)
            row = connection.execute(sa.select(retention_runs).where(own)).mappings().one()
            return _record(row)

    def _people(self, name: str) -> None:
        while self._mine():
            with reading(self._database, name) as log:
                policy = _policies.find(log.connection, log.collection)
                ids = _ids(log, _people_due(log, policy, self._at).limit(PEOPLE))
            if not ids:
                return
            try:
                self._delete(name, ids)
            except StorageFull:  # the smallest steps there are
                for one in ids:
                    self._delete_slowly(name, one)

    def _delete(self, name: str, ids: list[str]) -> None:
        with _collections.writing(self._database, name, erases=True) as (log, own):
            policy = _policies.find(log.connection, own)
            again = _people_due(Log(log.connection, own), policy, self._at)
            still = _ids(Log(log.connection, own), again.where(people.c.uid.in_(ids)))
            for one in still:
                row = _people.find(log.connection, own, one)
                _people.delete(log, own, row, reason=_why(policy, row, self._at))
            self._count(log.connection, own, "people", len(still))

    def _delete_slowly(self, name: str, person: str) -> None:
        try:
            self._gallery.delete_person(name, person)
        except PersonNotFound:
            return
        with _collections.writing(self._database, name) as (log, own):
            self._count(log.connection, own, "people", 1)

    def _faces(self, name: str, whose: Whose, before: int) -> None:
        after: int | None = 0
        while after is not None and self._mine():
            with reading(self._database, name) as log:
                found, after = keeping.old(log, whose, before, after=after)
            if not found:
                continue
            with _collections.writing(self._database, name, erases=True) as (journal, own):
                log = Log(journal.connection, own)
                still, _ = keeping.old(log, whose, before, among=found)
                traces.erase_of(log, still)
                self._count(journal.connection, own, whose, len(still))

    def _refused(self, name: str) -> None:
        with reading(self._database, name) as log:
            policy = _policies.find(log.connection, log.collection)
            if not _count_refused(log, policy, self._at):
                return
        with _collections.writing(self._database, name, erases=True) as (journal, own):
            log = Log(journal.connection, own)
            before = _before(self._at, policy, "refused")
            gone = traces.drop_blocks(log, keeping.refused(log, before))
            self._count(journal.connection, own, "refused", gone)

    def _count(self, connection: Connection, own: Row, what: str, n: int) -> None:
        """In the transaction that erased: in the run's row, and in the audit."""
        if not n:
            return
        mine = self._erased.setdefault(own["uid"], {})
        counted = {**mine, what: mine.get(what, 0) + n}
        every = json.dumps({**self._erased, own["uid"]: counted})
        row = retention_runs.c.id == self._key
        connection.execute(retention_runs.update().where(row).values(erased=every))
        _audit.append(
            connection, verb="retention.erase", subject=f"collection:{own['uid']}",
            collection=own["uid"], details={what: n},
        )  # fmt: skip
        self._erased[own["uid"]] = counted


def sweep(gallery: Gallery) -> object:
    """The service's task: ``Retention.carry_out`` now."""
    return Retention(gallery).carry_out()


def _due(log: Log, policy: Policy, at: int) -> Counts:
    known = sa.select(sa.func.count()).select_from(_people_due(log, policy, at).subquery())
    strangers = set(_every(log, "strangers", _before(at, policy, "strangers")))
    event_faces = set(_every(log, "event_faces", _before(at, policy, "event_faces")))
    return Counts(
        int(log.execute(known).scalar_one()),
        len(strangers),
        len(event_faces - strangers),
        _count_refused(log, policy, at),
    )


def _every(log: Log, whose: Whose, before: int) -> Iterator[int]:
    after: int | None = 0
    while after is not None:
        found, after = keeping.old(log, whose, before, after=after)
        yield from found


def _people_due(log: Log, policy: Policy, at: int) -> sa.Select[tuple[str]]:
    """Ids of people who are too old, the oldest first."""
    own = log.collection["id"]
    old = []
    if policy.keep_days is not None:
        old.append(people.c.created_at < at - int(policy.keep_days * DAY_US))
    if policy.unseen_days is not None:
        since = at - int(policy.unseen_days * DAY_US)
        enrolled = sa.exists().where(faces.c.person_id == people.c.id, faces.c.created_at >= since)
        logged_in = sa.exists().where(
            audit.c.subject == sa.literal("person:") + people.c.uid,
            audit.c.verb == "person.authenticate",
            audit.c.at >= since,
        )
        seen = [people.c.uid.not_in(query) for query in keeping.seen_since(log, since)]
        old.append(
            sa.and_(people.c.created_at < since, sa.not_(enrolled), sa.not_(logged_in), *seen)
        )
    query = sa.select(people.c.uid).where(people.c.collection_id == own)
    return query.where(sa.or_(sa.false(), *old)).order_by(people.c.id)


def _why(policy: Policy, person: Row, at: int) -> str:
    keep = policy.keep_days
    if keep is not None and person["created_at"] < at - int(keep * DAY_US):
        return f"kept for {keep:g} days"
    return f"not seen for {policy.unseen_days:g} days"


def _before(at: int, policy: Policy, what: str) -> int:
    if what == "strangers":
        return at - int(policy.strangers_hours * HOUR_US)
    days = policy.event_faces_days if what == "event_faces" else policy.refused_days
    return 0 if days is None else at - int(days * DAY_US)


def _count_refused(log: Log, policy: Policy, at: int) -> int:
    if policy.refused_days is None:
        return 0
    old = keeping.refused(log, _before(at, policy, "refused"))
    query = sa.select(sa.func.count()).select_from(blocks).where(old)
    return int(log.execute(query).scalar_one())


def _ids(log: Log, query: sa.Select[tuple[str]]) -> list[str]:
    return list(log.execute(query).scalars())


def _tidy(connection: Connection) -> None:
    """Of turns that erased nothing the last is left, and of all the newest."""
    last = sa.select(sa.func.max(retention_runs.c.id)).scalar_subquery()
    runs = retention_runs.c
    idle = sa.and_(runs.erased == "{}", runs.ended_at.is_not(None), runs.id < last)
    connection.execute(retention_runs.delete().where(sa.or_(idle, runs.id <= last - KEPT_RUNS)))


def _record(row: Row) -> Run:
    erased = {uid: Counts(**counts) for uid, counts in json.loads(row["erased"]).items()}
    return Run(
        from_us(row["began_at"]),
        None if row["ended_at"] is None else from_us(row["ended_at"]),
        row["holder"],
        erased,
        sum(counts.total for counts in erased.values()),
    )


__all__ = ["Counts", "Retention", "Run", "sweep"]
