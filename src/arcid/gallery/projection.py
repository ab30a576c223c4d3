"""Keeps the indexes at the state of the store.

Every search runs inside one read transaction. If the change log stands where the indexes stand, the
search goes ahead together with others; otherwise the indexes first take in what happened since.
An index is built from SQL on first use and can be dropped at any time. A large one of a protected
gallery is kept in a sealed file as well (``keeping``), from which the next process begins.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import ArcidError, IndexUnavailable
from arcid.gallery.database import Database
from arcid.gallery.index import FetchVectors, IndexFactory, Keys, VectorIndex
from arcid.gallery.index.exact import ExactIndex
from arcid.gallery.keeping import Held, Keeping, Slot
from arcid.gallery.locks import SharedLock
from arcid.gallery.outside import Engine, Place, Server
from arcid.gallery.outside.blinded import Blinded, blinded
from arcid.gallery.outside.feeding import feed
from arcid.gallery.outside.index import OutsideIndex, all_compared
from arcid.gallery.outside.reader import Reader
from arcid.gallery.schema import collections, embeddings, faces
from arcid.gallery.store import journal, misses, vectors
from arcid.gallery.store.keys import chunks
from arcid.types import FloatArray

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Touched:
    """What a stretch of the log did to one index; the outcome is read from SQL."""

    replaced: set[int] = field(default_factory=set)  # face keys added or removed
    moved: set[int] = field(default_factory=set)  # face keys that changed person only


class Snapshot:
    """A read transaction, and the indexes that show exactly its state."""

    def __init__(self, projection: Projection, connection: Connection) -> None:
        self.connection = connection
        self._projection = projection

    def index(self, collection_key: int, contract_id: str) -> tuple[Any, VectorIndex] | None:
        """(contract row, index); None when no vector of that contract was ever stored."""
        made_by = vectors.contract(self.connection, contract_id)
        if made_by is None:
            return None
        return made_by, self._projection.built(self.connection, collection_key, made_by)

    def miss_rate(
        self, collection_key: int, made_by: Any, only: Keys | None = None
    ) -> float | None:
        """As ``Hits.index_miss_rate``, of a search of everybody or of some people."""
        return self._projection.miss_rate(self.connection, collection_key, made_by, only)

    def size(self, collection_key: int, contract_id: str) -> int:
        """Faces that a search compares: of the index; while there is none, of the store."""
        held = self._projection.sizes().get((collection_key, contract_id))
        if held is not None:
            return held
        return vectors.count(self.connection, collection_key, contract_id)


class Projection:
    """All indexes of one gallery in this process. Thread-safe."""

    def __init__(
        self, database: Database, make_index: IndexFactory, server: Server | None = None
    ) -> None:
        """``server``: a vector database that carries the indexes, in place of this memory."""
        self._database = database
        self._make_index = make_index
        self._server = server
        self._lock = SharedLock()
        self._building = threading.Lock()
        self._local = threading.local()
        self._indexes: dict[Slot, VectorIndex] = {}
        self._at: dict[Slot, Place] = {}  # of those that are outside
        self._head: journal.Head | None = None
        self._mark: Sequence[Any] | None = None  # the log entry the indexes stand at
        self._keeping = Keeping(database, self.sizes, self._held)

    @contextmanager
    def snapshot(self, connection: Connection | None = None) -> Iterator[Snapshot]:
        """Indexes and SQL agree until the block ends, whoever writes meanwhile.

        ``connection``: a transaction to read in, such as a write that has changed nothing yet.
        """
        try:
            with self._lock.shared(), self._reading(connection) as reading:
                if journal.head(reading) == self._head:
                    yield self._opened(reading)
                    return
            with self._lock.exclusive(), self._reading(connection) as reading:
                snapshot = self._opened(reading)
                self._catch_up(reading)
                yield snapshot
        except IndexUnavailable:
            self._head = None  # the next one looks it up, or builds it, anew
            raise

    def _reading(self, connection: Connection | None) -> AbstractContextManager[Connection]:
        return self._database.read() if connection is None else nullcontext(connection)

    def keep(self) -> None:
        """Write files of indexes anew, in the background, where that was not done for a while."""
        self._keeping.soon(list(self._indexes))

    def tell(self) -> None:
        """Bring what a vector database holds to the state of the gallery, and drop there what the
        gallery holds no more; without one, nothing. Raises ``IndexUnavailable``."""
        if self._server is None:
            return
        with self.snapshot() as snapshot:
            connection = snapshot.connection
            there = {
                self._place(self._server, connection, uid, made_by["uid"])[0]: (key, made_by)
                for key, uid in connection.execute(sa.select(collections.c.id, collections.c.uid))
                for made_by in vectors.all_contracts(connection)
            }
            for place in self._server.places(journal.head(connection).identity):
                if place in there:
                    self.built(connection, *there[place])
                else:
                    self._server.drop(place)

    def close(self) -> None:
        """Forget every index, once the files that begin the next process are written."""
        if self._indexes:
            with suppress(ArcidError), self.snapshot():
                pass  # who was erased since is in no index any more
            self._keeping.close(list(self._indexes))
        self.drop()
        if self._server is not None:
            self._server.close()

    def drop(self) -> None:
        """Forget every index; each is built, or looked up, anew when next used."""
        with self._lock.exclusive():
            self._forget()

    def drop_outside(self) -> None:
        """Remove every index from the vector database, if there is one, and forget all. Raises
        ``IndexUnavailable``."""
        with self._lock.exclusive():
            if self._server is not None:
                with self._database.read() as connection:
                    identity = journal.head(connection).identity
                for place in self._server.places(identity):
                    self._server.drop(place)
            self._forget()

    @property
    def name(self) -> str:
        """What carries the indexes, in words."""
        if self._server is None:
            return "this process, exactly"
        how = "exactly" if self.exact else "approximately"
        return f"{self._server.name}, {how}{', by turned vectors' if self.blind else ''}"

    @property
    def outside(self) -> bool:
        """Whether a vector database carries the indexes."""
        return self._server is not None

    @property
    def exact(self) -> bool:
        """Whether searches look at everybody."""
        return self._server is None or self._server.exact

    @property
    def kind(self) -> str:
        """Of index, as ``ARCID_INDEX`` names it."""
        return "exact" if self._server is None else self._server.kind

    def miss_rate(
        self, connection: Connection, collection_key: int, made_by: Any, only: Keys | None
    ) -> float | None:
        """See ``Snapshot.miss_rate``."""
        if self.exact or all_compared(only):
            return 0.0
        found = misses.find(connection, collection_key, made_by, self.kind)
        return None if found is None or found.stale else found.high

    @property
    def blind(self) -> bool:
        return self._server is not None and self._server.blind

    def sizes(self) -> dict[Slot, int]:
        return {slot: len(index) for slot, index in list(self._indexes.items())}

    def counted(self) -> dict[Slot, int]:
        """``sizes``, where a vector database counts anew."""
        return {
            slot: index.engine.count() if isinstance(index, OutsideIndex) else len(index)
            for slot, index in list(self._indexes.items())
        }

    def built(self, connection: Connection, collection_key: int, made_by: Any) -> VectorIndex:
        slot = (collection_key, made_by["uid"])
        with self._building:
            if slot not in self._indexes and self._server is not None:
                self._indexes[slot] = self._outside(self._server, connection, slot, made_by)
            elif slot not in self._indexes and not self._begun(connection, slot, made_by):
                index = self._make_index(made_by["dim"], self._fetcher(made_by))
                for face_keys, person_keys, rows in vectors.blocks(
                    connection, collection_key, made_by
                ):
                    index.add(face_keys, person_keys, rows)
                self._indexes[slot] = index
                log.info("index built", extra={"faces": len(index), "dim": made_by["dim"]})
                self._keeping.soon([slot])
            return self._indexes[slot]

    def _begun(self, connection: Connection, slot: Slot, made_by: Any) -> bool:
        """Whether a file held the index, or what it was some changes ago, and it was not dropped
        since."""
        index = self._make_index(made_by["dim"], self._fetcher(made_by))
        entries = self._keeping.begin(connection, slot, index)
        if entries is None:
            index.close()
            return False
        self._indexes[slot] = index
        try:
            self._apply(connection, entries, [slot])
        except BaseException:
            self._indexes.pop(slot).close()
            raise
        if slot not in self._indexes:
            return False
        log.info("index read", extra={"faces": len(index), "dim": made_by["dim"]})
        return True

    def _outside(
        self, server: Server, connection: Connection, slot: Slot, made_by: Any
    ) -> OutsideIndex:
        uid = connection.execute(
            sa.select(collections.c.uid).where(collections.c.id == slot[0])
        ).scalar_one()
        place, key = self._place(server, connection, uid, slot[1])
        self._at[slot] = place
        engine: Engine = server.engine(place, made_by["dim"])
        if key is not None:
            engine = Blinded(engine, key, made_by["dim"])
        feed(engine, self._database, connection, slot[0], made_by)
        return OutsideIndex(engine, Reader(self._connected, slot[0], made_by))

    def _place(
        self, server: Server, connection: Connection, uid: str, contract: str
    ) -> tuple[Place, bytes | None]:
        """Where the index of a collection is, and what its vectors are turned by there."""
        place = Place(journal.head(connection).identity, uid, contract)
        if not server.blind:
            return place, None
        key = self._database.vault.derived(uid, b"arcid index rotation " + contract.encode())
        return blinded(place, key), key

    def _held(self, slot: Slot) -> Held | None:
        """An index as it is now, and the state of the gallery that it shows."""
        with self.snapshot():
            index = self._indexes.get(slot)
            if not isinstance(index, ExactIndex) or self._head is None:
                return None
            self._keeping.counted(slot)
            return Held(index.state(), self._head, self._mark)

    def _opened(self, connection: Connection) -> Snapshot:
        self._local.connection = connection
        return Snapshot(self, connection)

    def _fetcher(self, made_by: Any) -> FetchVectors:
        def fetch(face_keys: Keys) -> FloatArray:
            with self._connected() as connection:
                return vectors.fetch(connection, made_by, face_keys)

        return fetch

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """The transaction of the search; one of its own where an index searches in threads."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None and not connection.closed:
            yield connection
            return
        with self._database.read() as own:
            yield own

    def _forget(self) -> None:
        self._database.vault.forget()  # another copy of the database may be in its place
        self._keeping.withdraw(list(self._indexes))
        for index in self._indexes.values():
            index.close()
        self._indexes.clear()
        self._head = self._mark = None

    def _catch_up(self, connection: Connection) -> None:
        now = journal.head(connection)
        if now == self._head:
            return
        try:
            log_entries = self._entries(connection, now)
            if log_entries is None:
                self._forget()
            else:
                self._apply(connection, log_entries, list(self._indexes))
        except BaseException:
            self._forget()
            raise
        self._head = now
        self._mark = journal.entry(connection, now.last_change)

    def _entries(self, connection: Connection, now: journal.Head) -> list[Any] | None:
        """What happened since; None when the log does not lead from here to there.

        That is so at the first use, after a restore (another identity, smaller numbers, or other
        content under the number we stand at), after pruning, and when far behind.
        """
        seen = self._head
        if seen is None or not self._indexes or seen.identity != now.identity:
            return None
        if now.last_change <= seen.last_change:
            return None
        if seen.last_change and journal.entry(connection, seen.last_change) != self._mark:
            return None
        return journal.since(connection, seen.last_change, now)

    def _apply(self, connection: Connection, entries: list[Any], slots: Sequence[Slot]) -> None:
        touched: dict[Slot, _Touched] = {}
        if any(entry["kind"] == "person_removed" for entry in entries):
            self._database.vault.forget_data()
        for entry in entries:
            for slot in [s for s in slots if s[0] == entry["collection_key"]]:
                if slot not in self._indexes:
                    continue
                if entry["kind"] in journal.ERASING:
                    self._keeping.void(slot)
                if entry["kind"] == "collection_removed" or (
                    entry["kind"] == "contract_removed" and entry["contract"] == slot[1]
                ):
                    self._indexes.pop(slot).close()
                    touched.pop(slot, None)
                elif isinstance(self._indexes[slot], OutsideIndex):
                    pass  # follows the log by itself
                elif entry["kind"] == "face_moved":
                    touched.setdefault(slot, _Touched()).moved.add(entry["face_key"])
                elif entry["face_key"] is not None and entry["contract"] in (None, slot[1]):
                    touched.setdefault(slot, _Touched()).replaced.add(entry["face_key"])
        for slot, what in touched.items():
            self._follow(connection, slot, what)
        for slot in [one for one in slots if isinstance(self._indexes.get(one), OutsideIndex)]:
            self._feed(connection, slot)

    def _feed(self, connection: Connection, slot: Slot) -> None:
        index, made_by = self._indexes[slot], vectors.contract(connection, slot[1])
        if self._server is None or not isinstance(index, OutsideIndex) or made_by is None:
            return
        at = self._at[slot]
        if self._place(self._server, connection, at.collection, slot[1])[0] != at:
            del self._indexes[slot]  # its key was changed: built anew, turned otherwise
        else:
            feed(index.engine, self._database, connection, slot[0], made_by)

    def _follow(self, connection: Connection, slot: Slot, what: _Touched) -> None:
        made_by = vectors.contract(connection, slot[1])
        if made_by is None:
            return
        index = self._indexes[slot]
        replaced = sorted(what.replaced)
        self._keeping.changed(slot, len(replaced) + len(what.moved))
        if replaced:
            index.remove(np.array(replaced, np.int64))
            added = vectors.of_faces(connection, slot[0], made_by, replaced)
            if len(added[0]):
                index.add(*added)
        moved = sorted(what.moved - what.replaced)
        for part in chunks(moved):
            rows = connection.execute(
                sa.select(faces.c.id, faces.c.person_id)
                .join(embeddings, embeddings.c.face_id == faces.c.id)
                .where(faces.c.id.in_(part), embeddings.c.contract_id == made_by["id"])
            ).all()
            if rows:
                pairs = np.array(rows, np.int64)
                index.set_person(pairs[:, 0], pairs[:, 1])
