"""Changing models: embedding kept crops anew, and dropping a model's vectors when done."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import InputError
from arcid.gallery.schema import Row, contracts, crops, embeddings, faces, people
from arcid.gallery.store import audit, vectors
from arcid.gallery.store import faces as faces_store
from arcid.gallery.store import people as people_store
from arcid.gallery.store.journal import Journal
from arcid.gallery.store.keys import chunks
from arcid.types import Embeddings


def _embedded_by(contract_id: str) -> sa.Exists:
    return (
        sa.exists()
        .where(embeddings.c.face_id == faces.c.id)
        .where(embeddings.c.contract_id == contracts.c.id)
        .where(contracts.c.uid == contract_id)
    )


_has_crop = sa.exists().where(crops.c.face_id == faces.c.id)


def tally(connection: Connection, collection: Row, contract_id: str) -> tuple[int, int, int]:
    """Faces that (still need the contract and can get it, cannot get it, have it)."""
    own = sa.select(sa.func.count()).where(faces.c.collection_id == collection["id"])
    done = _embedded_by(contract_id)
    todo, stuck, already = (
        connection.execute(own.where(*conditions)).scalar_one()
        for conditions in ((~done, _has_crop), (~done, ~_has_crop), (done,))
    )
    return todo, stuck, already


def stuck(connection: Connection, collection: Row, contract_id: str) -> list[str]:
    """Ids of faces that need the contract and have no crop to get it from."""
    own = faces.c.collection_id == collection["id"]
    query = sa.select(faces.c.uid).where(own, ~_embedded_by(contract_id), ~_has_crop)
    return list(connection.execute(query.order_by(faces.c.id)).scalars())


def waiting(
    connection: Connection, collection: Row, contract_id: str, after: int, limit: int
) -> list[Row]:
    """The next faces that have a crop but no vector of the contract."""
    query = (
        sa.select(faces.c.id, faces.c.uid, faces.c.collection_id, faces.c.person_id)
        .where(
            faces.c.collection_id == collection["id"],
            faces.c.id > after,
            ~_embedded_by(contract_id),
            _has_crop,
        )
        .order_by(faces.c.id)
        .limit(limit)
    )
    return list(connection.execute(query).mappings())


def add_vectors(
    journal: Journal, collection: Row, face_keys: list[int], made: Embeddings, model_name: str
) -> int:
    """Store one vector per face, leaving out faces deleted or embedded meanwhile."""
    made_by = vectors.ensure_contract(journal, made.contract_id, made.dim, model_name)
    alive = faces_store.by_keys(journal.connection, face_keys)
    done = faces_store.contract_ids(journal.connection, face_keys)
    rows = [
        i
        for i, key in enumerate(face_keys)
        if key in alive and made.contract_id not in done.get(key, [])
    ]
    kept = [face_keys[i] for i in rows]
    owners = people_store.by_keys(
        journal.connection, sorted({alive[key]["person_id"] for key in kept})
    )
    for key in kept:
        face = alive[key]
        journal.record(
            "embedding_added",
            collection,
            person=owners[face["person_id"]],
            face=face,
            contract=made.contract_id,
        )
    whose = [(key, owners[alive[key]["person_id"]]) for key in kept]
    vectors.store(journal, collection, made_by, whose, made[rows])
    return len(kept)


def drop(journal: Journal, collection: Row, contract_id: str, force: bool) -> int:
    """Erase a contract's vectors, and with them the faces that have no other.

    Raises ``InputError`` when a person would be left without any vector, or a face that could be
    re-embedded from its crop has not been; ``force`` erases those too.
    """
    connection = journal.connection
    made_by = vectors.contract(connection, contract_id)
    if made_by is None:
        raise InputError("no vectors of that contract are stored; see Gallery.contracts")
    mine = embeddings.c.contract_id == made_by["id"]
    own = sa.select(faces.c.id).where(faces.c.collection_id == collection["id"])
    other = sa.exists().where(embeddings.c.face_id == faces.c.id).where(~mine)
    orphans = own.where(~other)
    if not force:
        _refuse_loss(connection, collection, other, orphans)
    doomed = [
        row
        for part in chunks(list(connection.execute(orphans).scalars()))
        for row in faces_store.select_keys(connection, collection, part)
    ]
    erased = connection.execute(
        embeddings.delete().where(mine, embeddings.c.face_id.in_(own))
    ).rowcount
    faces_store.delete(journal, collection, doomed)
    journal.record("contract_removed", collection, contract=contract_id)
    audit.note(
        journal, collection, "collection.drop_contract", collection,
        contract=contract_id, vectors=erased, faces=len(doomed),
    )  # fmt: skip
    return erased


def _refuse_loss(
    connection: Connection, collection: Row, other: sa.Exists, orphans: sa.Select[Any]
) -> None:
    enrolled = sa.exists().where(faces.c.person_id == people.c.id)
    covered = enrolled.where(other)
    lost = connection.execute(
        sa.select(sa.func.count()).where(
            people.c.collection_id == collection["id"], enrolled, ~covered
        )
    ).scalar_one()
    pending = connection.execute(
        sa.select(sa.func.count()).select_from(orphans.where(_has_crop).subquery())
    ).scalar_one()
    if lost or pending:
        raise InputError(
            f"{lost} people would be left without vectors and {pending} kept crops are not "
            "re-embedded yet: finish the model change first, or say force to erase them",
            people=lost,
            faces=pending,
        )
