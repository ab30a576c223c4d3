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
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from arcid.vault.keydatabase import KeyDatabase
from arcid.vault.keytables import CollectionKey, DataKey, Destroyed, data, facts
from arcid.vault.keytables import collections as owned
from arcid.vault.keytables import destroyed as gone

SETTING = "ARCID_KEY_STORE"
SUFFIX = "-keys"
PART = 500  # numbers asked for at once
INDEX = "index-"  # how the name begins under which the keys of a collection's index stand


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


class KeyStore(KeyDatabase):
    """Thread-safe; several processes may hold one each."""

    def complete(self) -> bool:
        """Whether nothing of the gallery is unsealed, so that what is was put there."""
        with self.reading() as connection:
            return bool(connection.execute(sa.select(facts.c.complete)).scalar_one())

    def completed(self) -> None:
        """From now on nothing unsealed is read."""
        with self.writing() as connection:
            connection.execute(facts.update().values(complete=1))

    def collection_key(self, collection: str) -> CollectionKey | None:
        """The newest of a collection, which wraps new data keys."""
        own = owned.c.collection == collection
        query = sa.select(*_COLLECTION).where(own).order_by(owned.c.made_at.desc())
        with self.reading() as connection:
            row = connection.execute(query.limit(1)).first()
        return None if row is None else CollectionKey(*row)

    def collection_keys(self, ids: Collection[int] | None = None) -> list[CollectionKey]:
        """Those of these numbers, or all."""
        query = sa.select(*_COLLECTION)
        if ids is not None:
            query = query.where(owned.c.id.in_(ids))
        with self.reading() as connection:
            return [CollectionKey(*row) for row in connection.execute(query)]

    def add_collection_key(self, key: CollectionKey) -> None:
        """From now on the newest of its collection."""
        with self.writing() as connection:
            connection.execute(
                owned.insert().values(**key._asdict(), made_at=time.time_ns() // 1000)
            )

    def add_data_keys(self, keys: Sequence[DataKey]) -> bool:
        """All of one parent; False where that is gone."""
        parent = sa.select(owned.c.id).where(owned.c.id == keys[0].parent)
        with self.writing() as connection:
            if connection.execute(parent.with_for_update(read=True)).first() is None:
                return False
            connection.execute(data.insert(), [key._asdict() for key in keys])
        return True

    def data_keys(self, ids: Iterable[int]) -> list[DataKey]:
        """Those of these numbers that are there."""
        found = []
        wanted = list(ids)
        with self.reading() as connection:
            for start in range(0, len(wanted), PART):
                query = sa.select(*_DATA).where(data.c.id.in_(wanted[start : start + PART]))
                found += [DataKey(*row) for row in connection.execute(query)]
        return found

    def wrapped_by(self, parents: Collection[int], limit: int) -> list[DataKey]:
        """Some of the data keys that these collection keys wrap."""
        query = sa.select(*_DATA).where(data.c.parent.in_(parents)).limit(limit)
        with self.reading() as connection:
            return [DataKey(*row) for row in connection.execute(query)]

    def rewrap(self, keys: Sequence[CollectionKey | DataKey]) -> None:
        """Replace how these are wrapped; those destroyed meanwhile stay so."""
        if not keys:
            return
        table = owned if isinstance(keys[0], CollectionKey) else data
        changed = table.update().where(table.c.id == sa.bindparam("of"))
        values: dict[str, Any] = {"wrapped": sa.bindparam("wrapped")}
        if table is data:
            values["parent"] = sa.bindparam("parent")
        with self.writing() as connection:
            connection.execute(
                changed.values(values),
                [{"of": k.id} | {name: getattr(k, name) for name in values} for k in keys],
            )
        self.vacuum()

    def drop_collection_keys(self, ids: Collection[int]) -> None:
        """Destroy those that wrap nothing any more."""
        used = sa.select(data.c.parent)
        with self.writing() as connection:
            unused = owned.c.id.in_(ids) & owned.c.id.not_in(used)
            connection.execute(owned.delete().where(unused))
        self.vacuum()

    def destroy(self, keys: Collection[int], collections: Collection[str]) -> None:
        """Destroy data keys, and collections' keys with all the data keys they wrap."""
        now = time.time_ns() // 1000
        with self.writing() as connection:
            for uid in collections:
                own = sa.select(owned.c.id).where(owned.c.collection == uid)
                theirs = sa.select(data.c.id, sa.literal(now)).where(data.c.parent.in_(own))
                connection.execute(gone.insert().from_select(["key_id", "at"], theirs))
                connection.execute(data.delete().where(data.c.parent.in_(own)))
                connection.execute(owned.delete().where(owned.c.collection == uid))
            listed = list(keys)
            for start in range(0, len(listed), PART):
                part = listed[start : start + PART]
                connection.execute(data.delete().where(data.c.id.in_(part)))
            rows: list[dict[str, Any]]
            rows = [{"key_id": key, "collection": None, "at": now} for key in listed]
            whole = [uid for uid in collections if not uid.startswith(INDEX)]
            rows += [{"key_id": None, "collection": uid, "at": now} for uid in whole]
            if rows:
                connection.execute(gone.insert(), rows)
        self.vacuum()

    def destroyed(self, after: int) -> Destroyed:
        """What was destroyed after that number: all of it, under new numbers, where this store is
        an older copy that was put back and never came so far."""
        query = sa.select(gone).where(gone.c.seq > after).order_by(gone.c.seq)
        with self.reading() as connection:
            rows = connection.execute(query).all()
            behind = not rows and _last(connection) < after
        if behind:
            self._number_above(after)
            return self.destroyed(after)
        return Destroyed(
            rows[-1].seq if rows else after,
            tuple(row.key_id for row in rows if row.key_id is not None),
            tuple(row.collection for row in rows if row.collection is not None),
        )

    def _number_above(self, known: int) -> None:
        """Whoever came as far as ``known`` would look at no number that is given from now on, nor
        at those that were given here since the copy was put back."""
        with self.writing() as connection:
            if self.path is None:
                connection.exec_driver_sql(f"LOCK TABLE {gone.fullname} IN EXCLUSIVE MODE")
            if _last(connection) >= known:
                return  # another process did it
            connection.execute(gone.update().values(seq=gone.c.seq + known))
            connection.execute(gone.insert().values(seq=known, at=time.time_ns() // 1000))
            if self.path is None:
                sequence = sa.func.pg_get_serial_sequence(gone.fullname, gone.c.seq.name)
                connection.execute(sa.select(sa.func.setval(sequence, _last(connection))))

    def any_destroyed(self, ids: Collection[int]) -> bool:
        """Whether one of these data keys was destroyed."""
        wanted = list(ids)
        with self.reading() as connection:
            return any(
                connection.execute(
                    sa.select(gone.c.seq)
                    .where(gone.c.key_id.in_(wanted[start : start + PART]))
                    .limit(1)
                ).first()
                for start in range(0, len(wanted), PART)
            )

    def counts(self) -> dict[str, int]:
        """Collections with a key, data keys, data keys destroyed."""
        tables = {"collection_keys": owned, "data_keys": data, "destroyed": gone}
        with self.reading() as connection:
            return {
                name: connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one()
                for name, t in tables.items()
            }


_COLLECTION = (owned.c.id, owned.c.collection, owned.c.wrapped)
_DATA = (data.c.id, data.c.parent, data.c.wrapped)


def _last(connection: Connection) -> int:
    """The newest number of what was destroyed."""
    return int(connection.execute(sa.select(sa.func.max(gone.c.seq))).scalar() or 0)


def new_id() -> int:
    """The number of a key: random, so that no two galleries share one."""
    return secrets.randbits(62)
