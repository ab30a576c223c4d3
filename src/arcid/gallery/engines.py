"""Engines for a gallery's database: one that reads and writes, and one that only looks."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from arcid.errors import GalleryError, MissingExtra, UsageError
from arcid.gallery import place
from arcid.gallery.faults import gone

WRITE = {"arcid_write": True}  # execution options of a connection that is going to write
CONNECT_S = 5  # for a PostgreSQL server to answer, unless the URL says otherwise
_POOL = {"pool_size": 8, "max_overflow": 24}


def parse_url(url: str | Path) -> URL:
    """A path or a SQLAlchemy URL (``sqlite:///file``, ``postgresql://...``) in."""
    if isinstance(url, Path) or "://" not in url:
        return URL.create("sqlite", database=str(url))
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError:
        raise UsageError("this gallery URL cannot be read; use a path or postgresql://") from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise UsageError(f"galleries live in sqlite or postgresql, not {backend}")
    return parsed


def file_of(url: URL) -> Path | None:
    """SQLite's file; None on PostgreSQL."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise UsageError("a gallery needs a file: give a path, not an in-memory database")
    return Path(url.database).expanduser().absolute()


def make(url: URL, path: Path | None, busy_s: float) -> Engine:
    """``busy_s``: how long a write waits for another. Raises ``MissingExtra``."""
    if path is None:
        options: dict[str, Any] = {"options": f"-c lock_timeout={int(busy_s * 1000)}"}
        if "connect_timeout" not in url.query:
            options["connect_timeout"] = CONNECT_S
        try:
            return sa.create_engine(url, pool_pre_ping=True, connect_args=options, **_POOL)
        except ModuleNotFoundError:
            raise MissingExtra("a gallery on PostgreSQL", "postgres") from None
    name = place.uri(path, "rw")  # a file that is gone is not made anew
    engine = sa.create_engine(
        "sqlite://",
        poolclass=sa.pool.QueuePool,
        creator=lambda: sqlite3.connect(name, uri=True, timeout=busy_s, check_same_thread=False),
        **_POOL,
    )

    def refuse_replaced_file(dbapi: Any, record: Any, proxy: Any) -> None:
        """After a restore that swaps the file, pooled connections still see the old one."""
        now = place.identity(path)
        if now is None:
            raise gone(path)
        if record.info.setdefault("file", now) != now:
            raise sa.exc.DisconnectionError("the database file was replaced")

    sa.event.listen(engine, "connect", _set_pragmas)
    sa.event.listen(engine, "begin", _begin)
    sa.event.listen(engine, "checkout", refuse_replaced_file)
    return engine


def read_only(path: Path, *, still: bool = False) -> Engine:
    """``still``: nobody writes to the file; neither a log nor locks are looked for."""
    name = place.uri(path, "ro") + ("&immutable=1" if still else "")
    return sa.create_engine(
        "sqlite://", poolclass=sa.pool.NullPool, creator=lambda: sqlite3.connect(name, uri=True)
    )


def close(engine: Engine) -> None:
    """For good: whoever asks for a connection afterwards gets ``GalleryError``."""
    pool, engine.pool = engine.pool, sa.pool.NullPool(_refuse)
    pool.dispose()


def _refuse() -> NoReturn:
    raise GalleryError("this gallery was closed; open it again")


def _set_pragmas(dbapi: Any, record: Any) -> None:
    dbapi.isolation_level = None  # transactions begin where _begin says, nowhere else
    cursor = dbapi.cursor()
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "trusted_schema=OFF",
        "cell_size_check=ON",
        "temp_store=MEMORY",
        "journal_size_limit=67108864",
        "wal_autocheckpoint=256",  # pages: what a full disk keeps in the log fits into the spare
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    write = "arcid_write" in connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
