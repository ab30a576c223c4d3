"""The faces behind events: kept, read, erased, and blocked from being taken for a person."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from arcid.events.store.log import Log
from arcid.events.tables import blocks, events, traces
from arcid.gallery.schema import Row, people
from arcid.gallery.seals import damaged, pack
from arcid.gallery.store.journal import now_us
from arcid.gallery.store.keys import chunks
from arcid.types import Embeddings, FloatArray


def leave(log: Log, event_key: int, vector: Embeddings, crop: bytes | None) -> None:
    """Keep the face behind an event: one row and, where the policy says so, a PNG."""
    data = pack(vector.vectors[0])
    contract = vector.contract_id
    values = {
        "event_id": event_key,
        "contract": contract,
        "dim": vector.dim,
        "vector": data,
        "crop": crop,
        "seal": _seal(contract, data, crop),
    }
    log.execute(traces.insert().values(values))


def read(log: Log, rows: Sequence[Row]) -> dict[int, tuple[str, FloatArray, bytes | None]]:
    """Event key → (contract, (D,) vector, PNG or None), of those that still have one."""
    found = {}
    for part in chunks([row["id"] for row in rows]):
        query = sa.select(traces).where(traces.c.event_id.in_(part))
        for row in log.execute(query).mappings():
            found[row["event_id"]] = (row["contract"], read_vector(row), row["crop"])
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
    return log.execute(traces.delete().where(traces.c.event_id.in_(chosen))).rowcount


def erase_of(log: Log, event_keys: Sequence[int]) -> None:
    """Erase the faces behind these events."""
    for part in chunks(event_keys):
        log.execute(traces.delete().where(traces.c.event_id.in_(part)))


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
    read_vector(trace)
    values = {
        "person_id": person["id"],
        "event_uid": about["uid"],
        "contract": trace["contract"],
        "dim": trace["dim"],
        "vector": trace["vector"],
        "actor": actor,
        "created_at": now_us(),
        "seal": _seal(trace["contract"], trace["vector"], None),
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
    log.execute(blocks.delete().where(condition))


def blocked(log: Log, contract_id: str) -> list[tuple[str, FloatArray]]:
    """(person uid, (D,) vector) of every blocked pair."""
    query = (
        sa.select(blocks.c.contract, blocks.c.vector, blocks.c.dim, blocks.c.seal, people.c.uid)
        .join(people, people.c.id == blocks.c.person_id)
        .where(people.c.collection_id == log.collection["id"], blocks.c.contract == contract_id)
        .order_by(blocks.c.id)
    )
    rows = log.execute(query).mappings()
    return [(row["uid"], read_vector(row, crop=False)) for row in rows]


def read_vector(row: Any, *, crop: bool = True) -> FloatArray:
    """(D,) of a stored row (a mapping), ``crop`` where its seal covers a picture too.

    Raises ``GalleryDamaged``.
    """
    data = row["vector"]
    picture = row["crop"] if crop else None
    if len(data) != row["dim"] * 4 or _seal(row["contract"], data, picture) != row["seal"]:
        raise damaged("the face behind an event")
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)


def _seal(contract: str, vector: bytes, crop: bytes | None) -> int:
    return zlib.crc32(crop or b"", zlib.crc32(vector, zlib.crc32(contract.encode())))
