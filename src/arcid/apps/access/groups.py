"""Groups of people who may pass doors, each of them for a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.access import store
from arcid.apps.access.tables import groups, members
from arcid.errors import NotFound, UsageError
from arcid.gallery import Gallery
from arcid.gallery import rules as _rules
from arcid.gallery.schema import Row, people
from arcid.gallery.store import people as _people
from arcid.gallery.store.audit import append
from arcid.gallery.store.collections import find as find_collection
from arcid.gallery.store.journal import from_us, to_us


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a group, for a time."""

    person_id: str
    name: str
    valid_from: datetime | None
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    collection: str
    members: tuple[Member, ...] = ()


class Groups:
    """Thread-safe; every change is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def all(self, collection: str) -> list[Group]:
        """By name, with their members."""
        with self._database.read() as connection:
            own = find_collection(connection, collection)
            return [self._record(connection, own, row) for row in self._rows(connection, own)]

    def add(self, collection: str, name: str) -> None:
        """Raises ``AlreadyExists``."""
        with self._database.write() as connection:
            own = find_collection(connection, collection)
            cleaned = _rules.path_name(name, "a group's name")
            store.insert(connection, groups, own, cleaned, {})
            _audit(connection, "door_group.add", own["uid"], cleaned)

    def delete(self, collection: str, name: str) -> None:
        """With its members and what it may pass. Raises ``NotFound``."""
        with self._database.write() as connection:
            row = store.named(connection, groups, collection, name, "group")
            connection.execute(groups.delete().where(groups.c.id == row["id"]))
            own = find_collection(connection, collection)
            _audit(connection, "door_group.delete", own["uid"], row["name"])

    def add_member(
        self,
        collection: str,
        group: str,
        person_id: str,
        *,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
    ) -> None:
        """Again with other times changes them. Raises ``PersonNotFound``, ``NotFound``."""
        begins, ends = (None if t is None else to_us(t) for t in (valid_from, valid_until))
        if begins is not None and ends is not None and begins >= ends:
            raise UsageError("an admission ends after it begins")
        with self._database.write() as connection:
            own = find_collection(connection, collection)
            row = store.named(connection, groups, collection, group, "group")
            person = _people.find(connection, own, person_id)
            here = sa.and_(members.c.group_id == row["id"], members.c.person_id == person["id"])
            connection.execute(members.delete().where(here))
            values = {"group_id": row["id"], "person_id": person["id"], "valid_from": begins,
                      "valid_until": ends}  # fmt: skip
            connection.execute(members.insert().values(values))
            _audit(connection, "door_group.join", own["uid"], row["name"], person["uid"])

    def remove_member(self, collection: str, group: str, person_id: str) -> None:
        """Raises ``PersonNotFound``, ``NotFound``."""
        with self._database.write() as connection:
            own = find_collection(connection, collection)
            row = store.named(connection, groups, collection, group, "group")
            person = _people.find(connection, own, person_id)
            here = sa.and_(members.c.group_id == row["id"], members.c.person_id == person["id"])
            if connection.execute(members.delete().where(here)).rowcount == 0:
                raise NotFound(f"{person['name']} is not in group {row['name']!r}")
            _audit(connection, "door_group.leave", own["uid"], row["name"], person["uid"])

    def _rows(self, connection: Connection, own: Row) -> list[Row]:
        query = sa.select(groups).where(groups.c.collection_id == own["id"])
        return list(connection.execute(query.order_by(groups.c.name_key)).mappings())

    def _record(self, connection: Connection, own: Row, row: Row) -> Group:
        query = (
            sa.select(people.c.uid, people.c.name, members.c.valid_from, members.c.valid_until)
            .join(people, people.c.id == members.c.person_id)
            .where(members.c.group_id == row["id"])
            .order_by(people.c.name_key)
        )
        found = tuple(
            Member(uid, name, *(None if t is None else from_us(t) for t in times))
            for uid, name, *times in connection.execute(query)
        )
        return Group(row["name"], own["name"], found)


def _audit(
    connection: Connection, verb: str, collection: str, group: str, person: str | None = None
) -> None:
    subject = f"collection:{collection}" if person is None else f"person:{person}"
    append(connection, verb=verb, subject=subject, collection=collection, details={"group": group})
