"""Whether what is stored is sealed, and with whose key; the keys are in ``arcid.vault``.

A data key belongs to one person, or to one row that is of nobody yet. It is destroyed after the
commit that erases what it sealed (``doom``), so that no older copy of the database brings it back.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.schema import Row, gallery, inherited, people, shreds
from arcid.gallery.store.keys import chunks
from arcid.vault import Vault, keystore, sealing

TEXT = "\x01"  # how a sealed text begins, which nobody types; base64 follows
OPTION = "arcid_vault"  # execution option of every connection of a gallery


def vault(connection: Connection) -> Vault:
    """The keys of the gallery that a connection is to."""
    return cast("Vault", connection.get_execution_options()[OPTION])


def is_on(connection: Connection) -> bool:
    """Whether what is written now is sealed."""
    keys = vault(connection)
    if not keys.active:
        keys.active = bool(connection.execute(sa.select(gallery.c.protected)).scalar_one())
    return keys.active


def new_key(connection: Connection, collection: Row) -> int | None:
    """The number of a data key for what is about to be stored; None where nothing is sealed."""
    return vault(connection).new_key(collection["uid"]) if is_on(connection) else None


def key_of(connection: Connection, collection: Row, person: Row) -> int | None:
    """A person's data key, made where they have none yet; None where nothing is sealed."""
    if person["key_id"] is not None or not is_on(connection):
        return cast("int | None", person["key_id"])
    own = people.c.id == person["id"]
    found = connection.execute(sa.select(people.c.key_id).where(own)).scalar_one()
    if found is None:
        found = new_key(connection, collection)
        connection.execute(people.update().where(own).values(key_id=found))
    return cast("int", found)


def seal(connection: Connection, key_id: int | None, value: bytes, where: bytes) -> bytes:
    """``key_id`` None: as it is."""
    return value if key_id is None else vault(connection).seal(key_id, value, where)


def unseal(connection: Connection, key_id: int | None, value: bytes, where: bytes) -> bytes:
    """``key_id`` None: it was stored as it is. Raises ``SealBroken``, ``KeyUnavailable``."""
    keys = vault(connection)
    if key_id is None:
        keys.allow_unsealed()
        return value
    return keys.unseal(value, where)


def seal_text(connection: Connection, key_id: int | None, text: str, where: bytes) -> str:
    """A column of text: the empty one and what is sealed already stay; ``key_id`` as ``seal``."""
    if key_id is None or not text or text.startswith(TEXT):
        return text
    return TEXT + base64.b64encode(seal(connection, key_id, text.encode(), where)).decode()


def unseal_text(connection: Connection, text: str, where: bytes) -> str:
    """What ``seal_text`` was handed. Raises ``SealBroken``, ``KeyUnavailable``."""
    if text.startswith(TEXT):
        return vault(connection).unseal(base64.b64decode(text[1:]), where).decode()
    if text:
        vault(connection).allow_unsealed()
    return text


def clear_text(column: sa.Column[str]) -> sa.ColumnElement[bool]:
    """Rows whose text ``seal_text`` would seal."""
    return sa.and_(column != "", column.not_like(f"{TEXT}%"))


def keys_of(texts: Iterable[str]) -> list[int]:
    """The data keys that sealed these."""
    return [sealing.key_of(base64.b64decode(t[1:])) for t in texts if t.startswith(TEXT)]


def doom(connection: Connection, keys: Collection[int | None]) -> None:
    """Destroy data keys once this transaction, which must be one that erases, is committed."""
    rows = [{"key_id": key, "collection_uid": None} for key in keys if key is not None]
    if rows:
        connection.execute(shreds.insert(), rows)


def doom_person(connection: Connection, person: Row) -> list[int]:
    """A person's data keys, those of people who became part of them too; which they are."""
    mine = sa.select(inherited.c.key_id).where(inherited.c.person_id == person["id"])
    theirs = dict.fromkeys([person["key_id"], *connection.execute(mine).scalars()])
    every = [key for key in theirs if key is not None]
    doom(connection, every)
    return every


def doom_collection(connection: Connection, collection: Row) -> None:
    """All keys of a collection."""
    if is_on(connection):
        connection.execute(shreds.insert().values(key_id=None, collection_uid=collection["uid"]))


def doom_index(connection: Connection, uid: str) -> None:
    """All copies of the index of the collection of that uid: a face in them is erased."""
    if is_on(connection):
        name = keystore.of_index(uid)
        connection.execute(shreds.insert().values(key_id=None, collection_uid=name))


def hand_over(connection: Connection, other: Row, keep: Row) -> list[int]:
    """Before two people are merged: the kept one's keys now, destroyed with them. Which of them the
    other had inherited."""
    theirs = inherited.c.person_id == other["id"]
    earlier = list(connection.execute(sa.select(inherited.c.key_id).where(theirs)).scalars())
    connection.execute(inherited.update().where(theirs).values(person_id=keep["id"]))
    known = sa.select(inherited.c.id).where(inherited.c.key_id == other["key_id"])
    if other["key_id"] is not None and connection.execute(known).first() is None:
        connection.execute(
            inherited.insert().values(
                person_id=keep["id"], key_id=other["key_id"], origin=other["uid"]
            )
        )
    return earlier


def take_back(connection: Connection, keep: Row, other: Row, earlier: Sequence[int]) -> None:
    """The keys of somebody who became part of ``keep`` and is there again, beside a new one.
    ``earlier``: as ``hand_over`` said."""
    back = inherited.update().where(inherited.c.person_id == keep["id"])
    back = back.values(person_id=other["id"])
    connection.execute(back.where(inherited.c.origin == other["uid"]))
    for part in chunks(earlier):
        connection.execute(back.where(inherited.c.key_id.in_(part)))


def doomed(connection: Connection) -> Sequence[Any]:
    """(id, data key, collection uid) of keys that are to be destroyed."""
    return connection.execute(sa.select(shreds)).all()
