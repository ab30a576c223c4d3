"""After an older copy of a gallery was put back: who was erased since is erased again.

What was sealed for them cannot be read any more; this takes the rest of them out as well, their
names and metadata, which are not sealed.
"""

from __future__ import annotations

import logging

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery import rooms
from arcid.gallery.database import Database
from arcid.gallery.schema import collections, gallery, people
from arcid.gallery.store import collections as collections_store
from arcid.gallery.store import journal
from arcid.gallery.store import people as people_store
from arcid.gallery.store.keys import Key, chunks

_log = logging.getLogger(__name__)


def erase_again(database: Database) -> int:
    """How many people and collections were there whose keys were destroyed. Cheap where no key was
    destroyed since the last call, or the gallery is not protected."""
    with database.read() as connection:
        about = sa.select(gallery.c.shredded, gallery.c.protected)
        known, protected = connection.execute(about).one()
        found = database.vault.destroyed(known) if protected else None
        if found is None or found.last == known:
            return 0
        whole = _of(connection, collections.c.uid, found.collections)
        somebody = _of(connection, people.c.key_id, found.keys)
    with journal.writing(database, erases=bool(whole or somebody)) as log:
        for key in whole:
            collections_store.delete(log, collections_store.by_id(log.connection, key)["name"])
        for row in people_store.by_keys(log.connection, somebody).values():
            if row["collection_id"] not in whole:
                own = collections_store.by_id(log.connection, row["collection_id"])
                people_store.delete(log, own, people_store.find(log.connection, own, row["uid"]))
        for part in chunks(found.keys):
            rooms.forget(log.connection, part)
        log.connection.execute(gallery.update().values(shredded=found.last))
    again = len(whole) + len(somebody)
    if again:
        _log.warning("an older copy was put back; who was erased since was erased again",
                     extra={"people_and_collections": again})  # fmt: skip
    return again


def _of(connection: Connection, column: sa.Column[Key], values: tuple[Key, ...]) -> list[int]:
    """Keys of the rows of those values of a column."""
    found: list[int] = []
    for part in chunks(values):
        query = sa.select(column.table.c.id).where(column.in_(part))
        found += connection.execute(query).scalars()
    return found
