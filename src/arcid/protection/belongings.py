"""What becomes of consents when people are merged: a ``Room`` of the gallery. They go with the
person they refer to."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.rooms import Handed
from arcid.gallery.schema import Row, consents
from arcid.gallery.store.keys import chunks


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> Handed:
    """Before two people are merged: both agreed, or withdrew, as one; the last word counts."""
    theirs = consents.c.person_id == other["id"]
    handed = list(connection.execute(sa.select(consents.c.id).where(theirs)).scalars())
    connection.execute(consents.update().where(theirs).values(person_id=keep["id"]))
    return {"consents": handed}


def take_back(
    connection: Connection, collection: Row, other: Row, keep: Row, handed: Handed
) -> None:
    """After a merge was undone: what the other agreed to is theirs again."""
    for part in chunks(handed["consents"]):
        still = sa.and_(consents.c.id.in_(part), consents.c.person_id == keep["id"])
        connection.execute(consents.update().where(still).values(person_id=other["id"]))


def erase(connection: Connection, collection: Row, person: Row, *, merged: bool) -> dict[str, int]:
    """Consents go with the row they refer to, and are counted with it."""
    return {}
