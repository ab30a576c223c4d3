"""Brings an engine's index to the state of the gallery that a transaction sees.

The index says which change of the log it was told last. From there it is followed; where the log
does not lead from there to here (a restored backup, pruned entries, an index that is new), it is
filled anew, a block at a time. Two processes never feed one index at once, and one that sees an
older state than the index has leaves it alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy.engine import Connection

from arcid.gallery.database import Database
from arcid.gallery.outside import Engine, Writer
from arcid.gallery.outside.turns import turn
from arcid.gallery.store import journal, vectors
from arcid.gallery.store.keys import chunks

_log = logging.getLogger(__name__)


class Position(NamedTuple):
    """A change of a gallery's log."""

    identity: str
    last_change: int
    stamp: int
    mark: str  # digest of the entry

    @classmethod
    def of(cls, connection: Connection, head: journal.Head) -> Position:
        return cls(*head, journal.digest(journal.entry(connection, head.last_change)))

    @classmethod
    def parse(cls, text: str | None) -> Position | None:
        try:
            return None if text is None else cls(*json.loads(text))
        except (TypeError, ValueError):
            return None

    def __str__(self) -> str:
        return json.dumps(list(self))


def feed(
    engine: Engine, database: Database, connection: Connection, collection_key: int, made_by: Any
) -> None:
    """Raises ``IndexUnavailable``: the index is as it was."""
    now = journal.head(connection)
    with nullcontext() if engine.locks else turn(database, "feeding"), engine.writing() as writer:
        at = Position.parse(writer.position)
        if at is not None and at[:3] == now:
            return
        if at is not None and at.identity == now.identity and at.last_change > now.last_change:
            with database.read() as newest:  # this transaction began before another one fed it
                if journal.digest(journal.entry(newest, at.last_change)) == at.mark:
                    return
        entries = _entries(connection, at, now)
        if entries is not None and any(_removes(e, collection_key, made_by) for e in entries):
            entries = None
        if entries is None:
            _fill(writer, connection, collection_key, made_by)
        else:
            _follow(writer, connection, collection_key, made_by, entries)
        writer.position = str(Position.of(connection, now))


def since(connection: Connection, at: Position | None) -> tuple[Position, Sequence[Any] | None]:
    """Where the log is now, and what was written after ``at``; None where it does not lead from
    there to here: it is a log of another copy, or was pruned."""
    now = Position.of(connection, journal.head(connection))
    return now, [] if at == now else _entries(connection, at, journal.head(connection))


def _entries(
    connection: Connection, at: Position | None, now: journal.Head
) -> Sequence[Any] | None:
    if at is None or at.identity != now.identity or at.last_change >= now.last_change:
        return None
    if journal.digest(journal.entry(connection, at.last_change)) != at.mark:
        return None
    return journal.since(connection, at.last_change, now)


def _removes(entry: Any, collection_key: int, made_by: Any) -> bool:
    """Whether every vector of the index went at once."""
    kind, contract = entry["kind"], entry["contract"]
    everything = kind == "collection_removed" or (
        kind == "contract_removed" and contract == made_by["uid"]
    )
    return bool(everything and entry["collection_key"] == collection_key)


def _fill(writer: Writer, connection: Connection, collection_key: int, made_by: Any) -> None:
    writer.empty()
    count = 0
    for face_keys, _, rows in vectors.blocks(connection, collection_key, made_by):
        writer.add(face_keys, rows)
        count += len(face_keys)
    _log.info("index filled", extra={"faces": count, "dim": made_by["dim"]})


def _follow(
    writer: Writer,
    connection: Connection,
    collection_key: int,
    made_by: Any,
    entries: Sequence[Any],
) -> None:
    touched = sorted(
        {
            entry["face_key"]
            for entry in entries
            if entry["collection_key"] == collection_key
            and entry["face_key"] is not None
            and entry["kind"] != "face_moved"
            and entry["contract"] in (None, made_by["uid"])
        }
    )
    for part in chunks(touched):
        face_keys, _, rows = vectors.of_faces(connection, collection_key, made_by, part)
        writer.remove(np.array(part, np.int64))
        writer.add(face_keys, rows)


__all__ = ["Position", "feed", "since"]
