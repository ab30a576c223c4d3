"""Sealing what a gallery stored before it was protected; may be stopped and begun again.

From the first step on, whatever is written is sealed, by every process. What was there follows
batch by batch, and each batch is one commit, so that every row is readable at any moment. At the
end the database is written anew, without the copies that SQLite or PostgreSQL left, and from then
on nothing unsealed is read any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid import files
from arcid.errors import UsageError
from arcid.gallery import copying, resealing, rooms
from arcid.gallery.database import Database
from arcid.gallery.schema import crops, embeddings, faces, gallery
from arcid.gallery.store import audit, vectors
from arcid.gallery.store import collections as collections_store
from arcid.gallery.store import crops as crops_store
from arcid.gallery.store import people as people_store
from arcid.vault import rotation
from arcid.vault.sealing import MARK

Progress = Callable[[int, int], None]
_SUBJECT = "keys:gallery"
SINCE = "0017"  # the schema that can be sealed
BATCH = 200  # faces a commit


def is_protected(connection: Connection) -> bool:
    """Whether what is written is sealed."""
    return bool(connection.execute(sa.select(gallery.c.protected)).scalar_one())


def encrypt(database: Database, progress: Progress | None) -> int:
    """See ``Gallery.encrypt``."""
    store = database.vault.store
    with database.read() as connection:
        protected = is_protected(connection)
        total = connection.execute(sa.select(sa.func.count()).select_from(faces)).scalar_one()
    if not protected:
        store.create(complete=False)
        if store.path is not None and database.path is not None:
            files.share_as(store.path, database.path)
        database.vault.ready()
        with database.write() as connection:
            connection.execute(gallery.update().values(protected=1))
            audit.append(connection, verb="keys.make", subject=_SUBJECT)
    done = after = seen = 0
    while True:
        with database.write() as connection:
            query = sa.select(faces).where(faces.c.id > after).order_by(faces.c.id).limit(BATCH)
            batch = connection.execute(query).mappings().all()
            if not batch:
                break
            after = batch[-1]["id"]
            unsealed = _unsealed(connection, [row["id"] for row in batch])
            owners = people_store.by_keys(connection, sorted({row["person_id"] for row in batch}))
            for face in batch:
                if face["id"] in unsealed:
                    own = collections_store.by_id(connection, face["collection_id"])
                    to = owners[face["person_id"]]
                    vectors.move(connection, own, face, to)
                    crops_store.move(connection, own, face, to)
                    done += 1
        seen += len(batch)
        if progress is not None:
            progress(min(seen, total), total)
    with database.write() as connection:
        done += rooms.seal(connection)
    if not store.complete():
        with database.write(erases=True) as connection:
            connection.execute(gallery.update().values(protected=1))
        database.rebuild()
        store.completed()
    return done


def unsealed_copies(database: Database) -> list[str]:
    """Names of the copies that arcid made of this gallery before it could seal anything."""
    made = [] if database.path is None else copying.copies(database.path)
    versions = {path.name: path.name.partition("-before-schema-")[2] for path in made}
    return [name for name, version in versions.items() if "" < version < SINCE]


class Rotated(NamedTuple):
    """What a change of keys came to."""

    keys: int  # data keys wrapped anew
    people: int  # sealed anew, by new data keys


def rotate(database: Database, to: str | None, data: bool, progress: Progress | None) -> Rotated:
    """See ``Gallery.rotate_keys``."""
    with database.read() as connection:
        if not is_protected(connection):
            raise UsageError("this gallery is not encrypted: arcid gallery encrypt")
    done = rotation.rotate(database.vault, to)
    rotated = Rotated(done, resealing.reseal(database, progress) if data else 0)
    with database.write() as connection:
        details = rotated._asdict()
        audit.append(connection, verb="keys.change", subject=_SUBJECT, details=details)
    return rotated


def _unsealed(connection: Connection, keys: list[int]) -> set[int]:
    """Those of these faces of which something is not sealed."""
    own = embeddings.c.face_id.in_(keys)
    clear = sa.func.length(embeddings.c.vector) == embeddings.c.dim * 4
    found = set(connection.execute(sa.select(embeddings.c.face_id).where(own, clear)).scalars())
    begins = sa.func.substr(crops.c.image, 1, len(MARK), type_=sa.LargeBinary)
    pictured = sa.select(crops.c.face_id).where(crops.c.face_id.in_(keys), begins != MARK)
    return found | set(connection.execute(pictured).scalars())
