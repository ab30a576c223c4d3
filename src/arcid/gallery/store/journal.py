"""The change log: what a transaction did, numbered in commit order.

The counter row is locked from the start of every write (see ``database``), so numbers are given
out, and become visible, in the order of the commits: nobody who has seen number n can later meet a
smaller one.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import InputError
from arcid.gallery.database import Database
from arcid.gallery.records import Change, ChangeKind
from arcid.gallery.schema import changes, gallery
from arcid.gallery.store import sealed

FAR_BEHIND = 100_000  # changes after which building an index anew is cheaper than following
ERASING = ("face_removed", "contract_removed", "collection_removed")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Head(NamedTuple):
    """Which state of which database a transaction sees; equal heads mean equal content."""

    identity: str
    last_change: int
    stamp: int


class Journal:
    """A write transaction and the log entries it will commit with."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.now = now_us()
        self._entries: list[dict[str, Any]] = []

    def record(
        self,
        kind: ChangeKind,
        collection: Any,
        *,
        person: Any = None,
        face: Any = None,
        contract: str | None = None,
    ) -> None:
        """``collection``, ``person`` and ``face`` are mappings with ``id`` and ``uid``."""
        self._entries.append(
            {
                "kind": kind,
                "collection_key": collection["id"],
                "collection_uid": collection["uid"],
                "person_key": person and person["id"],
                "person_uid": person and person["uid"],
                "face_key": face and face["id"],
                "face_uid": face and face["uid"],
                "contract": contract,
                "at": self.now,
            }
        )

    def insert(self, table: sa.Table, values: dict[str, Any]) -> dict[str, Any]:
        """The row as stored, with the ``id`` it was given."""
        key = self.connection.execute(table.insert(), values).inserted_primary_key
        return values | {"id": None if key is None else key[0]}

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of the transaction that is undone by itself where it raises."""
        entries = len(self._entries)
        try:
            with self.connection.begin_nested():
                yield
        except BaseException:
            del self._entries[entries:]
            raise

    def flush(self) -> None:
        if not self._entries:
            return
        first = head(self.connection).last_change + 1
        numbered = [{"seq": first + i} | entry for i, entry in enumerate(self._entries)]
        self.connection.execute(changes.insert(), numbered)
        for uid in {e["collection_uid"] for e in self._entries if e["kind"] in ERASING}:
            sealed.doom_index(self.connection, uid)
        self.connection.execute(
            gallery.update().values(last_change=numbered[-1]["seq"], stamp=secrets.randbits(62))
        )


@contextmanager
def writing(database: Database, *, erases: bool = False) -> Iterator[Journal]:
    """One write: everything done in the block and its log entries commit together, or not.

    ``erases``: as ``Database.write``.
    """
    with database.write(erases=erases) as connection:
        journal = Journal(connection)
        yield journal
        journal.flush()


def head(connection: Connection) -> Head:
    row = connection.execute(
        sa.select(gallery.c.identity, gallery.c.last_change, gallery.c.stamp)
    ).one()
    return Head(*row)


def read(connection: Connection, after: int, limit: int) -> list[Change]:
    rows = connection.execute(
        sa.select(changes).where(changes.c.seq > after).order_by(changes.c.seq).limit(limit)
    ).mappings()
    return [
        Change(
            row["seq"],
            row["collection_uid"],
            row["kind"],
            row["face_uid"],
            row["person_uid"],
            row["contract"],
            from_us(row["at"]),
        )
        for row in rows
    ]


def entry(connection: Connection, seq: int) -> tuple[Any, ...] | None:
    """The entry of that number, None where it is not there."""
    row = connection.execute(sa.select(changes).where(changes.c.seq == seq)).first()
    return None if row is None else tuple(row)


def digest(entry: Sequence[Any] | None) -> str:
    """Of an entry, so that what stands at it knows it again."""
    return hashlib.sha256(json.dumps(entry and list(entry)).encode()).hexdigest()


def since(connection: Connection, after: int, now: Head) -> list[Any] | None:
    """Every entry above ``after``; None where some were pruned, or building anew is cheaper."""
    if not 0 <= now.last_change - after <= FAR_BEHIND:
        return None
    query = sa.select(changes).where(changes.c.seq > after).order_by(changes.c.seq)
    entries = list(connection.execute(query).mappings())
    return entries if len(entries) == now.last_change - after else None


def prune(connection: Connection, keep: int) -> int:
    """Forget all but the newest ``keep`` entries; a reader further behind starts afresh."""
    last = head(connection).last_change
    return connection.execute(changes.delete().where(changes.c.seq <= last - keep)).rowcount


def now_us() -> int:
    return time.time_ns() // 1000


def to_us(at: datetime) -> int:
    """Microseconds since 1970. Raises ``InputError`` without a zone."""
    if at.tzinfo is None:
        raise InputError("times need a zone, such as 2026-03-01T08:00:00+01:00")
    try:
        since = at.astimezone(UTC) - _EPOCH
    except OverflowError:
        raise InputError("times lie between the years 1 and 9999") from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_us(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
