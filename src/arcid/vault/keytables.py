"""The tables of a key store, and what its rows are handed out as."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

SCHEMA = "arcid_keys"  # of PostgreSQL
LAYOUT = 1

metadata = sa.MetaData()
_BigInt = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("identity", sa.String(32), nullable=False),  # of the gallery
    sa.Column("layout", sa.Integer, nullable=False),
    sa.Column("complete", sa.Integer, nullable=False),  # nothing of the gallery is unsealed
    schema=SCHEMA,
)
collections = sa.Table(
    "collection_keys",
    metadata,
    sa.Column("id", _BigInt, primary_key=True, autoincrement=False),  # random
    sa.Column("collection", sa.String(32), nullable=False, index=True),  # uid
    sa.Column("wrapped", sa.LargeBinary, nullable=False),  # by the root key
    sa.Column("made_at", sa.BigInteger, nullable=False),
    schema=SCHEMA,
)
data = sa.Table(
    "data_keys",
    metadata,
    sa.Column("id", _BigInt, primary_key=True, autoincrement=False),  # random
    sa.Column(  # the collection key that wraps it
        "parent", _BigInt, sa.ForeignKey(f"{SCHEMA}.collection_keys.id"), nullable=False, index=True
    ),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
    schema=SCHEMA,
)
destroyed = sa.Table(
    "destroyed",
    metadata,
    sa.Column("seq", _BigInt, primary_key=True, autoincrement=True),
    # Neither: up to this number the gallery knew, when an older copy of the store was put back.
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
