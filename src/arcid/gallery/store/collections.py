"""Collections: named sets of people, searched as one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import AlreadyExists, CollectionNotFound
from arcid.gallery import rooms, rules
from arcid.gallery.database import Database
from arcid.gallery.paging import COLLECTIONS, Page, check_limit
from arcid.gallery.records import Collection
from arcid.gallery.schema import Row, collections, crops, faces, people
from arcid.gallery.seals import check_row, row_seal
from arcid.gallery.store import audit, erasures, sealed
from arcid.gallery.store import journal as _journal
from arcid.gallery.store.journal import Journal, from_us

_WHAT = "a collection's name"


def find(connection: Connection, name: str) -> Row:
    """The row of a collection; raises ``CollectionNotFound``."""
    cleaned = rules.clean_name(name, _WHAT)
    row = _by_key(connection, rules.name_key(cleaned))
    if row is None:
        raise CollectionNotFound(f"there is no collection {cleaned!r}; create it first")
    check_row("collections", row)
    return row


def name_of(connection: Connection, uid: str) -> str:
    """What the collection of an id is called now; raises ``CollectionNotFound``."""
    query = sa.select(collections.c.name).where(collections.c.uid == uid)
    name = connection.execute(query).scalar()
    if name is None:
        raise CollectionNotFound("there is no collection of that id any more")
    return str(name)


@contextmanager
def reading(database: Database, name: str) -> Iterator[tuple[Connection, Row]]:
    """A read of one collection. Raises ``CollectionNotFound``."""
    with database.read() as connection:
        yield connection, find(connection, name)


@contextmanager
def writing(
    database: Database, name: str, *, erases: bool = False
) -> Iterator[tuple[Journal, Row]]:
    """A write to one collection (see ``journal.writing``). Raises ``CollectionNotFound``."""
    with _journal.writing(database, erases=erases) as log:
        yield log, find(log.connection, name)


def by_id(connection: Connection, key: int) -> Row:
    """The row of a collection that is known to exist."""
    return (
        connection.execute(sa.select(collections).where(collections.c.id == key)).mappings().one()
    )


def page(
    connection: Connection, limit: int | None, after: str | None, within: Iterable[str] | None
) -> Page[Row]:
    query = sa.select(collections).order_by(collections.c.name_key).limit(check_limit(limit))
    if within is not None:
        query = query.where(collections.c.uid.in_(list(within)))
    if after is not None:
        query = query.where(collections.c.name_key > COLLECTIONS.place("", after)[0])
    rows: list[Row] = list(connection.execute(query).mappings())
    for row in rows:
        check_row("collections", row)
    return COLLECTIONS.page("", rows, limit, lambda row: (row["name_key"],))


def record(connection: Connection, row: Row) -> Collection:
    count = [
        sa.select(sa.func.count())
        .select_from(table)
        .where(table.c.collection_id == row["id"])
        .scalar_subquery()
        for table in (people, faces)
    ]
    people_count, face_count = connection.execute(sa.select(*count)).one()
    return Collection(
        row["uid"],
        row["name"],
        bool(row["keep_crops"]),
        json.loads(row["metadata"]),
        from_us(row["created_at"]),
        people_count,
        face_count,
    )


def add(
    journal: Journal, name: str, keep_crops: bool, metadata: Mapping[str, Any] | None
) -> Collection:
    cleaned = rules.path_name(name, _WHAT)
    _refuse_taken(journal.connection, cleaned, None)
    values = {
        "uid": uuid.uuid4().hex,
        "name": cleaned,
        "name_key": rules.name_key(cleaned),
        "keep_crops": int(bool(keep_crops)),
        "metadata": rules.json_text(metadata),
        "created_at": journal.now,
    }
    values["seal"] = row_seal("collections", values)
    row = journal.insert(collections, values)
    journal.record("collection_added", row)
    return record(journal.connection, row)


def update(
    journal: Journal,
    name: str,
    new_name: str | None,
    keep_crops: bool | None,
    metadata: Mapping[str, Any] | None,
) -> Collection:
    """The collection as it is now."""
    row = dict(find(journal.connection, name))
    if new_name is not None and rules.clean_name(new_name, _WHAT) != row["name"]:
        row["name"] = rules.path_name(new_name, _WHAT)
        row["name_key"] = rules.name_key(row["name"])
        _refuse_taken(journal.connection, row["name"], row["id"])
    if metadata is not None:
        row["metadata"] = rules.json_text(metadata)
    if keep_crops is not None:
        row["keep_crops"] = int(bool(keep_crops))
        if not keep_crops and (gone := _erase_crops(journal.connection, row["id"])):
            audit.note(journal, row, "collection.drop_crops", row, crops=gone)
    row["seal"] = row_seal("collections", row)
    journal.connection.execute(
        collections.update().where(collections.c.id == row["id"]).values(row)
    )
    journal.record("collection_updated", row)
    return record(journal.connection, row)


def delete(journal: Journal, name: str) -> str:
    """The id of the receipt."""
    row = find(journal.connection, name)
    destroyed = erasures.of_collection(journal.connection, row)
    destroyed |= rooms.erase_elsewhere(journal.connection, row)
    sealed.doom_collection(journal.connection, row)
    journal.connection.execute(collections.delete().where(collections.c.id == row["id"]))
    journal.record("collection_removed", row)
    return erasures.write(journal.connection, row, "collection.delete", row, destroyed)


def _erase_crops(connection: Connection, collection_key: int) -> int:
    own = sa.select(faces.c.id).where(faces.c.collection_id == collection_key)
    return connection.execute(crops.delete().where(crops.c.face_id.in_(own))).rowcount


def _by_key(connection: Connection, key: str) -> Row | None:
    found = connection.execute(sa.select(collections).where(collections.c.name_key == key))
    return found.mappings().first()


def _refuse_taken(connection: Connection, cleaned: str, own_key: int | None) -> None:
    taken = _by_key(connection, rules.name_key(cleaned))
    if taken is not None and taken["id"] != own_key:
        raise AlreadyExists(f"there is a collection {taken['name']!r} already; choose another name")
