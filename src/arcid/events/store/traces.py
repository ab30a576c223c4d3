"""The faces behind events: kept, read, erased, and blocked from being taken for a person."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.events.store.log import Log
from arcid.events.tables import blocks, events, traces
from arcid.gallery.schema import Row, people
from arcid.gallery.seals import damaged, pack
from arcid.gallery.store import collections as collections_store
from arcid.gallery.store import sealed
from arcid.gallery.store.journal import now_us
from arcid.gallery.store.keys import chunks
from arcid.types import Embeddings, FloatArray
from arcid.vault import place


def leave(log: Log, event_key: int, vector: Embeddings, crop: bytes | None) -> None:
    """Keep the face behind an event: one row and, where the policy says so, a PNG."""
    contract = vector.contract_id
    key_id = sealed.new_key(log.connection, log.collection)
    places = _places(log, event_key, contract)
    data = sealed.seal(log.connection, key_id, pack(vector.vectors[0]), places[0])
    if crop is not None:
        crop = sealed.seal(log.connection, key_id, crop, places[1])
    values = {
        "event_id": event_key,
        "contract": contract,
        "dim": vector.dim,
        "vector": data,
        "crop": crop,
        "key_id": key_id,
        "seal": _seal(contract, data, crop),
    }
    log.execute(traces.insert().values(values))


def read(log: Log, rows: Sequence[Row]) -> dict[int, tuple[str, FloatArray, bytes | None]]:
    """Event key → (contract, (D,) vector, PNG or None), of those that still have one."""
    found = {}
    for part in chunks([row["id"] for row in rows]):
        query = sa.select(traces).where(traces.c.event_id.in_(part))
        for row in log.execute(query).mappings():
            found[row["event_id"]] = (row["contract"], read_vector(log, row), _crop(log, row))
    return found


def pictured(log: Log, event_keys: Sequence[int]) -> set[int]:
    """Of these events, those whose face is kept as a picture."""
    found: set[int] = set()
    for part in chunks(event_keys):
        query = sa.select(traces.c.event_id).where(
            traces.c.event_id.in_(part), traces.c.crop.is_not(None)
        )
        found |= set(log.execute(query).scalars())
    return found


def erase(log: Log, condition: sa.ColumnElement[bool]) -> int:
    """Erase the faces behind the events that meet a condition."""
    chosen = sa.select(events.c.id).where(condition)
    return _drop(log.connection, traces, traces.c.event_id.in_(chosen))


def erase_of(log: Log, event_keys: Sequence[int]) -> int:
    """Erase the faces behind these events; how many that were."""
    return sum(
        _drop(log.connection, traces, traces.c.event_id.in_(part)) for part in chunks(event_keys)
    )


def block(log: Log, person: Row, about: Row, actor: str) -> bool:
    """Keep the face behind an event from being taken for a person; False if it is gone."""
    query = sa.select(traces).where(traces.c.event_id == about["id"])
    trace = log.execute(query).mappings().first()
    if trace is None:
        return False
    known = sa.select(blocks.c.id).where(
        blocks.c.event_uid == about["uid"], blocks.c.person_id == person["id"]
    )
    if log.execute(known).first():
        return True
    key_id = sealed.new_key(log.connection, log.collection)
    where = _block_place(log, about["uid"], trace["contract"])
    data = sealed.seal(log.connection, key_id, pack(read_vector(log, trace)), where)
    values = {
        "person_id": person["id"],
        "event_uid": about["uid"],
        "contract": trace["contract"],
        "dim": trace["dim"],
        "vector": data,
        "key_id": key_id,
        "actor": actor,
        "created_at": now_us(),
        "seal": _seal(trace["contract"], data, None),
    }
    log.execute(blocks.insert().values(values))
    return True


def unblock(log: Log, about: Row, but: Collection[str] | None = None) -> None:
    """The face behind an event may be taken again for those it was kept from.

    ``but``: not for these people (uids); None: for everybody.
    """
    condition = blocks.c.event_uid == about["uid"]
    if but is not None:
        kept = sa.select(people.c.id).where(people.c.uid.in_(but))
        condition = sa.and_(condition, blocks.c.person_id.not_in(kept))
    drop_blocks(log, condition)


def drop_blocks(log: Log, condition: sa.ColumnElement[bool]) -> int:
    """Erase the blocks that meet a condition; how many."""
    return _drop(log.connection, blocks, condition)


def blocked(log: Log, contract_id: str) -> list[tuple[str, FloatArray]]:
    """(person uid, (D,) vector) of every blocked pair."""
    query = (
        sa.select(blocks, people.c.uid)
        .join(people, people.c.id == blocks.c.person_id)
        .where(people.c.collection_id == log.collection["id"], blocks.c.contract == contract_id)
        .order_by(blocks.c.id)
    )
    found = []
    for row in log.execute(query).mappings():
        where = _block_place(log, row["event_uid"], row["contract"])
        found.append((row["uid"], _vector(log, row, None, where)))
    return found


def read_vector(log: Log, row: Row) -> FloatArray:
    """(D,) of a row of ``traces``. Raises ``GalleryDamaged``, ``SealBroken``."""
    where = _places(log, row["event_id"], row["contract"])[0]
    return _vector(log, row, row["crop"], where)


def forget(connection: Connection, keys: Sequence[int]) -> None:
    """Erase what these data keys sealed."""
    for table in (traces, blocks):
        connection.execute(table.delete().where(table.c.key_id.in_(keys)))


def seal(connection: Connection) -> int:
    """Seal the faces stored before the gallery was protected; how many."""
    done = 0
    for table, column in ((traces, traces.c.event_id), (blocks, blocks.c.id)):
        whose = events.c.id == traces.c.event_id if table is traces else None
        query = sa.select(table).where(table.c.key_id.is_(None)).order_by(column)
        for row in connection.execute(query).mappings().all():
            own = _collection_of(connection, row, whose is not None)
            log = Log(connection, own)
            key_id = sealed.new_key(connection, own)
            values: dict[str, Any] = {"key_id": key_id}
            if whose is not None:
                places = _places(log, row["event_id"], row["contract"])
                clear, picture = read_vector(log, row), _crop(log, row)
                if picture is not None:
                    values["crop"] = sealed.seal(connection, key_id, picture, places[1])
                where = places[0]
            else:
                where = _block_place(log, row["event_uid"], row["contract"])
                clear = _vector(log, row, None, where)
            values["vector"] = sealed.seal(connection, key_id, pack(clear), where)
            values["seal"] = _seal(row["contract"], values["vector"], values.get("crop"))
            connection.execute(table.update().where(column == row[column.name]).values(values))
            done += 1
    return done


def doom(connection: Connection, chosen: sa.Select[tuple[int]]) -> None:
    """Destroy the keys of the faces behind events (keys) that are about to be deleted."""
    query = sa.select(traces.c.key_id).where(traces.c.event_id.in_(chosen))
    sealed.doom(connection, connection.execute(query).scalars().all())


def _collection_of(connection: Connection, row: Row, is_trace: bool) -> Row:
    if is_trace:
        query = sa.select(events.c.collection_id).where(events.c.id == row["event_id"])
    else:
        query = sa.select(people.c.collection_id).where(people.c.id == row["person_id"])
    return collections_store.by_id(connection, connection.execute(query).scalar_one())


def _drop(connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    keys = connection.execute(sa.select(table.c.key_id).where(condition)).scalars().all()
    sealed.doom(connection, keys)
    return connection.execute(table.delete().where(condition)).rowcount


def _places(log: Log, event_key: int, contract: str) -> tuple[bytes, bytes]:
    """What vector and crop behind an event are bound to."""
    own = (log.collection["id"], event_key, contract)
    return place("trace", *own), place("trace-crop", *own)


def _block_place(log: Log, event_uid: str, contract: str) -> bytes:
    return place("block", log.collection["id"], event_uid, contract)


def _crop(log: Log, row: Row) -> bytes | None:
    if row["crop"] is None:
        return None
    where = _places(log, row["event_id"], row["contract"])[1]
    return sealed.unseal(log.connection, row["key_id"], row["crop"], where)


def _vector(log: Log, row: Row, crop: bytes | None, where: bytes) -> FloatArray:
    data = row["vector"]
    if _seal(row["contract"], data, crop) != row["seal"]:
        raise damaged("the face behind an event")
    data = sealed.unseal(log.connection, row["key_id"], data, where)
    if len(data) != row["dim"] * 4:
        raise damaged("the face behind an event")
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)


def _seal(contract: str, vector: bytes, crop: bytes | None) -> int:
    return zlib.crc32(crop or b"", zlib.crc32(vector, zlib.crc32(contract.encode())))
