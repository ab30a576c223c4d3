"""The wrapped keys of a gallery, in a database of their own that is backed up apart.

    root key → a key for each collection → a data key for each person, event face, note

A data key that was destroyed is in no file any more; that it was is kept as a number, so that an
older copy of the gallery put back later loses those people again (``destroyed``).

SQLite: the file ``…-keys`` beside the gallery's, with a rollback journal: once a call returns, what
it destroyed is in no log either. PostgreSQL: the schema ``arcid_keys`` of the gallery's database.
``ARCID_KEY_STORE`` names another file or database.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from arcid import files
from arcid.errors import GalleryBusy, GalleryError, KeyUnavailable, StorageFull

SETTING = "ARCID_KEY_STORE"
SUFFIX = "-keys"
SCHEMA = "arcid_keys"
LAYOUT = 1
BUSY_S = 10.0
PART = 500  # numbers asked for at once
INDEX = "index-"  # how the name begins under which the keys of a collection's index stand
_MAKING = 0x61726B79  # PostgreSQL advisory lock held while the tables are made

_metadata = sa.MetaData()
_BigInt = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_facts = sa.Table(
    "facts",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("identity", sa.String(32), nullable=False),  # of the gallery
    sa.Column("layout", sa.Integer, nullable=False),
    sa.Column("complete", sa.Integer, nullable=False),  # nothing of the gallery is unsealed
    schema=SCHEMA,
)
_collections = sa.Table(
    "collection_keys",
    _metadata,
    sa.Column("id", _BigInt, primary_key=True, autoincrement=False),  # random
    sa.Column("collection", sa.String(32), nullable=False, index=True),  # uid
    sa.Column("wrapped", sa.LargeBinary, nullable=False),  # by the root key
    sa.Column("made_at", sa.BigInteger, nullable=False),
    schema=SCHEMA,
)
_data = sa.Table(
    "data_keys",
    _metadata,
    sa.Column("id", _BigInt, primary_key=True, autoincrement=False),  # random
    sa.Column(  # the collection key that wraps it
        "parent", _BigInt, sa.ForeignKey(f"{SCHEMA}.collection_keys.id"), nullable=False, index=True
    ),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
    schema=SCHEMA,
)
_destroyed = sa.Table(
    "destroyed",
    _metadata,
    sa.Column("seq", _BigInt, primary_key=True, autoincrement=True),
    sa.Column("key_id", sa.BigInteger, nullable=True, index=True),  # of a data key, or
    sa.Column("collection", sa.String(32), nullable=True),  # of a collection with all its keys
    sa.Column("at", sa.BigInteger, nullable=False),
    schema=SCHEMA,
    sqlite_autoincrement=True,
)


class CollectionKey(NamedTuple):
    id: int
    collection: str
    wrapped: bytes

    def __repr__(self) -> str:
        return f"CollectionKey({self.id})"


class DataKey(NamedTuple):
    id: int
    parent: int
    wrapped: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.id})"


class Destroyed(NamedTuple):
    """What was destroyed after some number; ``last`` is the newest."""

    last: int
    keys: tuple[int, ...]
    collections: tuple[str, ...]


def place_of(gallery: URL, named: str | None) -> URL:
    """Where the keys of a gallery are; ``named``: another path or URL."""
    if named is not None:
        if "://" not in named:
            return URL.create("sqlite", database=str(Path(named).expanduser().absolute()))
        url = sa.make_url(named)
        return url.set(drivername="postgresql+psycopg") if "postgres" in url.drivername else url
    if gallery.get_backend_name() != "sqlite":
        return gallery
    path = Path(gallery.database or "").expanduser().absolute()
    return gallery.set(database=str(path.with_name(path.name + SUFFIX)))


def of_index(collection: str) -> str:
    """Under which name keys of the copies of a collection's index stand, to be destroyed alone."""
    return (INDEX + collection)[:32]


class KeyStore:
    """Thread-safe; several processes may hold one each. Nothing is opened before it is needed."""

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
                _metadata.create_all(connection)
                if connection.execute(sa.select(_facts.c.id)).first() is None:
                    connection.execute(
                        _facts.insert().values(
                            id=1, identity=self._identity, layout=LAYOUT, complete=int(complete)
                        )
                    )

    def complete(self) -> bool:
        """Whether nothing of the gallery is unsealed, so that what is was put there."""
        with self._reading() as connection:
            return bool(connection.execute(sa.select(_facts.c.complete)).scalar_one())

    def completed(self) -> None:
        """From now on nothing unsealed is read."""
        with self._writing() as connection:
            connection.execute(_facts.update().values(complete=1))

    def collection_key(self, collection: str) -> CollectionKey | None:
        """The newest of a collection, which wraps new data keys."""
        own = _collections.c.collection == collection
        query = sa.select(*_COLLECTION).where(own).order_by(_collections.c.made_at.desc())
        with self._reading() as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else CollectionKey(*row)

    def collection_keys(self, ids: Collection[int] | None = None) -> list[CollectionKey]:
        """Those of these numbers, or all."""
        query = sa.select(*_COLLECTION)
        if ids is not None:
            query = query.where(_collections.c.id.in_(ids))
        with self._reading() as connection:
            return [CollectionKey(*row) for row in connection.execute(query)]

    def add_collection_key(self, key: CollectionKey) -> None:
        """From now on the newest of its collection."""
        with self._writing() as connection:
            connection.execute(
                _collections.insert().values(**key._asdict(), made_at=time.time_ns() // 1000)
            )

    def add_data_keys(self, keys: Sequence[DataKey]) -> bool:
        """All of one parent; False where that is gone."""
        parent = sa.select(_collections.c.id).where(_collections.c.id == keys[0].parent)
        with self._writing() as connection:
            if connection.execute(parent.with_for_update(read=True)).first() is None:
                return False
            connection.execute(_data.insert(), [key._asdict() for key in keys])
        return True

    def data_keys(self, ids: Iterable[int]) -> list[DataKey]:
        """Those of these numbers that are there."""
        found = []
        wanted = list(ids)
        with self._reading() as connection:
            for start in range(0, len(wanted), PART):
                query = sa.select(*_DATA).where(_data.c.id.in_(wanted[start : start + PART]))
                found += [DataKey(*row) for row in connection.execute(query)]
        return found

    def wrapped_by(self, parents: Collection[int], limit: int) -> list[DataKey]:
        """Some of the data keys that these collection keys wrap."""
        query = sa.select(*_DATA).where(_data.c.parent.in_(parents)).limit(limit)
        with self._reading() as connection:
            return [DataKey(*row) for row in connection.execute(query)]

    def rewrap(self, keys: Sequence[CollectionKey | DataKey]) -> None:
        """Replace how these are wrapped; those destroyed meanwhile stay so."""
        if not keys:
            return
        table = _collections if isinstance(keys[0], CollectionKey) else _data
        changed = table.update().where(table.c.id == sa.bindparam("of"))
        values: dict[str, Any] = {"wrapped": sa.bindparam("wrapped")}
        if table is _data:
            values["parent"] = sa.bindparam("parent")
        with self._writing() as connection:
            connection.execute(
                changed.values(values),
                [{"of": k.id} | {name: getattr(k, name) for name in values} for k in keys],
            )
        self._vacuum()

    def drop_collection_keys(self, ids: Collection[int]) -> None:
        """Destroy those that wrap nothing any more."""
        used = sa.select(_data.c.parent)
        with self._writing() as connection:
            unused = _collections.c.id.in_(ids) & _collections.c.id.not_in(used)
            connection.execute(_collections.delete().where(unused))
        self._vacuum()

    def destroy(self, keys: Collection[int], collections: Collection[str]) -> None:
        """Destroy data keys, and collections' keys with all the data keys they wrap."""
        now = time.time_ns() // 1000
        with self._writing() as connection:
            for uid in collections:
                own = sa.select(_collections.c.id).where(_collections.c.collection == uid)
                theirs = sa.select(_data.c.id, sa.literal(now)).where(_data.c.parent.in_(own))
                connection.execute(_destroyed.insert().from_select(["key_id", "at"], theirs))
                connection.execute(_data.delete().where(_data.c.parent.in_(own)))
                connection.execute(_collections.delete().where(_collections.c.collection == uid))
            listed = list(keys)
            for start in range(0, len(listed), PART):
                part = listed[start : start + PART]
                connection.execute(_data.delete().where(_data.c.id.in_(part)))
            rows: list[dict[str, Any]]
            rows = [{"key_id": key, "collection": None, "at": now} for key in listed]
            whole = [uid for uid in collections if not uid.startswith(INDEX)]
            rows += [{"key_id": None, "collection": uid, "at": now} for uid in whole]
            if rows:
                connection.execute(_destroyed.insert(), rows)
        self._vacuum()

    def destroyed(self, after: int) -> Destroyed:
        """What was destroyed after that number."""
        query = sa.select(_destroyed).where(_destroyed.c.seq > after).order_by(_destroyed.c.seq)
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return Destroyed(
            rows[-1].seq if rows else after,
            tuple(row.key_id for row in rows if row.key_id is not None),
            tuple(row.collection for row in rows if row.collection is not None),
        )

    def any_destroyed(self, ids: Collection[int]) -> bool:
        """Whether one of these data keys was destroyed."""
        wanted = list(ids)
        with self._reading() as connection:
            return any(
                connection.execute(
                    sa.select(_destroyed.c.seq)
                    .where(_destroyed.c.key_id.in_(wanted[start : start + PART]))
                    .limit(1)
                ).first()
                for start in range(0, len(wanted), PART)
            )

    def counts(self) -> dict[str, int]:
        """Collections with a key, data keys, data keys destroyed."""
        tables = {"collection_keys": _collections, "data_keys": _data, "destroyed": _destroyed}
        with self._reading() as connection:
            return {
                name: connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one()
                for name, t in tables.items()
            }

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as connection, connection.begin():
            self._check(connection)
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
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
        found = connection.execute(sa.select(_facts.c.identity, _facts.c.layout)).first()
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

    def _vacuum(self) -> None:
        """PostgreSQL keeps what was deleted or replaced until it is vacuumed."""
        if self.path is not None:
            return
        with self._translated(), self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in (_collections, _data):
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


_COLLECTION = (_collections.c.id, _collections.c.collection, _collections.c.wrapped)
_DATA = (_data.c.id, _data.c.parent, _data.c.wrapped)


def new_id() -> int:
    """The number of a key: random, so that no two galleries share one."""
    return secrets.randbits(62)


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
