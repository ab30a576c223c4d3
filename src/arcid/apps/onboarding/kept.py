"""Rows of the pictures of a session: portrait and selfie, their vectors and prints."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.onboarding.prints import distance
from arcid.apps.onboarding.records import Role
from arcid.apps.onboarding.tables import pictures
from arcid.gallery.schema import Row
from arcid.gallery.seals import pack
from arcid.types import Embeddings


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
    own = (pictures.c.onboarding_id == row["id"]) & (pictures.c.role == taken.role)
    connection.execute(pictures.delete().where(own))
    connection.execute(
        pictures.insert().values(
            onboarding_id=row["id"],
            role=taken.role,
            sha256=taken.sha256,
            print=taken.print,
            contract=taken.vector.contract_id,
            vector=pack(taken.vector.vectors[0]),
            crop=taken.crop,
            picture=taken.picture,
            details=json.dumps(taken.details),
        )
    )


def picture(connection: Connection, row: Row, role: Role) -> Row | None:
    """The kept picture of a role."""
    query = sa.select(pictures).where(
        pictures.c.onboarding_id == row["id"], pictures.c.role == role
    )
    return connection.execute(query).mappings().first()


def drop(connection: Connection, row: Row) -> None:
    """Erase vectors and pictures; the prints stay."""
    connection.execute(
        pictures.update()
        .where(pictures.c.onboarding_id == row["id"])
        .values(vector=None, crop=None, picture=None, details="{}")
    )


def delete(connection: Connection, row: Row) -> None:
    """Erase them with their prints."""
    connection.execute(pictures.delete().where(pictures.c.onboarding_id == row["id"]))


def nearest_print(connection: Connection, row: Row, made: bytes) -> int | None:
    """The least distance to a selfie of another session of the database; None: there is none."""
    query = sa.select(pictures.c.print).where(
        pictures.c.role == "selfie", pictures.c.onboarding_id != row["id"]
    )
    return min(
        (distance(made, bytes(found)) for (found,) in connection.execute(query)), default=None
    )
