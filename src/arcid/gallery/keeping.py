"""Which indexes have a sealed copy in a file, and when it is written anew.

In the background once an index was built, now and then while the service runs, and at the end;
whenever there is none that opens, or many faces changed since. What was read of a file, other
processes may have without reading it (``sharing``).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import ArcidError, KeyUnavailable
from arcid.gallery import sharing, snapshots
from arcid.gallery.database import Database
from arcid.gallery.index import VectorIndex
from arcid.gallery.index.exact import ExactIndex
from arcid.gallery.index.state import State
from arcid.gallery.schema import collections
from arcid.gallery.snapshots import Header
from arcid.gallery.store import journal, sealed

MANY = 10_000  # changed faces, or a twentieth of a larger index, are worth another file
REST_S = 600.0  # between two files of an index while the service runs
Slot = tuple[int, str]  # collection key, contract_id

_log = logging.getLogger(__name__)


class Held(NamedTuple):
    """What an index holds, and the state of the gallery that it shows."""

    state: State
    head: journal.Head
    mark: Sequence[Any] | None


class Keeping:
    """``sizes`` and ``held`` tell of the indexes there are; ``held`` is up to date."""

    def __init__(
        self,
        database: Database,
        sizes: Callable[[], Mapping[Slot, int]],
        held: Callable[[Slot], Held | None],
    ) -> None:
        self._database = database
        self._sizes = sizes
        self._held = held
        self._changed: dict[Slot, float] = {}  # faces since the file; inf: none opens
        self._tried: dict[Slot, float] = {}
        self._paths: dict[Slot, Path] = {}
        self._offers: dict[Slot, sharing.Offer] = {}
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()

    def begin(self, connection: Connection, slot: Slot, index: VectorIndex) -> list[Any] | None:
        """Fill an empty index from its file; what happened since, None where no file helps."""
        self._changed[slot] = math.inf
        place = self._place(connection, slot)
        header = None if place is None else snapshots.header_of(place.path)
        if place is None or header is None or not isinstance(index, ExactIndex):
            return None
        own, now = index.state(), journal.head(connection)
        expected = (now.identity, place.collection, slot[1], own.dim, own.full)
        stated = (header.identity, header.collection, header.contract, header.dim)
        if (*stated, header.block_rows) != expected:
            return None
        entries = _since(connection, header, now)
        if entries is None:
            return None
        try:
            by = self._database.vault.index_cipher(header.key_id)
            name, read = snapshots.name_of(header), snapshots.parts(place.path, header, by)
            parts, offer = sharing.parts(name, by, header.sizes(), header.dim, read)
            index.begin(parts)
            if offer is not None:
                self._offers[slot] = offer
        except KeyUnavailable:
            snapshots.forget(place.path)
            return None
        except (ArcidError, OSError) as error:
            _log.warning("the copy of an index was not read; it is built anew",
                         extra={"cause": type(error).__name__})  # fmt: skip
            return None
        self._changed[slot] = 0
        return entries

    def changed(self, slot: Slot, faces: int) -> None:
        """So many faces of an index were added, removed, or given to somebody else."""
        self._changed[slot] = self._changed.get(slot, math.inf) + faces

    def void(self, slot: Slot) -> None:
        """Somebody was erased: the key of the file is destroyed."""
        self._changed[slot] = math.inf
        self.withdraw([slot])
        if slot in self._paths:
            snapshots.forget(self._paths[slot])

    def withdraw(self, slots: Sequence[Slot]) -> None:
        """No other process gets what this one has in memory."""
        for slot in slots:
            if (offer := self._offers.pop(slot, None)) is not None:
                offer.close()

    def counted(self, slot: Slot) -> None:
        """What changes from now on is not in the file that is about to be written."""
        self._changed[slot] = 0

    def soon(self, slots: Sequence[Slot]) -> None:
        """In the background, where it is due; at once where that was not tried before."""
        ago = time.monotonic() - REST_S
        due = [slot for slot in self._due(slots) if self._tried.get(slot, ago) <= ago]
        with self._starting:
            if due and (self._writer is None or not self._writer.is_alive()):
                self._writer = threading.Thread(
                    target=self._write_all, args=(due,), name="arcid-index-file", daemon=True
                )
                self._writer.start()

    def close(self, slots: Sequence[Slot]) -> None:
        """Wait for what is being written, and write what is due."""
        with self._starting:
            writer = self._writer
        if writer is not None:
            writer.join()
        self._write_all(self._due(slots))

    def _due(self, slots: Sequence[Slot]) -> list[Slot]:
        sizes = self._sizes()
        worth = [slot for slot in slots if sizes.get(slot, 0) >= snapshots.WORTH_ROWS]
        return [s for s in worth if self._changed.get(s, math.inf) >= max(MANY, sizes[s] // 20)]

    def _write_all(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            self._tried[slot] = time.monotonic()
            try:
                self._write(slot)
            except (ArcidError, OSError) as error:
                self._changed[slot] = math.inf
                _log.warning("the copy of an index was not written",
                             extra={"cause": type(error).__name__})  # fmt: skip

    def _write(self, slot: Slot) -> None:
        vault = self._database.vault
        with self._database.read() as connection:
            place = self._place(connection, slot) if sealed.is_on(connection) else None
        if place is None or not vault.store.complete():
            return
        # The key comes first: whoever is erased from now on destroys it, and whoever was erased
        # before is not in what is held from now on.
        key_id, by = vault.index_key(place.collection)
        held = self._held(slot)
        if held is None or len(held.state) == 0:
            return
        header = Header(
            held.head.identity, place.collection, slot[1], held.state.dim, len(held.state),
            held.state.full, held.head.last_change, held.head.stamp, journal.digest(held.mark),
            key_id,
        )  # fmt: skip
        snapshots.write(place.path, header, by, held.state)
        if self._changed.get(slot) == math.inf:
            snapshots.forget(place.path)
        _log.info("index kept", extra={"faces": len(held.state)})

    def _place(self, connection: Connection, slot: Slot) -> _Place | None:
        own = sa.select(collections.c.uid).where(collections.c.id == slot[0])
        uid = connection.execute(own).scalar()
        if uid is None:
            return None
        identity = journal.head(connection).identity
        path = snapshots.path_of(self._database, identity, uid, slot[1])
        self._paths[slot] = path
        return _Place(uid, path)


class _Place(NamedTuple):
    collection: str  # uid
    path: Path


def _since(connection: Connection, header: Header, now: journal.Head) -> list[Any] | None:
    """What happened since the file was written; None where the log does not lead from there."""
    if header.last_change == now.last_change:
        return [] if header.stamp == now.stamp else None
    if journal.digest(journal.entry(connection, header.last_change)) != header.mark:
        return None
    return journal.since(connection, header.last_change, now)
