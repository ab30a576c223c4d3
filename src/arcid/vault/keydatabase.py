"""The database of a key store: found, made, read and written, with errors in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from arcid import files
from arcid.errors import GalleryBusy, GalleryError, KeyUnavailable, StorageFull
from arcid.vault.keytables import LAYOUT, SCHEMA, collections, data, facts, metadata

BUSY_S = 10.0
_MAKING = 0x61726B79  # PostgreSQL advisory lock held while the tables are made


class KeyDatabase:
    """Of one gallery, by its ``identity``. Nothing is opened before it is needed."""

    def __init__(self, url: URL, identity: str) -> None:
        self._identity = identity
        self.path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        self.described = (
            f"schema {SCHEMA} of {url.database}" if self.path is None else self.path.name
        )
        self._checked = False
        if self.path is None:
            self._engine = sa.create_engine(url, pool_pre_ping=True, pool_size=2)
            return
        name = f"file:{quote(str(self.path))}?mode=rw"
        self._engine = sa.create_engine(
            "sqlite://",
            poolclass=sa.pool.QueuePool,
            pool_size=2,
            creator=lambda: sqlite3.connect(
                name, uri=True, timeout=BUSY_S, check_same_thread=False
            ),
        ).execution_options(schema_translate_map={SCHEMA: None})
        sa.event.listen(self._engine, "connect", _set_pragmas)
        sa.event.listen(self._engine, "checkout", self._refuse_replaced)
        sa.event.listen(self._engine, "begin", _begin)

    @property
    def url(self) -> str:
        """For display: the password is masked."""
        return str(self.path or self._engine.url.render_as_string(hide_password=True))

    def exists(self) -> bool:
        """Whether there is one; of another gallery or layout, too."""
        if self.path is not None:
            return self.path.exists()
        with self._translated(), self._engine.connect() as connection:
            return sa.inspect(connection).has_table("facts", schema=SCHEMA)

    def create(self, *, complete: bool) -> None:
        """An empty one, unless it is there. ``complete``: of a gallery that holds nothing yet."""
        if self.path is not None and not self.path.exists():
            files.create(self.path, b"", private=True)
        with self._translated(), self._engine.connect() as plain:
            connection = plain.execution_options(arcid_write=True)
            with connection.begin():
                if self.path is None:
                    lock = sa.func.pg_advisory_xact_lock(_MAKING)
                    connection.execute(sa.select(lock))
                    connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
                metadata.create_all(connection)
                if connection.execute(sa.select(facts.c.id)).first() is None:
                    connection.execute(
                        facts.insert().values(
                            id=1, identity=self._identity, layout=LAYOUT, complete=int(complete)
                        )
                    )

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as connection, connection.begin():
            self._check(connection)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as plain:
            connection = plain.execution_options(arcid_write=True)
            with connection.begin():
                self._check(connection)
                yield connection

    def _refuse_replaced(self, dbapi: Any, record: Any, proxy: Any) -> None:
        """A connection that was kept sees the old file after a backup was put back."""
        status = None if self.path is None or not self.path.exists() else self.path.stat()
        if status is None:
            raise self._missing()
        now = (status.st_dev, status.st_ino)
        if record.info.setdefault("file", now) != now:
            self._checked = False
            raise sa.exc.DisconnectionError("the key store was replaced")

    def _check(self, connection: Connection) -> None:
        if self._checked:
            return
        if not sa.inspect(connection).has_table("facts", schema=self._schema()):
            raise self._missing()
        found = connection.execute(sa.select(facts.c.identity, facts.c.layout)).first()
        if found is None or found.identity != self._identity:
            raise KeyUnavailable(
                f"{self.described} holds the keys of another gallery; put the key store of this "
                "one back, or name it in ARCID_KEY_STORE"
            )
        if found.layout != LAYOUT:
            raise KeyUnavailable(
                f"the key store has layout {found.layout}, this arcid knows {LAYOUT}: upgrade arcid"
            )
        self._checked = True

    def _schema(self) -> str | None:
        return SCHEMA if self.path is None else None

    def _missing(self) -> KeyUnavailable:
        return KeyUnavailable(
            f"the key store of this gallery is gone ({self.described}): without it nobody can read "
            "the faces in it. Put its newest backup back; nothing was changed"
        )

    def vacuum(self) -> None:
        """PostgreSQL keeps what was deleted or replaced until it is vacuumed."""
        if self.path is not None:
            return
        with self._translated(), self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in (collections, data):
                connection.exec_driver_sql(f"VACUUM {SCHEMA}.{table.name}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise self._translate(error.orig) from error.orig
        except sqlite3.Error as error:
            raise self._translate(error) from error

    def _translate(self, error: BaseException | None) -> GalleryError:
        if self.path is not None and not self.path.exists():
            return self._missing()
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        state = getattr(error, "sqlstate", None) or ""
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return GalleryBusy(f"another process is writing to {self.described}; try again")
        if code == sqlite3.SQLITE_FULL or state.startswith("53"):
            return StorageFull(f"the disk that holds {self.described} is full; free some space")
        return KeyUnavailable(
            f"{self.described} cannot be read or written ({type(error).__name__} "
            f"{getattr(error, 'sqlite_errorname', state)}): check its rights and its disk, or put "
            "its newest backup back"
        )


def _set_pragmas(dbapi: Any, record: Any) -> None:
    dbapi.isolation_level = None
    cursor = dbapi.cursor()
    for pragma in (
        "journal_mode=DELETE",
        "synchronous=EXTRA",  # the journal with its old keys is gone from the disk as well
        "secure_delete=ON",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    write = "arcid_write" in connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
