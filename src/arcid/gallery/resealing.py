"""New data keys for people: what is stored of them is sealed anew. May be stopped and begun again.

The key that somebody had stays with them among those they inherited, since older backups need it,
and goes with them when they are erased. Whoever still has a key of those has to be sealed anew, so
that a run that was killed is known by that and gone on with.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.database import Database
from arcid.gallery.schema import Row, faces, inherited, people
from arcid.gallery.schema import collections as collections_
from arcid.gallery.store import collections as collections_store
from arcid.gallery.store import crops as crops_store
from arcid.gallery.store import sealed, vectors

Progress = Callable[[int, int], None]
BATCH = 50  # people a commit


def reseal(database: Database, progress: Progress | None) -> int:
    """How many people have new keys. Raises ``KeyUnavailable``."""
    with database.write() as connection:
        total = _waiting(connection)
        if not total:
            mine = sa.select(people.c.id, people.c.key_id, people.c.uid)
            mine = mine.where(people.c.key_id.is_not(None))
            connection.execute(
                inherited.insert().from_select(["person_id", "key_id", "origin"], mine)
            )
            total = _waiting(connection)
    done, last = 0, False
    while not last:
        with database.write() as connection:
            batch = connection.execute(_WAITING.limit(BATCH)).mappings().all()
            for person in batch:
                _renew(connection, person)
        done, last = done + len(batch), len(batch) < BATCH
        if progress is not None:
            progress(min(done, total), total)
    with database.write(erases=True) as connection:
        for uid in connection.execute(sa.select(collections_.c.uid)).scalars().all():
            sealed.doom_index(connection, uid)
    database.rebuild()
    return done


def _waiting(connection: Connection) -> int:
    count = sa.select(sa.func.count()).where(people.c.key_id.in_(sa.select(inherited.c.key_id)))
    return int(connection.execute(count).scalar_one())


def _renew(connection: Connection, person: Row) -> None:
    own = collections_store.by_id(connection, person["collection_id"])
    key_id = sealed.new_key(connection, own)
    renewed = people.update().where(people.c.id == person["id"]).values(key_id=key_id)
    connection.execute(renewed)
    to = dict(person) | {"key_id": key_id}
    theirs = sa.select(faces).where(faces.c.person_id == person["id"])
    for face in connection.execute(theirs).mappings().all():
        vectors.move(connection, own, face, to)
        crops_store.move(connection, own, face, to)


_WAITING = (
    sa.select(people)
    .where(people.c.key_id.in_(sa.select(inherited.c.key_id)))
    .order_by(people.c.id)
)
