"""What an enrolment answered, so that the same request again is answered and not done again.

A receipt holds ids and the reasons against images, no names, vectors or pictures of the person; the
answer is made anew from what is stored now. It goes with the person, and after a day.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import IdempotencyKeyReused
from arcid.gallery.records import Once, Refused
from arcid.gallery.schema import Row, receipts
from arcid.gallery.store.journal import Journal, now_us

KEPT_S = 24 * 3600


def find(
    connection: Connection, collection: Row, once: Once
) -> tuple[int, tuple[str | Refused, ...]] | None:
    """The person's key and the results of the answer given before.

    Raises ``IdempotencyKeyReused`` where that was to something else.
    """
    query = sa.select(receipts).where(
        receipts.c.collection_id == collection["id"],
        receipts.c.key_hash == _hash(once.key),
        ~_old(),
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    if row["fingerprint"] != once.fingerprint:
        raise IdempotencyKeyReused(
            "this Idempotency-Key was used for another request; send a new key with a new request"
        )
    results = json.loads(row["results"])
    return row["person_id"], tuple(Refused(**r) if isinstance(r, dict) else r for r in results)


def keep(
    log: Journal, collection: Row, person: Row, once: Once, results: Sequence[str | Refused]
) -> None:
    """Remember an answer; those older than a day are forgotten."""
    forget_old(log.connection)
    log.connection.execute(
        receipts.insert().values(
            collection_id=collection["id"],
            person_id=person["id"],
            key_hash=_hash(once.key),
            fingerprint=once.fingerprint,
            results=json.dumps([r if isinstance(r, str) else asdict(r) for r in results]),
            created_at=log.now,
        )
    )


def any_old(connection: Connection) -> bool:
    """Whether there are answers older than a day."""
    return connection.execute(sa.select(receipts.c.id).where(_old()).limit(1)).first() is not None


def forget_old(connection: Connection) -> None:
    """Erase answers older than a day."""
    connection.execute(receipts.delete().where(_old()))


def hand_over(connection: Connection, other: Row, keep: Row) -> None:
    """Before two people are merged: the kept one's answers now."""
    own = receipts.c.person_id == other["id"]
    connection.execute(receipts.update().where(own).values(person_id=keep["id"]))


def forget(connection: Connection, person_uid: str) -> None:
    """Erase answers that name a person as the one somebody may be."""
    named = receipts.c.results.contains(person_uid, autoescape=True)
    connection.execute(receipts.delete().where(named))


def _old() -> sa.ColumnElement[bool]:
    return receipts.c.created_at <= now_us() - KEPT_S * 1_000_000


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
