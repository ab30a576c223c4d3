"""Rows of the pictures of a session: portrait and selfie, their vectors and prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.onboarding.prints import distance
from arcid.apps.onboarding.records import Role
from arcid.apps.onboarding.tables import pictures, sessions
from arcid.gallery.schema import Row
from arcid.gallery.seals import pack
from arcid.gallery.store import collections as collections_store
from arcid.gallery.store import sealed
from arcid.types import Embeddings
from arcid.vault import place


@dataclass(frozen=True, slots=True, repr=False)
class Taken:
    """A picture of one role as it is kept."""

    role: Role
    sha256: str
    print: bytes
    vector: Embeddings
    crop: bytes  # PNG
    picture: bytes  # JPEG
    details: dict[str, Any]


def keep(connection: Connection, row: Row, taken: Taken) -> None:
    """In the place of the one of that role before."""
    _delete(connection, (pictures.c.onboarding_id == row["id"]) & (pictures.c.role == taken.role))
    own = collections_store.by_id(connection, row["collection_id"])
    key_id = sealed.new_key(connection, own)
    values = {
        "onboarding_id": row["id"],
        "role": taken.role,
        "sha256": taken.sha256,
        "print": taken.print,
        "contract": taken.vector.contract_id,
        "vector": pack(taken.vector.vectors[0]),
        "crop": taken.crop,
        "picture": taken.picture,
        "key_id": key_id,
        "details": json.dumps(taken.details),
    }
    connection.execute(pictures.insert().values(values | _sealed(connection, key_id, values)))


def picture(connection: Connection, row: Row, role: Role) -> Row | None:
    """The kept picture of a role, opened."""
    query = sa.select(pictures).where(
        pictures.c.onboarding_id == row["id"], pictures.c.role == role
    )
    found = connection.execute(query).mappings().first()
    return None if found is None else dict(found) | _opened(connection, found)


def drop(connection: Connection, row: Row) -> None:
    """Erase vectors and pictures; the prints stay."""
    own = pictures.c.onboarding_id == row["id"]
    _doom(connection, own)
    connection.execute(
        pictures.update()
        .where(own)
        .values(vector=None, crop=None, picture=None, key_id=None, details="{}")
    )


def delete(connection: Connection, row: Row) -> None:
    """Erase them with their prints."""
    _delete(connection, pictures.c.onboarding_id == row["id"])


def delete_of(connection: Connection, chosen: sa.Select[tuple[int]]) -> None:
    """Erase those of the sessions of these keys with their prints."""
    _delete(connection, pictures.c.onboarding_id.in_(chosen))


def forget(connection: Connection, keys: Sequence[int]) -> None:
    """Erase what these data keys sealed."""
    connection.execute(pictures.delete().where(pictures.c.key_id.in_(keys)))


def seal(connection: Connection) -> int:
    """Seal what was kept before the gallery was protected; how many pictures."""
    query = (
        sa.select(pictures, sessions.c.collection_id)
        .join(sessions, sessions.c.id == pictures.c.onboarding_id)
        .where(pictures.c.vector.is_not(None), pictures.c.key_id.is_(None))
    )
    rows = connection.execute(query).mappings().all()
    for row in rows:
        own = collections_store.by_id(connection, row["collection_id"])
        key_id = sealed.new_key(connection, own)
        values = _sealed(connection, key_id, row) | {"key_id": key_id}
        connection.execute(pictures.update().where(pictures.c.id == row["id"]).values(values))
    return len(rows)


def nearest_print(connection: Connection, row: Row, made: bytes) -> int | None:
    """The least distance to a selfie of another session of the database; None: there is none."""
    query = sa.select(pictures.c.print).where(
        pictures.c.role == "selfie", pictures.c.onboarding_id != row["id"]
    )
    return min(
        (distance(made, bytes(found)) for (found,) in connection.execute(query)), default=None
    )


def _sealed(connection: Connection, key_id: int | None, values: Row) -> dict[str, bytes]:
    return {
        name: sealed.seal(connection, key_id, values[name], where)
        for name, where in _places(values).items()
        if values[name] is not None
    }


def _opened(connection: Connection, found: Row) -> dict[str, bytes]:
    return {
        name: sealed.unseal(connection, found["key_id"], found[name], where)
        for name, where in _places(found).items()
        if found[name] is not None
    }


def _places(row: Row) -> dict[str, bytes]:
    own = (row["onboarding_id"], row["role"], row["sha256"])
    return {name: place(f"onboarding-{name}", *own) for name in ("vector", "crop", "picture")}


def _delete(connection: Connection, condition: sa.ColumnElement[bool]) -> None:
    _doom(connection, condition)
    connection.execute(pictures.delete().where(condition))


def _doom(connection: Connection, condition: sa.ColumnElement[bool]) -> None:
    query = sa.select(pictures.c.key_id).where(condition)
    sealed.doom(connection, connection.execute(query).scalars().all())
