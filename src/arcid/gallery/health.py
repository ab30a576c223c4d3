"""Is the gallery sound, and how does it keep its promises?"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import GalleryDamaged, GalleryError, KeyUnavailable, SealBroken
from arcid.gallery import schema
from arcid.gallery.database import Database
from arcid.gallery.projection import Projection
from arcid.gallery.schema import changes, collections, contracts, crops, embeddings, faces, people
from arcid.gallery.seals import image_seal, row_seal, unpack
from arcid.gallery.store import crops as crops_store
from arcid.gallery.store import journal, sealed, vectors
from arcid.gallery.store.keys import chunks
from arcid.vault import Vault, is_sealed
from arcid.vault.sealing import key_of

#: How findings begin that are about an index, which is no part of the gallery.
INDEX = ("an index holds", "the vector index")


def check(database: Database, projection: Projection, sample: int | None = None) -> list[str]:
    """Findings in plain words; empty when sound. See ``Gallery.check``."""
    findings: list[str] = []
    try:
        with database.read() as connection:
            whole = all(_whole(connection, table, sample) for table in _tables())
        if whole:
            findings += database.integrity()
        findings += database.losses()
        with database.read() as connection:
            findings += _rows(connection, sample)
        projection.tell()  # so that what a vector database holds is counted, too
        with projection.snapshot() as snapshot:
            findings += _indexes(snapshot.connection, projection)
    except GalleryError as error:
        findings.append(error.message)
    return findings


def stats(database: Database) -> dict[str, Any]:
    """Schema version, journal mode, synchronous, file size, rows per table."""
    with database.read() as connection:
        rows = {
            table.name: connection.execute(
                sa.select(sa.func.count()).select_from(table)
            ).scalar_one()
            for table in schema.metadata.sorted_tables
        }
        seen = journal.head(connection)
    return database.settings() | {
        "identity": seen.identity,
        "last_change": seen.last_change,
        "losses": database.losses(),
        "erasure": database.unscrubbed(),
        "rows": rows,
    }


def _tables() -> list[sa.Table]:
    return [table for table in schema.metadata.sorted_tables if "sealed" in table.info]


def _whole(connection: Connection, table: sa.Table, sample: int | None) -> bool:
    """Whether all of its rows are read."""
    counted = sa.select(sa.func.count()).select_from(table)
    return sample is None or connection.execute(counted).scalar_one() <= sample


def _parts(
    connection: Connection, table: sa.Table, sample: int | None
) -> list[sa.ColumnElement[bool]]:
    """Which rows are read: all, or part by part those of ``sample`` of the keys ever given."""
    if sample is None or _whole(connection, table, sample):
        return [sa.true()]
    ends = sa.select(sa.func.min(table.c.id), sa.func.max(table.c.id))
    first, last = connection.execute(ends).one()
    picked = random.SystemRandom().sample(range(first, last + 1), sample)
    return [table.c.id.in_(part) for part in chunks(sorted(picked))]


def _rows(connection: Connection, sample: int | None) -> Iterator[str]:
    for table in _tables():
        broken = sum(
            row_seal(table.name, row) != row["seal"]
            for part in _parts(connection, table, sample)
            for row in _streamed(connection, sa.select(table).where(part)).mappings()
        )
        if broken:
            yield f"{broken} rows of {table.name} are not what was written"
    parts = _parts(connection, faces, sample)
    yield from _vectors(connection, parts)
    yield from _crops(connection, parts)
    counts = {
        "faces have no vector": sa.select(faces.c.id).where(
            ~sa.exists().where(embeddings.c.face_id == faces.c.id)
        ),
        "faces and their people are in different collections": sa.select(faces.c.id)
        .join(people, people.c.id == faces.c.person_id)
        .where(people.c.collection_id != faces.c.collection_id),
        "crops are kept in collections that keep none": sa.select(crops.c.face_id)
        .join(faces, faces.c.id == crops.c.face_id)
        .join(collections, collections.c.id == faces.c.collection_id)
        .where(collections.c.keep_crops == 0),
    }
    for finding, query in counts.items():
        counted = [
            sa.select(sa.func.count()).select_from(query.where(part).subquery()) for part in parts
        ]
        count = sum(connection.execute(one).scalar_one() for one in counted)
        if count:
            yield f"{count} {finding}"
    newest = connection.execute(sa.select(sa.func.max(changes.c.seq))).scalar()
    if newest is not None and newest != journal.head(connection).last_change:
        yield "the change log does not end where the gallery says"


def _vectors(connection: Connection, parts: Sequence[sa.ColumnElement[bool]]) -> Iterator[str]:
    query = (
        sa.select(
            embeddings.c.face_id,
            embeddings.c.vector,
            embeddings.c.seal,
            faces.c.person_id,
            faces.c.collection_id,
            embeddings.c.contract_id,
            embeddings.c.dim,
            contracts.c.dim,
        )
        .join(contracts, contracts.c.id == embeddings.c.contract_id)
        .join(faces, faces.c.id == embeddings.c.face_id)
    )
    broken = 0
    vault = sealed.vault(connection)
    for part in parts:
        with _streamed(connection, query.where(part)) as result:
            for rows in result.partitions():
                with suppress(KeyUnavailable):  # read at once; of a damaged row there is none
                    vault.ciphers({key_of(row[1]) for row in rows if is_sealed(row[1])})
                broken += sum(not _right(row, vault) for row in rows)
    if broken:
        yield f"{broken} vectors are not what was written"


def _right(row: Any, vault: Vault) -> bool:
    try:
        unpack([row[:5]], row[5], row[7], vault)
    except (GalleryDamaged, SealBroken):
        return False
    return bool(row[6] == row[7])


def _crops(connection: Connection, parts: Sequence[sa.ColumnElement[bool]]) -> Iterator[str]:
    broken = 0
    query = sa.select(
        faces.c.id, faces.c.person_id, faces.c.collection_id, crops.c.image, crops.c.seal
    ).join(faces, faces.c.id == crops.c.face_id)
    for part in parts:
        with _streamed(connection, query.where(part)) as result:
            for face, person, collection, image, seal in result:
                try:
                    where = crops_store.crop_place(collection, person, face)
                    right = image_seal(face, image) == seal
                    crops_store.opened(connection, image, where)
                except SealBroken:
                    right = False
                broken += not right
    if broken:
        yield f"{broken} crops are not what was written"


def _indexes(connection: Connection, projection: Projection) -> Iterator[str]:
    """Only indexes in use: one that is built later is built from these very rows."""
    for (collection_key, contract_id), held in projection.counted().items():
        stored = vectors.count(connection, collection_key, contract_id)
        if stored != held:
            cure = "run arcid gallery index --rebuild" if projection.outside else "restart"
            yield f"an index holds {held} vectors, the gallery {stored}; {cure} to build it anew"


def _streamed(connection: Connection, query: Any) -> Any:
    return connection.execute(query, execution_options={"yield_per": 1000})
