"""The audit: who looked at or decided about people, when and why; written once, checked as a chain.

    audit = Audit(gallery)
    audit.record(verb="list.view", subject="list:8f3a…", collection="guests", reason="shift change")
    audit.find(subject="person:3f2a…")        newest first
    audit.verify().problem                    None, or the first row or seal that is not as written

    with acting("account:77c0…", "192.0.2.7"): ...    whom rows name that are written in the block
    append(connection, verb=…, subject=…)     in a transaction of one's own

Rows are chained over all collections of a database: nobody takes one out or changes it unnoticed,
short of writing all later ones anew. They hold ids, no names and no vectors, and stay when people
are deleted; so whoever gives a ``reason`` leaves names out of it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import CollectionNotFound
from arcid.events import seals as _seals
from arcid.gallery import Gallery
from arcid.gallery.paging import Order, Page, check_limit
from arcid.gallery.schema import Row, audit, gallery
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import journal
from arcid.gallery.store.audit import (
    FIRST,
    Told,
    acting,
    actor_now,
    address_now,
    append,
    append_all,
    checked,
    digest,
)
from arcid.gallery.store.journal import from_us, to_us
from arcid.types import instant

__all__ = [
    "Audit",
    "Entry",
    "Told",
    "Verified",
    "acting",
    "actor_now",
    "address_now",
    "append",
    "append_all",
    "checked",
]

AUDIT = Order("audit", (int,))  # seq


@dataclass(frozen=True, slots=True)
class Entry:
    """One row."""

    seq: int  # from 1, without a gap
    at: datetime  # UTC
    actor: str  # KIND:ID, such as account:77c0…, key:1f8e22aa, os:1000, library
    verb: str
    subject: str  # KIND:ID
    collection_id: str | None
    reason: str
    details: Mapping[str, Any]
    digest: str  # sha256 over this row and the digest before it
    address: str | None = None  # of the client, where somebody acted over a network

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return {
            "seq": self.seq,
            "at": instant(self.at),
            "actor": self.actor,
            "verb": self.verb,
            "subject": self.subject,
            "collection_id": self.collection_id,
            "reason": self.reason,
            "details": dict(self.details),
            "digest": self.digest,
            "address": self.address,
        }


@dataclass(frozen=True, slots=True)
class Verified:
    """What reading the whole chain found."""

    rows: int  # those that are as written, from the first on
    digest: str  # of the last of them; 64 zeros where there is none
    first_wrong: int | None  # seq of the first row that is not as written, or is missing
    problem: str | None  # in words
    seals: int = 0  # days that are sealed, each as it was signed
    sealed: int = 0  # up to this row
    unsealed_days: tuple[date, ...] = ()  # since the first seal, that should have one

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "rows": self.rows,
            "digest": self.digest,
            "first_wrong": self.first_wrong,
            "problem": self.problem,
            "seals": self.seals,
            "sealed": self.sealed,
            "unsealed_days": [day.isoformat() for day in self.unsealed_days],
        }


class Audit:
    """Reads, adds to and checks the audit. Thread-safe; every method is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def record(
        self,
        *,
        verb: str,
        subject: str,
        actor: str | None = None,
        collection: str | None = None,
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> Entry:
        """One row by itself; as ``append``, but ``collection`` is a name.

        Raises ``CollectionNotFound``, ``InputError``.
        """
        with self._database.write() as connection:
            own = None if collection is None else _collections.find(connection, collection)["uid"]
            row = append(
                connection, verb=verb, subject=subject, actor=actor, collection=own,
                reason=reason, details=details,
            )  # fmt: skip
            return _entry(row)

    def find(
        self,
        *,
        actor: str | None = None,
        verb: str | None = None,
        subject: str | None = None,
        collection: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = 100,
        after: str | None = None,
    ) -> Page[Entry]:
        """Newest first. ``verb`` without its last part finds all of them: ``person``.

        ``collection``: its name, or the id of one that may be gone. ``until`` is exclusive;
        ``after`` is ``next`` of the page before. Raises ``CursorInvalid``, ``CollectionNotFound``.
        """
        c = audit.c
        query = sa.select(audit).order_by(c.seq.desc()).limit(check_limit(limit))
        for column, value in ((c.actor, actor), (c.subject, subject)):
            if value is not None:
                query = query.where(column == value)
        if verb is not None:
            under = c.verb.startswith(f"{verb}.", autoescape=True)
            query = query.where(sa.or_(c.verb == verb, under))
        if since is not None:
            query = query.where(c.at >= to_us(since))
        if until is not None:
            query = query.where(c.at < to_us(until))
        with self._database.read() as connection:
            owner = journal.head(connection).identity
            if collection is not None:
                query = query.where(c.collection_uid == _uid_of(connection, collection))
            if after is not None:
                (below,) = AUDIT.place(owner, after)
                query = query.where(c.seq < below)
            rows = connection.execute(query).mappings().all()
            found = AUDIT.page(owner, rows, limit, lambda row: (row["seq"],))
        return Page([_entry(row) for row in found], found.next)

    def verify(
        self, fingerprints: Collection[str] | None = None, now: datetime | None = None
    ) -> Verified:
        """Read every row and seal: whether each is as it was written, in its place, and none is
        missing. ``fingerprints``: of the keys that seals may be signed by; None: any.
        """
        rows, previous, held = 0, FIRST, 0
        with self._database.read() as connection:
            head = connection.execute(sa.select(gallery)).mappings().one()
            seals = _seals.every(connection)
            unsealed = tuple(_seals.missing(seals, now or datetime.now(UTC)))
            sealed = {seal.row: None for seal in seals}
            query = sa.select(audit).order_by(audit.c.seq)
            with connection.execute(query, execution_options={"yield_per": 1000}) as streamed:
                for row in streamed.mappings():
                    wrong = _wrong(row, rows + 1, previous)
                    if wrong is not None:
                        return Verified(rows, previous, *wrong)
                    rows, previous = row["seq"], row["digest"]
                    if rows in sealed:
                        sealed[rows] = previous
        wrong = _at_the_end(head, rows, previous)
        for seal in seals:
            told = _seals.wrong(seal, head["identity"], sealed[seal.row], fingerprints)
            if told is not None and wrong is None:
                wrong = seal.row, told
            held += told is None
        last = seals[-1].row if seals else 0
        first, problem = wrong or (None, None)
        return Verified(rows, previous, first, problem, held, last, unsealed)


def _at_the_end(head: Row, rows: int, previous: str) -> tuple[int, str] | None:
    """What is wrong where the rows end, which were read up to ``rows``."""
    last = head["audit_last"]
    if rows < last:
        return rows + 1, f"row {rows + 1} was removed: the audit ended with row {last}"
    if rows > last:
        added = f"row {last + 1} was not added by arcid: the audit ended with row {last}"
        return last + 1, added
    if previous != head["audit_digest"]:
        return rows, f"row {rows} is not the one that was written last"
    return None


def _wrong(row: Row, expected: int, previous: str) -> tuple[int, str] | None:
    """Which row is not as written, and why, where ``row`` was met in the place ``expected``."""
    seq = row["seq"]
    if seq > expected:
        return expected, f"row {expected} was removed: row {seq} comes in its place"
    follows = row["previous"] == previous
    if seq < expected or digest(row) != row["digest"] or (seq == 1 and not follows):
        return seq, f"row {seq} was altered or moved: its digest is not that of what it says"
    if not follows:
        return seq - 1, f"row {seq - 1} was written anew: row {seq} was added after another one"
    return None


def _uid_of(connection: Connection, collection: str) -> str:
    try:
        return str(_collections.find(connection, collection)["uid"])
    except CollectionNotFound:
        if len(collection) != 32:
            raise
        return collection


def _entry(row: Row) -> Entry:
    return Entry(
        row["seq"],
        from_us(row["at"]),
        row["actor"],
        row["verb"],
        row["subject"],
        row["collection_uid"],
        row["reason"],
        json.loads(row["details"]),
        row["digest"],
        row["address"],
    )
