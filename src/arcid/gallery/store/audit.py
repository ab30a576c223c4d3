"""Rows of the audit, inside the caller's transaction: added, numbered and chained, never edited.

Writers queue (see ``database``), so there is one chain over all collections. A row's digest is the
sha256 of this JSON list, written without spaces and in ASCII (anything else as ``\\uXXXX``):

    [previous, seq, at, actor, verb, subject, collection_uid, reason, details, address]

``previous`` is the digest of the row before, 64 zeros for the first; ``at`` microseconds since
1970; ``details`` the text of a JSON object with sorted keys, written in the same way. Where a row
has no ``address``, the list ends before it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import InputError
from arcid.gallery import rules
from arcid.gallery.schema import Row, audit, gallery
from arcid.gallery.store.journal import Journal, now_us

FIRST = "0" * 64  # what the first row follows
MAX_WHO, MAX_SUBJECT, MAX_REASON, MAX_ADDRESS = 200, 200, 1000, 64  # characters
_VERB = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_COVERED = (
    "previous", "seq", "at", "actor", "verb", "subject", "collection_uid", "reason", "details",
)  # fmt: skip
_acting: ContextVar[tuple[str, str]] = ContextVar("arcid_acting", default=("library", ""))


@contextmanager
def acting(actor: str, address: str = "") -> Iterator[None]:
    """Who is behind what is done in the block, in this task or thread: KIND:ID, no name.

    ``address``: the client's, where somebody acts over a network. Raises ``InputError``.
    """
    token = _acting.set(_checked(actor, address))
    try:
        yield
    finally:
        _acting.reset(token)


def act_as(actor: str) -> None:
    """As ``acting``, for the rest of this task or thread."""
    _acting.set(_checked(actor, ""))


def actor_now() -> str:
    """Whom ``acting`` named last; ``library`` where nobody was."""
    return _acting.get()[0]


def address_now() -> str:
    """From where; empty where nobody acts over a network."""
    return _acting.get()[1]


def append(
    connection: Connection,
    *,
    verb: str,
    subject: str,
    actor: str | None = None,
    address: str | None = None,
    collection: str | None = None,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> Row:
    """The new row. ``connection`` is that of ``Database.write``.

    ``verb``: what was done, as ``person.delete``. ``subject``: to what, KIND:ID. ``actor``: who,
    KIND:ID; by default ``actor_now``. ``address``: from where; by default ``address_now``.
    ``collection``: its id. ``reason``: why, in the words of whoever acts. Names and vectors belong
    nowhere in it: it outlives the deletion of people.
    Raises ``InputError``.
    """
    return append_all(
        connection, [Told(verb, subject, actor, address, collection, reason, details)]
    )[0]


class Told(NamedTuple):
    """What ``append`` is told of one row."""

    verb: str
    subject: str
    actor: str | None = None
    address: str | None = None
    collection: str | None = None
    reason: str = ""
    details: Mapping[str, Any] | None = None


def checked(told: Told) -> dict[str, Any]:
    """What a row says, without its place in the chain. Raises ``InputError``."""
    if not _VERB.fullmatch(told.verb):
        raise InputError("a verb has 1 to 64 characters of a-z, 0-9, dot and underscore")
    actor = actor_now() if told.actor is None else told.actor
    return {
        "actor": rules.plain_text("actor", actor, 1, MAX_WHO),
        "address": (address_now() if told.address is None else told.address) or None,
        "verb": told.verb,
        "subject": rules.plain_text("subject", told.subject, 1, MAX_SUBJECT),
        "collection_uid": told.collection,
        "reason": rules.plain_text("reason", told.reason, 0, MAX_REASON),
        "details": _canonical(json.loads(rules.json_text(told.details, "details"))),
    }


def append_all(connection: Connection, told: Sequence[Told]) -> list[Row]:
    """``append`` for several, in order, which asks the database three times in all."""
    last = connection.execute(sa.select(gallery.c.audit_last, gallery.c.audit_digest)).one()
    seq, previous = last.audit_last, last.audit_digest
    rows: list[Row] = []
    for one in told:
        seq += 1
        row = {**checked(one), "seq": seq, "at": now_us(), "previous": previous}
        previous = row["digest"] = digest(row)
        rows.append(row)
    if rows:
        connection.execute(audit.insert(), rows)
        connection.execute(gallery.update().values(audit_last=seq, audit_digest=previous))
    return rows


def note(journal: Journal, collection: Row, verb: str, subject: Row, **details: Any) -> None:
    """A row about something of the gallery, whose kind is the first part of the verb."""
    append(
        journal.connection,
        verb=verb,
        subject=f"{verb.partition('.')[0]}:{subject['uid']}",
        collection=collection["uid"],
        details=details,
    )


def digest(row: Row) -> str:
    """What a row's ``digest`` has to be: hexadecimal, see the module."""
    said = [row[column] for column in _COVERED]
    if row["address"] is not None:
        said.append(row["address"])
    return hashlib.sha256(_canonical(said).encode()).hexdigest()


def _checked(actor: str, address: str) -> tuple[str, str]:
    return rules.plain_text("actor", actor, 1, MAX_WHO), rules.plain_text(
        "address", address, 0, MAX_ADDRESS
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
