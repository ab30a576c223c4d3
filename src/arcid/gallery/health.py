"""Is the gallery sound, and how does it keep its promises?"""

from __future__ import annotations

from collections.abc import Iterator
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
from arcid.gallery.store import journal, sealed
from arcid.vault import is_sealed
from arcid.vault.sealing import key_of


def check(database: Database, projection: Projection) -> list[str]:
    """Findings in plain words; empty when sound. Reads every row once."""
    findings: list[str] = []
    try:
        findings += database.integrity()
        findings += database.losses()
        with projection.snapshot() as snapshot:
            findings += _rows(snapshot.connection)
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


def _rows(connection: Connection) -> Iterator[str]:
    for table in schema.metadata.sorted_tables:
        if "sealed" not in table.info:
            continue
        broken = sum(
            row_seal(table.name, row) != row["seal"]
            for row in _streamed(connection, sa.select(table)).mappings()
        )
        if broken:
            yield f"{broken} rows of {table.name} are not what was written"
    yield from _vectors(connection)
    yield from _crops(connection)
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
        count = connection.execute(
            sa.select(sa.func.count()).select_from(query.subquery())
        ).scalar_one()
        if count:
            yield f"{count} {finding}"
    newest = connection.execute(sa.select(sa.func.max(changes.c.seq))).scalar()
    if newest is not None and newest != journal.head(connection).last_change:
        yield "the change log does not end where the gallery says"


def _vectors(connection: Connection) -> Iterator[str]:
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
    with _streamed(connection, query) as result:
        for rows in result.partitions():
            with suppress(KeyUnavailable):  # read at once; of a damaged row there is none
                vault.ciphers({key_of(row[1]) for row in rows if is_sealed(row[1])})
            for row in rows:
                try:
                    right = row[6] == row[7]
                    unpack([row[:5]], row[5], row[7], vault)
                except (GalleryDamaged, SealBroken):
                    right = False
                broken += not right
    if broken:
        yield f"{broken} vectors are not what was written"


def _crops(connection: Connection) -> Iterator[str]:
    broken = 0
    query = sa.select(
        faces.c.id, faces.c.person_id, faces.c.collection_id, crops.c.image, crops.c.seal
    ).join(faces, faces.c.id == crops.c.face_id)
    with _streamed(connection, query) as result:
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
        stored = connection.execute(
            sa.select(sa.func.count())
            .select_from(embeddings)
            .join(faces, faces.c.id == embeddings.c.face_id)
            .join(contracts, contracts.c.id == embeddings.c.contract_id)
            .where(faces.c.collection_id == collection_key, contracts.c.uid == contract_id)
        ).scalar_one()
        if stored != held:
            cure = "run arcid gallery reindex" if projection.outside else "restart"
            yield f"an index holds {held} vectors, the gallery {stored}; {cure} to build it anew"


def _streamed(connection: Connection, query: Any) -> Any:
    return connection.execute(query, execution_options={"yield_per": 1000})
