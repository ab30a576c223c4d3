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
from arcid.gallery.schema import Row, collections, gallery, people
from arcid.gallery.store import collections as collections_store
from arcid.gallery.store import journal
from arcid.gallery.store import people as people_store
from arcid.gallery.store.keys import Key, chunks
from arcid.vault.keytables import Destroyed

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
        erases = bool(_whole(connection, found) or _somebody(connection, found))
    with journal.writing(database, erases=erases) as log:
        # looked up anew: another process may have begun as well
        whole = _whole(log.connection, found)
        for own in whole:
            collections_store.delete(log, own["name"])
        for part in chunks(found.keys):  # deleting people reads what is left of these
            rooms.forget(log.connection, part)
        somebody = _somebody(log.connection, found)
        for row in somebody:
            own = collections_store.by_id(log.connection, row["collection_id"])
            people_store.delete(log, own, people_store.find(log.connection, own, row["uid"]))
        log.connection.execute(gallery.update().values(shredded=found.last))
    again = len(whole) + len(somebody)
    if again:
        _log.warning("an older copy was put back; who was erased since was erased again",
                     extra={"people_and_collections": again})  # fmt: skip
    return again


def _whole(connection: Connection, found: Destroyed) -> list[Row]:
    return _rows(connection, collections.c.uid, found.collections)


def _somebody(connection: Connection, found: Destroyed) -> list[Row]:
    return _rows(connection, people.c.key_id, found.keys)


def _rows(connection: Connection, column: sa.Column[Key], values: tuple[Key, ...]) -> list[Row]:
    """Those of these values of a column of their table."""
    found: list[Row] = []
    for part in chunks(values):
        query = sa.select(column.table).where(column.in_(part))
        found += connection.execute(query).mappings()
    return found
