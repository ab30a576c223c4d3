"""The one copy of a key store in SQLite: the newest, apart from the copies of the gallery.

An older copy would give back who was erased since, so that each new one takes the place of the one
before; and it is not replaced by a store that lacks keys which the copy has.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import GalleryDamaged, KeyUnavailable, NotFound, UsageError
from arcid.gallery import copying
from arcid.gallery.faults import translated
from arcid.gallery.schema import people
from arcid.vault import KeyStore

_facts = sa.table("facts", sa.column("identity"))
_data = sa.table("data_keys", sa.column("id"))
_destroyed = sa.table("destroyed", sa.column("key_id"), sa.column("seq"))


class Held(NamedTuple):
    """What a key store holds; no key."""

    identity: str  # of the gallery
    keys: frozenset[int]  # numbers of data keys
    destroyed: frozenset[int]

    def __repr__(self) -> str:
        return f"Held({len(self.keys)} keys, {len(self.destroyed)} destroyed)"


def copy(store: KeyStore, path: Path, gallery: Path) -> int:
    """Copy a key store to ``path``, whose copy before it is replaced; how many data keys it holds.

    ``gallery``: the copy of the gallery that was made before, in another folder. Raises
    ``UsageError``, ``StorageFull``, and ``KeyUnavailable`` where the store lacks keys that the copy
    before has, or that the gallery needs.
    """
    require_apart(path, gallery)
    if store.path is None:
        raise UsageError("the key store is in PostgreSQL: copy the schema arcid_keys with pg_dump")
    store.counts()  # opened as its owner does: it is there, whole, and of this gallery
    with translated(store.path), copying.opened(store.path) as connection:
        now = _held(connection)
    if path.exists():
        _require_newer(now, path)
    _require_all(now, gallery)
    held = copying.transfer(store.path, path, _held, inspect)
    return len(held.keys)


def inspect(path: Path, name: str | None = None) -> Held:
    """Read every page of a key store that nobody writes to. Raises ``NotFound``,
    ``GalleryDamaged``, and ``UsageError`` where it is none."""
    name = name or path.name
    if not path.is_file():
        raise NotFound(f"there is no file {name}")
    with translated(path), copying.opened(path, still=True) as connection:
        rows = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
        if rows != ["ok"]:
            raise GalleryDamaged(f"{name} is damaged: {'; '.join(map(str, rows))}")
        if not sa.inspect(connection).has_table("facts"):
            raise UsageError(f"{name} is no key store")
        return _held(connection)


def restore(copy: Path, store: Path, identity: str) -> None:
    """Put a copy where no key store is. Raises ``UsageError`` where one is, since it knows who was
    erased; or where it is that of another gallery; and what ``inspect`` does."""
    if store.exists():
        raise UsageError(
            f"a key store is at {store.name} already, and knows who was erased since: it stays. "
            "Leave --keys out"
        )
    if inspect(copy).identity != identity:
        raise UsageError(f"{copy.name} holds the keys of another gallery than that of the backup")
    copying.transfer(copy, store, _held, inspect, still=True)


def require_apart(path: Path, gallery: Path) -> None:
    """Raise ``UsageError`` where both would lie in one folder."""
    if path.absolute().parent.resolve() == gallery.absolute().parent.resolve():
        raise UsageError(
            f"{path.name} would lie beside the copy of the gallery: whoever has both, and the root "
            "key, reads everything. Name a file in another folder, better on another disk"
        )


def _require_newer(now: Held, copy: Path) -> None:
    before = inspect(copy)
    if before.identity != now.identity:
        raise UsageError(f"{copy.name} holds the keys of another gallery; name another file")
    missing = len(before.keys - now.keys - now.destroyed)
    if missing or not before.destroyed <= now.destroyed:
        raise KeyUnavailable(
            f"the key store lacks {missing} keys that {copy.name} has, or forgot what was "
            "destroyed: it is older than its copy, or damaged. No key was copied. Find out which "
            "of the two is the newest, and put that in the place of the key store"
        )


def _require_all(now: Held, gallery: Path) -> None:
    key = people.c.key_id
    with copying.opened(gallery, still=True) as connection:
        needed = frozenset(connection.execute(sa.select(key).where(key.is_not(None))).scalars())
    if missing := len(needed - now.keys - now.destroyed):
        raise KeyUnavailable(
            f"the key store lacks the keys of {missing} people of this gallery: it is older than "
            "the gallery. No key was copied; put the newest copy of the key store back"
        )


def _held(connection: Connection) -> Held:
    ids = connection.execute(sa.select(_data.c.id)).scalars()
    gone = sa.select(_destroyed.c.key_id).where(_destroyed.c.key_id.is_not(None))
    return Held(
        connection.execute(sa.select(_facts.c.identity)).scalar_one(),
        frozenset(ids),
        frozenset(connection.execute(gone).scalars()),
    )
