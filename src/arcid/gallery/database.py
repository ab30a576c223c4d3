"""Transactions, and erasing bytes after them; who, with ``engines``, knows SQLite from PostgreSQL.

SQLite: WAL, ``synchronous=FULL`` (a commit is on disk before the call returns), foreign keys,
``secure_delete``. A write takes the lock at once (``BEGIN IMMEDIATE``), so two processes wait for
each other and never deadlock. PostgreSQL: reads see one snapshot, writes queue on the counter row.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from arcid import files
from arcid.errors import (
    ArcidError,
    GalleryBusy,
    GalleryError,
    GalleryUnavailable,
    StorageFull,
)
from arcid.gallery import commits, copying, engines, place, schema, versions
from arcid.gallery.faults import translated, unsettled
from arcid.gallery.mark import Mark, Point
from arcid.gallery.rooms import rooms
from arcid.gallery.spare import Spare
from arcid.gallery.store import sealed
from arcid.vault import KeyStore, Vault, keystore, roots

log = logging.getLogger(__name__)

_SCRUB_WAIT_S = 2.0  # other writers wait as long as this
_REBUILD_BYTES = 64 << 20  # files up to here are rebuilt without being asked: about a second
HELD_UP = (
    "What was erased cannot be found any more, but its bytes are still in the gallery's files: "
    "another program is reading an older state of it, or the disk is full. arcid tries again by "
    "itself, and erases them when that ends"
)
NOT_REBUILT = (
    "What was erased cannot be found any more, but copies of a few names may be left in unused "
    "parts of the database file: it is large, or the disk is full, so that it is not written anew "
    "without being asked: arcid gallery scrub"
)
KEYS_LEFT = (
    "What was erased cannot be found any more, but its keys are not destroyed yet, so that older "
    "backups could bring it back: the key store cannot be written. arcid tries again by itself"
)
_UPGRADE_LOCK = 0x61726369  # PostgreSQL advisory lock held while tables are made


class Database:
    """One gallery's tables. Thread-safe; several processes may hold one each."""

    def __init__(self, url: str | Path, *, create: bool = True, busy_s: float = 10.0) -> None:
        rooms()  # their tables are part of it
        self.url = engines.parse_url(url)
        self.path = engines.file_of(self.url)
        self._mark = None if self.path is None else Mark(self.path)
        self._spare = None if self.path is None else Spare(self.path)
        self._busy_s = busy_s
        self._writer = threading.Lock()
        #: Who is told of what rooms write through this one, and of which kinds (None: all).
        self.outboxes: Mapping[str, Collection[str] | None] = {}
        self._closed = False
        self._scrub_due = False
        self._seen_erased = -1
        if self.path is not None and self._mark is not None:
            place.prepare(self.path, self._mark, create)
        with translated(self.path):
            if self.path is not None:
                self._refuse_unknown_schema(engines.read_only(self.path), create)
            self._engine = engines.make(self.url, self.path, busy_s)
            try:
                with self._engine.connect() as connection, connection.begin():
                    version = versions.check(connection, create)
                if self.path is not None:
                    place.refuse_shared(self.path)
                    self._enable_wal()
                if version != schema.HEAD:
                    self._upgrade(create)
                self.vault = self._find_keys()
                self._engine.update_execution_options(**{sealed.OPTION: self.vault})
                self._look_back()
            except BaseException:
                self._engine.dispose()
                raise

    @property
    def shown_url(self) -> str:
        """The URL with its password masked."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the gallery throughout. Raises ``SchemaTooNew``
        where a newer arcid changed it so that this process must not work on it."""
        with translated(self.path), self._engine.connect() as connection:
            if self.path is None:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                versions.require_known(connection)
                yield connection

    @contextmanager
    def write(self, *, erases: bool = False) -> Iterator[Connection]:
        """A transaction that no other writer can interleave with; all of it commits, or none.

        ``erases``: it removes or replaces what may be personal; once it is committed, the bytes
        are scrubbed too (``scrub``).
        """
        committing = False
        try:
            with self._alone(self._busy_s):
                if erases:
                    self._make_room()
                with translated(self.path), self._engine.connect() as connection:
                    connection.execution_options(**engines.WRITE)
                    commit = changed = None
                    with connection.begin():
                        if self._mark is None:
                            connection.execute(sa.select(schema.gallery.c.id).with_for_update())
                        versions.require_known(connection)
                        if self._mark is not None:
                            commit = commits.Commit(connection, self._mark)
                        yield connection
                        if commit is not None:
                            changed = commit.finish(erases=erases)
                        committing = True
                if self._mark is not None and commit is not None and changed:
                    _acknowledge(self._mark, commit)
        except StorageFull:
            if erases and self._spare is not None:
                self._spare.release()
            raise
        except GalleryUnavailable as error:
            if committing:
                raise unsettled() from error
            raise
        if erases:
            self.shred()
            self.scrub()
        elif self._scrub_due:
            self.flush()

    def shred(self) -> None:
        """Destroy the keys that committed writes want destroyed, so that no copy gives back what
        they sealed. The erasure itself is done: a failure is logged and tried again."""
        try:
            with self.read() as connection:
                rows = sealed.doomed(connection)
                known = connection.execute(sa.select(schema.gallery.c.shredded)).scalar_one()
            if not rows:
                return
            before = self.vault.destroyed(known).last
            self.vault.destroy(
                [row.key_id for row in rows if row.key_id is not None],
                [row.collection_uid for row in rows if row.collection_uid is not None],
            )
            now = self.vault.destroyed(before).last
            done = schema.shreds.c.id.in_([row.id for row in rows])
            with self.write() as connection:
                connection.execute(schema.shreds.delete().where(done))
                if before == known:
                    connection.execute(schema.gallery.update().values(shredded=now))
        except GalleryError as error:
            log.warning("keys were not destroyed yet", extra={"cause": error.code})

    def scrub(self) -> None:
        """Take what was erased out of the log as well, now that it is committed.

        A reader in another process can hold that up: what is left is said by ``unscrubbed`` and
        tried again after every write, by ``settle`` and by whoever opens the gallery next. The
        deletion itself is done, so a failure here is logged, not raised.
        """
        self._scrub_due = True
        if self._spare is None:
            self._vacuum("VACUUM")
        elif not self.flush(_SCRUB_WAIT_S):
            log.warning(HELD_UP)
        else:
            self._spare.keep()

    def flush(self, wait_s: float = 0.0) -> bool:
        """Move what is committed into the database file; False where not all of it could be."""
        try:
            with self._alone(wait_s):
                return self._flush(wait_s)
        except GalleryBusy:  # of another thread: it is tried again after its write
            return False

    def _flush(self, wait_s: float) -> bool:
        """Call it with the writer's lock."""
        if self._mark is None or not (self._wal_left() or self._scrub_due):
            return True
        try:
            with translated(self.path):
                here, erased = self._here()
                busy = self._pragma("wal_checkpoint(TRUNCATE)", min(self._busy_s, wait_s))
                due = erased > self._mark.reached("scrubbed")
                if due and not busy:
                    _reach(self._mark, "scrubbed", here)
                self._scrub_due = due and bool(busy)
            return not busy
        except (GalleryError, OSError) as error:
            log.warning("truncating the WAL failed", extra={"cause": type(error).__name__})
            return False

    def rebuild(self, wait_s: float = _SCRUB_WAIT_S) -> None:
        """Write the database file anew, without the copies that moving rows between pages leaves.

        Needs as much free disk, and on SQLite memory, as the file is large; others wait with their
        writes. PostgreSQL: ``VACUUM FULL``, for which readers wait too. Raises ``GalleryBusy``
        where another thread writes or a reader in another process holds it up, and what a write
        raises.
        """
        if self._mark is None:
            self._vacuum("VACUUM FULL")
            return
        with self._alone(wait_s), translated(self.path):
            if not self._flush(wait_s):
                raise GalleryBusy(HELD_UP)
            here, _ = self._here()
            self._vacuum_file()
            if not self._flush(wait_s):
                raise GalleryBusy(HELD_UP)
        _reach(self._mark, "rebuilt", here)

    def settle(self, *, quiet: bool = False) -> None:
        """Try again what was held up. Cheap where there is nothing; a service calls it for ever.

        ``quiet``: nothing more is going to be erased, so the file may be written anew at once.
        """
        self.shred()
        if self._mark is None:
            return
        try:
            with translated(self.path):
                _, erased = self._here()
            self._scrub_due |= erased > self._mark.reached("scrubbed")
            if self._scrub_due and not self.flush():
                return
            quiet |= erased == self._seen_erased
            self._seen_erased = erased
            if quiet and erased > self._mark.reached("rebuilt") and self._small():
                self.rebuild(0)
        except GalleryBusy:
            return
        except (GalleryError, OSError) as error:
            log.warning("the gallery could not be settled", extra={"cause": type(error).__name__})

    def unscrubbed(self) -> list[str]:
        """Where bytes of what was erased may still lie, in words; empty where nowhere."""
        with self.read() as connection:
            if sealed.doomed(connection):
                return [KEYS_LEFT]
        if self._mark is None:
            return []
        with translated(self.path):
            _, erased = self._here()
        if self._wal_left() and erased > self._mark.reached("scrubbed"):
            return [HELD_UP]
        if erased > self._mark.reached("rebuilt") and not self._small():
            return [NOT_REBUILT]
        return []

    def copy_aside(self, what: str) -> None:
        """Copy the gallery as it is before its tables are changed, beside it; not on PostgreSQL.

        Call it with the write lock held. Raises ``StorageFull``.
        """
        if self.path is not None and os.environ.get("ARCID_MIGRATION_COPY", "on") != "off":
            copying.before_migration(self.path, what)

    def pragma(self, name: str) -> Any:
        """First value of a SQLite pragma; None on other databases."""
        with translated(self.path):
            return None if self.path is None else self._pragma(name)

    def integrity(self) -> list[str]:
        """The database's own findings about its structure; empty when sound."""
        if self.path is None:
            return []
        with self.read() as connection:
            rows = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        findings = [f"integrity: {row}" for row in rows if row != "ok"]
        return findings + [f"a row of {row[0]} refers to a missing row" for row in broken]

    def settings(self) -> dict[str, Any]:
        """How the database keeps its promises, for `doctor` and `stats`."""
        with self.read() as connection:
            version = versions.revision(connection)
            if self.path is None:
                commit = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
                size = connection.exec_driver_sql("SELECT pg_database_size(current_database())")
                return {
                    "backend": "postgresql",
                    "schema_version": version,
                    "journal_mode": "wal",
                    "synchronous": commit,
                    "file_bytes": int(size.scalar_one()),
                }
        level = int(self.pragma("synchronous"))
        return {
            "backend": "sqlite",
            "schema_version": version,
            "journal_mode": self.pragma("journal_mode"),
            "synchronous": {0: "off", 1: "normal", 2: "full", 3: "extra"}.get(level, str(level)),
            "file_bytes": sum(
                file.stat().st_size
                for suffix in ("", "-wal")
                if (file := self.path.with_name(self.path.name + suffix)).exists()
            ),
        }

    def losses(self) -> list[str]:
        """Acknowledged writes that are gone and were not accepted as lost, in words."""
        with self.read() as connection:
            return commits.findings(connection)

    def accept_losses(self) -> int:
        """They are known and dealt with; returns how many there were."""
        with self.write() as connection:
            return commits.accept(connection)

    def close(self) -> None:
        """For good: what is read or written afterwards raises ``GalleryError``."""
        if self._closed:
            return
        self._closed = True
        self.flush(_SCRUB_WAIT_S if self._scrub_due else 0)
        self.settle(quiet=True)
        self.vault.close()
        engines.close(self._engine)

    def _find_keys(self) -> Vault:
        """The keys of this gallery; their store is made with a gallery that holds nothing yet."""
        about = sa.select(schema.gallery.c.identity, schema.gallery.c.protected)
        used = sa.select(schema.collections.c.id).limit(1)
        with self._engine.connect() as connection:
            identity, protected = connection.execute(about).one()
            is_new = protected and connection.execute(used).first() is None
        url = keystore.place_of(self.url, os.environ.get(keystore.SETTING))
        store = KeyStore(url, identity)
        if is_new and not store.exists():
            store.create(complete=True)
            if self.path is not None and store.path is not None:
                files.share_as(store.path, self.path)
        return Vault(store, roots.find)

    def _look_back(self) -> None:
        """What the last process left behind: a WAL, and what it lost."""
        if self._mark is None:
            return
        known = self._mark.acknowledged()  # before the database is looked at, which only gets ahead
        with self.read() as connection:
            here = commits.head(connection)
        if known is None:
            try:
                self._mark.start(here)
            except ArcidError as error:
                log.warning("the mark was not written", extra={"cause": error.code})
        elif commits.is_lost(here, known):
            with self.write():
                pass  # writing is what notes it down
        if self.path is not None:
            copying.forget_old(self.path)
        self._scrub_due = True  # it may have been held up when the last process ended
        self.flush()
        if self._spare is not None:
            self._spare.keep()

    @contextmanager
    def _alone(self, wait_s: float) -> Iterator[None]:
        """No other thread writes meanwhile. Raises ``GalleryBusy``."""
        if not self._writer.acquire(timeout=wait_s):
            raise GalleryBusy("another thread is writing to the gallery; try again")
        try:
            yield
        finally:
            self._writer.release()

    def _make_room(self) -> None:
        """Deleting writes to the log before it frees anything: that must work on a full disk. Call
        it with the writer's lock."""
        if self._spare is not None and self._spare.needed():
            self._spare.release()
        self._flush(0.0)

    def _here(self) -> tuple[Point, int]:
        """The last commit, and the last that erased anything."""
        with self._engine.connect() as connection, connection.begin():
            return commits.head(connection), commits.erased(connection)

    def _small(self) -> bool:
        """Whether the file may be written anew without being asked."""
        if self.path is None:
            return False
        size = self.path.stat().st_size
        return size <= _REBUILD_BYTES and shutil.disk_usage(self.path.parent).free > 3 * size

    def _vacuum_file(self) -> None:
        connection = self._engine.raw_connection()
        try:
            connection.cursor().execute("VACUUM")
        finally:
            connection.close()

    def _vacuum(self, statement: str) -> None:
        """PostgreSQL keeps erased rows until they are vacuumed."""
        own = {name for tables in (schema.metadata, *schema.beside) for name in tables.tables}
        try:
            with translated(None), self._engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                there = own.intersection(sa.inspect(connection).get_table_names())
                connection.exec_driver_sql(f"{statement} {', '.join(sorted(there))}")
        except GalleryError as error:
            log.warning("vacuuming failed", extra={"cause": type(error).__name__})

    def _wal_left(self) -> bool:
        if self.path is None:
            return False
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size > 0
        except OSError:
            return False

    def _pragma(self, name: str, busy_s: float | None = None) -> Any:
        connection = self._engine.raw_connection()
        cursor = connection.cursor()
        try:
            if busy_s is not None:
                cursor.execute(f"PRAGMA busy_timeout={int(busy_s * 1000)}")
            cursor.execute(f"PRAGMA {name}")
            row = cursor.fetchone()
            return None if row is None else row[0]
        finally:
            if busy_s is not None:
                cursor.execute(f"PRAGMA busy_timeout={int(self._busy_s * 1000)}")
            cursor.close()
            connection.close()

    def _enable_wal(self) -> None:
        mode = self._pragma("journal_mode")
        if mode != "wal":
            mode = self._pragma("journal_mode=WAL")
        if mode != "wal":
            log.warning("the file system refuses WAL", extra={"journal_mode": mode})

    def _refuse_unknown_schema(self, engine: Engine, create: bool) -> None:
        try:
            with engine.connect() as connection:
                versions.check(connection, create)
        except sa.exc.OperationalError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
            if code != sqlite3.SQLITE_READONLY:  # a crash left work that only a writer may undo
                raise
        finally:
            engine.dispose()

    def _upgrade(self, create: bool) -> None:
        with self._engine.connect() as connection:
            connection.execution_options(**engines.WRITE)
            with connection.begin():
                if self.path is None:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
                found = versions.check(connection, create)
                if found != schema.HEAD:
                    if found is not None:
                        self.copy_aside(f"schema-{found}")
                    versions.migrate(connection)


def _acknowledge(mark: Mark, commit: commits.Commit) -> None:
    """The commit is on disk; without its mark it is there all the same, but not missed if lost."""
    try:
        if commit.found_loss:
            mark.start(commit.point)
        else:
            mark.acknowledge(commit.point)
    except (OSError, ArcidError) as error:
        log.warning("the mark was not written", extra={"cause": type(error).__name__})


def _reach(mark: Mark, what: str, point: Point) -> None:
    """Without its mark it is done all the same; the next process only does it again."""
    try:
        mark.reach(what, point)
    except (OSError, ArcidError) as error:
        log.warning("the mark was not written", extra={"cause": type(error).__name__})
