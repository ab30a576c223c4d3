"""A copy of a SQLite gallery while others write, and what a file that is one holds.

The copy is of one moment: a read transaction stands while SQLite's backup API takes the pages.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from arcid import files
from arcid.errors import GalleryDamaged, NotFound, StorageFull, UsageError
from arcid.gallery import engines, place, schema, versions
from arcid.gallery.faults import translated
from arcid.gallery.schema import changes, crops, embeddings
from arcid.gallery.seals import image_seal, row_seal, vector_seal

KEPT = timedelta(days=30)  # what was copied before a migration
_STEP = 4096  # pages
_BEFORE = "-before-"  # and what is changed: schema-0014
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_READING = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)
T = TypeVar("T")
Progress = Callable[[int, int], None]  # pages done, of all


@dataclass(frozen=True, slots=True)
class Contents:
    """What a gallery held at one moment: where its logs stood, and its rows."""

    identity: str
    schema: str
    last_change: int
    writes: int
    audit_last: int
    protected: bool  # what it holds of people is sealed; the keys are elsewhere
    rows: Mapping[str, int] = field(repr=False)  # by table

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; of the rows, those of collections, people and faces."""
        return {
            "identity": self.identity,
            "schema_version": self.schema,
            "last_change": self.last_change,
            "audit_last": self.audit_last,
            "encrypted": self.protected,
            **{name: self.rows.get(name, 0) for name in ("collections", "people", "faces")},
        }


def copy(
    gallery: Path,
    path: Path,
    *,
    still: bool = False,
    ready: Callable[[], None] = lambda: None,
    progress: Progress | None = None,
) -> Contents:
    """Write a copy of a gallery's file that takes the name ``path`` once it was read back and found
    to be what was copied; it is readable by its owner only.

    Others go on reading and writing; ``still``: nobody does. ``ready`` is called when all is
    written, before the copy takes its name. Raises ``StorageFull``, ``UsageError`` and, where what
    was written is not what was read, ``GalleryDamaged``; then there is no copy.
    """
    return transfer(gallery, path, contents, inspect, still=still, ready=ready, progress=progress)


def transfer(
    database: Path,
    path: Path,
    look: Callable[[Connection], T],
    check: Callable[[Path, str], T],
    *,
    still: bool = False,
    ready: Callable[[], None] = lambda: None,
    progress: Progress | None = None,
) -> T:
    """``copy`` of any SQLite database: ``look`` says what is copied, ``check`` what was written."""
    with files.placing(path) as part:
        with opened(database, still=still) as source:
            seen = look(source)
            size = source.exec_driver_sql("PRAGMA page_count").scalar_one()
            size *= source.exec_driver_sql("PRAGMA page_size").scalar_one()
            _require_room(path, size)
            _pages(source, part, path, progress)
        files.sync(part)
        if check(part, path.name) != seen:
            raise GalleryDamaged(f"{path.name} is not what was copied; check the disk it lies on")
        ready()
    return seen


def inspect(path: Path, name: str | None = None) -> Contents:
    """Read every page and row of a file that nobody writes to; what it holds.

    Raises ``NotFound``, ``UsageError`` where it is no gallery, ``SchemaTooNew``, and
    ``GalleryDamaged`` where it is not as it was written.
    """
    name = name or path.name
    if not path.is_file():
        raise NotFound(f"there is no file {name}")
    with _translated(path, name), opened(path, still=True) as connection:
        found = versions.check(connection, create=False)
        wrong = list(_findings(connection, found))
        if wrong:
            raise GalleryDamaged(f"{name} is damaged: {'; '.join(wrong)}. Take another backup")
        return contents(connection)


def contents(connection: Connection) -> Contents:
    """What a gallery holds in the transaction of ``connection``."""
    head = connection.execute(sa.text("SELECT * FROM gallery")).mappings().one()
    tables = sa.inspect(connection).get_table_names()
    rows = {
        name: connection.execute(
            sa.select(sa.func.count()).select_from(sa.table(name))
        ).scalar_one()
        for name in tables
    }
    return Contents(
        head["identity"],
        versions.revision(connection) or "",
        head["last_change"],
        head.get("writes", 0),
        head.get("audit_last", 0),
        bool(head.get("protected", False)),
        rows,
    )


def belongs_to(path: Path, gallery: Path) -> bool:
    """Whether a file is the gallery's, or one of those beside it that it cannot do without."""
    ends = ("", "-wal", "-shm", "-journal", "-mark", "-spare", "-keys")
    names = {gallery.name + end for end in ends}
    return path.absolute().parent.resolve() == gallery.parent.resolve() and path.name in names


def of_postgresql(url: URL, path: Path | None = None) -> str:
    """How a gallery in PostgreSQL is copied, in words."""
    address = shlex.quote(url.set(drivername="postgresql", password=None).render_as_string())
    file = shlex.quote(str(path or "FILE"))
    return (
        "this gallery is in PostgreSQL, whose own tools copy it while everything goes on: "
        f"pg_dump --format=custom --file={file} {address}; back with: pg_restore --clean "
        f"--if-exists --single-transaction --dbname={address} {file}. docs/concepts/backup.md"
    )


# before a migration


def before_migration(gallery: Path, what: str) -> None:
    """Copy a gallery whose tables are about to be changed, beside it; copies of others go.

    ``what``: the tables and their version, as in ``schema-0014``. Call it with the gallery's write
    lock held. Raises what ``copy`` does.
    """
    path = gallery.with_name(f"{gallery.name}{_BEFORE}{what}")
    try:
        copy(gallery, path)
    except StorageFull as error:
        raise StorageFull(
            f"{error.message}. A copy is made before a newer arcid changes the gallery's tables; "
            "nothing was changed. Free some space, or back the gallery up elsewhere and set "
            "ARCID_MIGRATION_COPY=off"
        ) from None
    tables = what.rpartition("-")[0]
    for old in copies(gallery):
        if old != path and old.name.startswith(f"{gallery.name}{_BEFORE}{tables}-"):
            _remove(old)


def copies(gallery: Path) -> list[Path]:
    """What ``before_migration`` made and is still there."""
    made = re.compile(rf"{re.escape(gallery.name)}{_BEFORE}[a-z_]+-[0-9a-z]+")
    return sorted(path for path in gallery.parent.iterdir() if made.fullmatch(path.name))


def forget_old(gallery: Path) -> None:
    """Remove copies that were made before a migration and are older than ``KEPT``."""
    for path in copies(gallery):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > KEPT.total_seconds():
                _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


# pages and rows


@contextmanager
def opened(path: Path, *, still: bool = False) -> Iterator[Connection]:
    """One state of the file throughout."""
    engine = engines.read_only(path, still=still)
    with translated(path), engine.connect() as connection:
        driver = connection.connection.driver_connection
        if driver is not None:
            driver.isolation_level = None
        connection.exec_driver_sql("BEGIN")
        yield connection


def _pages(source: Connection, part: Path, path: Path, progress: Progress | None) -> None:
    def told(_: int, left: int, total: int) -> None:
        if progress is not None:
            progress(total - left, total)

    here = source.connection.driver_connection
    with _written(path), closing(sqlite3.connect(place.uri(part, "rw"), uri=True)) as there:
        there.execute("PRAGMA journal_mode=OFF")
        there.execute("PRAGMA synchronous=OFF")  # it is synced as a whole
        if here is not None:
            here.backup(there, pages=_STEP, progress=told)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """What a failing copy is called: all that can fail but the disk it goes to was read before."""
    try:
        yield
    except sqlite3.Error as error:
        code = error.sqlite_errorcode
        if code in _READING or code & 0xFF not in _NO_ROOM:
            raise
        raise StorageFull(
            f"{path} cannot be written whole ({error.sqlite_errorname}): its disk is full, or "
            "files may not grow so large; nothing is left of it"
        ) from None


def _require_room(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise StorageFull(
            f"{path} needs {size / 2**20:,.1f} MiB, and its disk has {free / 2**20:,.1f} free"
        )


@contextmanager
def _translated(path: Path, name: str) -> Iterator[None]:
    try:
        with translated(path):
            yield
    except UsageError:
        raise
    except GalleryDamaged as error:
        raise GalleryDamaged(error.message.replace(path.name, name)) from None


def _findings(connection: Connection, schema_version: str | None) -> Iterator[str]:
    rows = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
    yield from (row for row in rows if row != "ok")
    for row in connection.exec_driver_sql("PRAGMA foreign_key_check").all():
        yield f"a row of {row[0]} refers to a missing row"
    if schema_version != schema.HEAD:
        return  # an older one's rows are read by the migration
    for table in schema.metadata.sorted_tables:
        if "sealed" in table.info:
            seals = (
                row_seal(table.name, row) == row["seal"]
                for row in _streamed(connection, sa.select(table)).mappings()
            )
            yield from _counted(seals, f"rows of {table.name}")
    e, c = embeddings.c, crops.c
    vectors = _streamed(connection, sa.select(e.face_id, e.contract_id, e.vector, e.seal))
    yield from _counted((vector_seal(*row[:3]) == row[3] for row in vectors), "vectors")
    images = _streamed(connection, sa.select(c.face_id, c.image, c.seal))
    yield from _counted((image_seal(*row[:2]) == row[2] for row in images), "crops")
    head = connection.execute(sa.select(schema.gallery.c.last_change)).scalar_one()
    newest = connection.execute(sa.select(sa.func.max(changes.c.seq))).scalar()
    if newest is not None and newest != head:
        yield "the change log does not end where the gallery says"


def _counted(right: Iterator[bool], what: str) -> Iterator[str]:
    broken = sum(not one for one in right)
    if broken:
        yield f"{broken} {what} are not what was written"


def _streamed(connection: Connection, query: Any) -> Any:
    return connection.execute(query, execution_options={"yield_per": 1000})
