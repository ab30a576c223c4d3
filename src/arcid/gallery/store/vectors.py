"""Contracts and embeddings: which model made which vector of which face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import InvalidArray
from arcid.gallery.index import Keys
from arcid.gallery.records import ContractUsage
from arcid.gallery.schema import Row, contracts, embeddings, faces, people
from arcid.gallery.seals import damaged, pack, unpack, vector_place, vector_seal
from arcid.gallery.store import sealed
from arcid.gallery.store.journal import Journal
from arcid.gallery.store.keys import chunks
from arcid.types import Embeddings, FloatArray

BLOCK = 4096  # vectors read at a time


def contract(connection: Connection, contract_id: str) -> Row | None:
    query = sa.select(contracts).where(contracts.c.uid == contract_id)
    return connection.execute(query).mappings().first()


def all_contracts(connection: Connection) -> Sequence[Row]:
    """Those that any vector was ever stored of."""
    return connection.execute(sa.select(contracts)).mappings().all()


def check_dim(row: Row, dim: int) -> None:
    if row["dim"] != dim:
        raise InvalidArray(
            f"vectors of contract {row['uid'][:12]} have {row['dim']} numbers, got {dim}; "
            "they were not made by the model they claim"
        )


def ensure_contract(journal: Journal, contract_id: str, dim: int, model_name: str) -> Row:
    """The contract's row, made at first sight; raises ``InvalidArray`` on another dimension."""
    row = contract(journal.connection, contract_id)
    if row is None:
        values = {"uid": contract_id, "dim": dim, "model_name": model_name}
        return journal.insert(contracts, values)
    check_dim(row, dim)
    if model_name and not row["model_name"]:
        journal.connection.execute(
            contracts.update().where(contracts.c.id == row["id"]).values(model_name=model_name)
        )
    return row


def store(
    journal: Journal,
    collection: Row,
    made_by: Row,
    owners: Sequence[tuple[int, Row]],
    made: Embeddings,
) -> None:
    """One row of ``made`` per (face key, person)."""
    rows = []
    for (face_key, person), vector in zip(owners, made.vectors, strict=True):
        where = vector_place(collection["id"], person["id"], face_key, made_by["id"])
        key_id = sealed.key_of(journal.connection, collection, person)
        data = sealed.seal(journal.connection, key_id, pack(vector), where)
        rows.append(
            {
                "face_id": face_key,
                "contract_id": made_by["id"],
                "dim": made.dim,
                "vector": data,
                "seal": vector_seal(face_key, made_by["id"], data),
            }
        )
    if rows:
        journal.connection.execute(embeddings.insert(), rows)


def move(connection: Connection, collection: Row, face: Row, to: Row) -> None:
    """Seal a face's vectors for the person it is given to."""
    own = embeddings.c.face_id == face["id"]
    query = sa.select(
        embeddings.c.contract_id, embeddings.c.dim, embeddings.c.vector, embeddings.c.seal
    ).where(own)
    for contract_key, dim, stored, seal in connection.execute(query).all():
        row = (face["id"], stored, seal, face["person_id"], collection["id"])
        clear = unpack([row], contract_key, dim, sealed.vault(connection))[0]
        where = vector_place(collection["id"], to["id"], face["id"], contract_key)
        key_id = sealed.key_of(connection, collection, to)
        data = sealed.seal(connection, key_id, pack(clear), where)
        values = {"vector": data, "seal": vector_seal(face["id"], contract_key, data)}
        one = own & (embeddings.c.contract_id == contract_key)
        connection.execute(embeddings.update().where(one).values(values))


def fetch(connection: Connection, made_by: Row, face_keys: Keys) -> FloatArray:
    """(N,) face keys in; (N,D) float32 vectors out in that order. Each face must have one."""
    keys = [int(key) for key in face_keys]
    found: dict[int, int] = {}
    rows: list[Any] = []
    for part in chunks(keys):
        rows += connection.execute(_stored.where(_of(made_by), embeddings.c.face_id.in_(part)))
    for position, row in enumerate(rows):
        found[row[0]] = position
    if len(found) != len(set(keys)):
        raise damaged("the list of vectors")
    vectors = _vectors(connection, rows, made_by)
    return vectors[[found[key] for key in keys]]


def of_faces(
    connection: Connection, collection_key: int, made_by: Row, face_keys: Sequence[int]
) -> tuple[Keys, Keys, FloatArray]:
    """(face keys, person keys, vectors) of those given faces that exist and have a vector."""
    rows: list[Any] = []
    for part in chunks(face_keys):
        query = _joined(collection_key, made_by).where(faces.c.id.in_(part))
        rows += connection.execute(query)
    return _block(connection, rows, made_by)


def blocks(
    connection: Connection, collection_key: int, made_by: Row
) -> Iterator[tuple[Keys, Keys, FloatArray]]:
    """(face keys, person keys, vectors) of a whole collection, ``BLOCK`` faces at a time."""
    query = _joined(collection_key, made_by).order_by(faces.c.id)
    with connection.execution_options(yield_per=BLOCK).execute(query) as result:
        for part in result.partitions(BLOCK):
            yield _block(connection, list(part), made_by)


def between(
    connection: Connection, collection_key: int, made_by: Row, after: int, until: int
) -> tuple[Keys, Keys, FloatArray]:
    """(face keys, person keys, vectors) of the faces with ``after`` < key <= ``until``, by key."""
    query = _joined(collection_key, made_by).where(faces.c.id > after, faces.c.id <= until)
    return _block(connection, list(connection.execute(query.order_by(faces.c.id))), made_by)


def owners(connection: Connection, collection_key: int, made_by: Row) -> tuple[Keys, Keys]:
    """(face keys, person keys) of every face that has a vector of the contract, by key."""
    query = (
        sa.select(faces.c.id, faces.c.person_id)
        .join(embeddings, embeddings.c.face_id == faces.c.id)
        .where(faces.c.collection_id == collection_key, _of(made_by))
        .order_by(faces.c.id)
    )
    found = np.array(connection.execute(query).all(), np.int64).reshape(-1, 2)
    return found[:, 0].copy(), found[:, 1].copy()


def count(connection: Connection, collection_key: int, contract_id: str) -> int:
    """Faces of a collection that have a vector of the contract."""
    query = (
        sa.select(sa.func.count())
        .select_from(embeddings)
        .join(faces, faces.c.id == embeddings.c.face_id)
        .join(contracts, contracts.c.id == embeddings.c.contract_id)
        .where(faces.c.collection_id == collection_key, contracts.c.uid == contract_id)
    )
    return int(connection.execute(query).scalar_one())


def named_block(
    connection: Connection, collection_key: int, made_by: Row, after: int
) -> tuple[int, list[str], list[str], FloatArray]:
    """The next block for the outside: (last face key, face ids, person ids, vectors)."""
    query = (
        sa.select(
            embeddings.c.face_id,
            embeddings.c.vector,
            embeddings.c.seal,
            faces.c.person_id,
            faces.c.collection_id,
            faces.c.uid,
            people.c.uid.label("person_uid"),
        )
        .join(faces, faces.c.id == embeddings.c.face_id)
        .join(people, people.c.id == faces.c.person_id)
        .where(faces.c.collection_id == collection_key, _of(made_by), faces.c.id > after)
        .order_by(faces.c.id)
        .limit(BLOCK)
    )
    rows = list(connection.execute(query))
    vectors = _vectors(connection, [row[:5] for row in rows], made_by)
    last = rows[-1][0] if rows else after
    return last, [row[5] for row in rows], [row[6] for row in rows], vectors


def usage(connection: Connection, collection: Row) -> list[ContractUsage]:
    own = faces.c.collection_id == collection["id"]
    enrolled = connection.execute(
        sa.select(sa.func.count(sa.distinct(faces.c.person_id))).where(own)
    ).scalar_one()
    rows = connection.execute(
        sa.select(
            contracts.c.uid,
            contracts.c.model_name,
            sa.func.count(),
            sa.func.count(sa.distinct(faces.c.person_id)),
        )
        .join(embeddings, embeddings.c.contract_id == contracts.c.id)
        .join(faces, faces.c.id == embeddings.c.face_id)
        .where(own)
        .group_by(contracts.c.id, contracts.c.uid, contracts.c.model_name)
        .order_by(contracts.c.id)
    )
    return [
        ContractUsage(uid, model_name, face_count, person_count, enrolled - person_count)
        for uid, model_name, face_count, person_count in rows
    ]


_stored = sa.select(
    embeddings.c.face_id,
    embeddings.c.vector,
    embeddings.c.seal,
    faces.c.person_id,
    faces.c.collection_id,
).join(faces, faces.c.id == embeddings.c.face_id)


def _of(made_by: Row) -> sa.ColumnElement[bool]:
    matches: sa.ColumnElement[bool] = embeddings.c.contract_id == made_by["id"]
    return matches


def _joined(collection_key: int, made_by: Row) -> sa.Select[Any]:
    return _stored.where(faces.c.collection_id == collection_key, _of(made_by))


def _block(connection: Connection, rows: list[Any], made_by: Row) -> tuple[Keys, Keys, FloatArray]:
    vectors = _vectors(connection, rows, made_by)
    keys = np.array([row[0] for row in rows], np.int64)
    owners = np.array([row[3] for row in rows], np.int64)
    return keys, owners, vectors


def _vectors(connection: Connection, rows: Sequence[Any], made_by: Row) -> FloatArray:
    return unpack(rows, made_by["id"], made_by["dim"], sealed.vault(connection))
