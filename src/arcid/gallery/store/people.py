"""People: a name, metadata, and the faces that are theirs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import AlreadyExists, PersonNotFound
from arcid.gallery import rooms, rules
from arcid.gallery.paging import PEOPLE, Page, check_limit
from arcid.gallery.records import Person
from arcid.gallery.schema import Row, faces, people
from arcid.gallery.seals import check_row, row_seal
from arcid.gallery.store import erasures, filters, receipts, sealed
from arcid.gallery.store.journal import Journal, from_us

_face_count = (
    sa.select(sa.func.count())
    .select_from(faces)
    .where(faces.c.person_id == people.c.id)
    .scalar_subquery()
    .label("face_count")
)


def find(connection: Connection, collection: Row, person_id: str) -> Row:
    """The row of a person; raises ``PersonNotFound``."""
    row = _first(connection, collection, people.c.uid == str(person_id))
    if row is None:
        raise PersonNotFound(f"collection {collection['name']!r} has no person with that id")
    return row


def by_name(connection: Connection, collection: Row, name: str) -> Row | None:
    key = rules.name_key(rules.clean_name(name))
    return _first(connection, collection, people.c.name_key == key)


def by_external_id(connection: Connection, collection: Row, external_id: str) -> Row | None:
    return _first(connection, collection, people.c.external_id == rules.external_id(external_id))


def page(
    connection: Connection,
    collection: Row,
    search: str | None,
    limit: int,
    after: str | None,
    where: Mapping[str, Any] | None = None,
) -> Page[Row]:
    """``where``: only who has that metadata."""
    query = sa.select(people, _face_count).where(people.c.collection_id == collection["id"])
    if search is not None and search.strip():
        query = query.where(
            people.c.name_key.contains(rules.name_key(rules.clean_name(search)), autoescape=True)
        )
    if where is not None:
        query = query.where(filters.likely(where))
    last = None if after is None else PEOPLE.place(collection["uid"], after)[0]
    rows: list[Row] = []
    more = wanted = check_limit(limit) or 0
    while more and len(rows) < wanted:
        begun = query if last is None else query.where(people.c.name_key > last)
        read: list[Row] = list(
            connection.execute(begun.order_by(people.c.name_key).limit(wanted)).mappings()
        )
        for row in read:
            check_row("people", row)
        rows += [row for row in read if where is None or filters.has(row, where)]
        more = len(read) == wanted
        last = read[-1]["name_key"] if read else last
    del rows[wanted:]
    return PEOPLE.page(collection["uid"], rows, limit, lambda row: (row["name_key"],))


def by_keys(connection: Connection, keys: Sequence[int]) -> dict[int, Row]:
    rows = connection.execute(sa.select(people).where(people.c.id.in_(keys))).mappings()
    found: dict[int, Row] = {row["id"]: row for row in rows}
    for row in found.values():
        check_row("people", row)
    return found


def record(connection: Connection, collection: Row, row: Row) -> Person:
    """``row`` may come from any of the above; the face count is read where it is missing."""
    if "face_count" not in row:
        row = find(connection, collection, row["uid"])
    return Person(
        row["uid"],
        collection["name"],
        row["name"],
        json.loads(row["metadata"]),
        from_us(row["created_at"]),
        from_us(row["updated_at"]),
        row["face_count"],
        row["external_id"],
    )


def add(
    journal: Journal,
    collection: Row,
    name: str,
    metadata: Mapping[str, Any] | None,
    *,
    external_id: str | None = None,
    uid: str | None = None,
    created_at: int | None = None,
) -> Row:
    """``uid`` and ``created_at``: of somebody who was there before."""
    cleaned = rules.clean_name(name)
    _refuse_taken(journal.connection, collection, cleaned, None)
    values = {
        "uid": uid or uuid.uuid4().hex,
        "collection_id": collection["id"],
        "name": cleaned,
        "name_key": rules.name_key(cleaned),
        "metadata": rules.json_text(metadata),
        "key_id": sealed.new_key(journal.connection, collection),
        "created_at": journal.now if created_at is None else created_at,
        "updated_at": journal.now,
        "external_id": _external_id(journal.connection, collection, external_id, None),
    }
    values["seal"] = row_seal("people", values)
    row = journal.insert(people, values)
    journal.record("person_added", collection, person=row)
    return row


def update(
    journal: Journal,
    collection: Row,
    person: Row,
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    external_id: str | None = None,
) -> None:
    """What is None stays; an empty ``external_id`` takes it away."""
    cleaned = person["name"] if name is None else rules.clean_name(name)
    _refuse_taken(journal.connection, collection, cleaned, person["id"])
    values = {
        "name": cleaned,
        "name_key": rules.name_key(cleaned),
        "metadata": person["metadata"] if metadata is None else rules.json_text(metadata),
        "updated_at": journal.now,
        "external_id": person["external_id"]
        if external_id is None
        else _external_id(journal.connection, collection, external_id, person["id"]),
    }
    values["seal"] = row_seal("people", dict(person) | values)
    journal.connection.execute(people.update().where(people.c.id == person["id"]).values(values))
    if cleaned != person["name"]:
        receipts.forget(journal.connection, person["uid"])
        rooms.renamed(journal.connection, collection, person, cleaned)
    journal.record("person_updated", collection, person=person)


def says(person: Row, name: str, metadata: Mapping[str, Any] | None) -> bool:
    """Whether that is their name and metadata already."""
    same = metadata is None or json.loads(person["metadata"]) == json.loads(
        rules.json_text(metadata)
    )
    return same and bool(person["name"] == rules.clean_name(name))


def touch(journal: Journal, *keys: int) -> None:
    """Their faces changed: move ``updated_at`` on."""
    journal.connection.execute(
        people.update().where(people.c.id.in_(keys)).values(updated_at=journal.now)
    )


def delete(
    journal: Journal, collection: Row, person: Row, *, merged: bool = False, reason: str = ""
) -> str | None:
    """The id of the receipt. ``merged``: all that was theirs was handed over; then there is none.

    ``reason``: for the audit and the receipt.
    """
    query = sa.select(faces.c.id, faces.c.uid).where(faces.c.person_id == person["id"])
    own = journal.connection.execute(query).mappings().all()
    for face in own:
        journal.record("face_removed", collection, person=person, face=face)
    destroyed = erasures.of_person(journal.connection, person)
    for room in rooms.rooms():
        destroyed |= room.erase(journal.connection, collection, person, merged=merged)
    receipt = None
    if not merged:
        receipt = erasures.write(
            journal.connection, collection, "person.delete", person, destroyed, reason=reason,
            data_keys=sealed.doom_person(journal.connection, person),
        )  # fmt: skip
    receipts.forget(journal.connection, person["uid"])
    journal.connection.execute(people.delete().where(people.c.id == person["id"]))
    journal.record("person_removed", collection, person=person)
    return receipt


def _first(connection: Connection, collection: Row, condition: Any) -> Row | None:
    row = (
        connection.execute(
            sa.select(people, _face_count).where(
                people.c.collection_id == collection["id"], condition
            )
        )
        .mappings()
        .first()
    )
    if row is not None:
        check_row("people", row)
    return row


def _refuse_taken(
    connection: Connection, collection: Row, cleaned: str, own_key: int | None
) -> None:
    taken = by_name(connection, collection, cleaned)
    if taken is not None and taken["id"] != own_key:
        raise AlreadyExists(
            f"collection {collection['name']!r} has a person of that name already; "
            "add the faces to that person, or choose another name",
            person_id=taken["uid"],
        )


def _external_id(
    connection: Connection, collection: Row, value: str | None, own_key: int | None
) -> str | None:
    """As it is stored; raises ``AlreadyExists`` where it is somebody else's."""
    if not value:
        return None
    taken = by_external_id(connection, collection, value)
    if taken is not None and taken["id"] != own_key:
        raise AlreadyExists(
            f"collection {collection['name']!r} has a person of that external id already",
            person_id=taken["uid"],
        )
    return rules.external_id(value)
