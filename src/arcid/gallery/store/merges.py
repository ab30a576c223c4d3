"""Merging two people and undoing it, inside an open transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import NotFound
from arcid.gallery import rooms
from arcid.gallery.records import Merge
from arcid.gallery.schema import Row, merges, people
from arcid.gallery.seals import check_row, row_seal
from arcid.gallery.store import audit, receipts, sealed
from arcid.gallery.store import faces as faces_store
from arcid.gallery.store import people as people_store
from arcid.gallery.store.journal import Journal, from_us
from arcid.gallery.store.keys import chunks


def merge(
    log: Journal, collection: Row, keep: Row, other: Row, *, reversible: bool = False
) -> str | None:
    """``other`` becomes ``keep``; the id of the merge, where it can be undone."""
    own = faces_store.of_person(log.connection, collection, other)
    faces_store.move(log, collection, own, keep, merged=True)
    handed = rooms.hand_over(log.connection, collection, other, keep)
    receipts.hand_over(log.connection, other, keep)
    keys = sealed.hand_over(log.connection, other, keep)
    earlier = [row["uid"] for row in of(log.connection, collection, other)]
    _give(log.connection, earlier, other, keep)
    people_store.delete(log, collection, other, merged=True)
    audit.note(log, collection, "person.merge", keep, other=other["uid"])
    if not reversible:
        return None
    values = {
        "uid": uuid.uuid4().hex,
        "collection_id": collection["id"],
        "person_id": keep["id"],
        "other_uid": other["uid"],
        "name": other["name"],
        "metadata": other["metadata"],
        "created_at": other["created_at"],
        "merged_at": log.now,
        "face_uids": json.dumps([face["uid"] for face in own]),
        "handed": json.dumps(handed | {"keys": keys, "merges": earlier}),
        "external_id": other["external_id"],
    }
    values["seal"] = row_seal("merges", values)
    log.insert(merges, values)
    return str(values["uid"])


def unmerge(
    log: Journal, collection: Row, row: Row, name: str | None = None
) -> tuple[Row, Row, int]:
    """Who kept the faces, who is there again, and how many of their faces are not theirs now."""
    keep = people_store.by_keys(log.connection, [row["person_id"]])[row["person_id"]]
    other = people_store.add(
        log, collection, row["name"] if name is None else name, json.loads(row["metadata"]),
        external_id=row["external_id"], uid=row["other_uid"], created_at=row["created_at"],
    )  # fmt: skip
    handed = json.loads(row["handed"])
    sealed.take_back(log.connection, keep, other, handed.get("keys", ()))
    _give(log.connection, handed.get("merges", ()), keep, other)
    wanted = json.loads(row["face_uids"])
    there = faces_store.by_ids(log.connection, collection, wanted)
    back = [face for face in there if face["person_id"] == keep["id"]]
    faces_store.move(log, collection, back, other, merged=True)
    rooms.take_back(log.connection, collection, other, keep, handed)
    rooms.parted(log.connection, collection, back, other)
    log.connection.execute(merges.delete().where(merges.c.id == row["id"]))
    audit.note(log, collection, "person.unmerge", keep, other=other["uid"])
    return keep, other, len(wanted) - len(back)


def find(connection: Connection, collection: Row, merge_id: str) -> Row:
    """Raises ``NotFound``."""
    query = sa.select(merges).where(
        merges.c.collection_id == collection["id"], merges.c.uid == str(merge_id)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(
            "this merge cannot be undone: it was undone before, its time is over, or the person "
            "was deleted"
        )
    check_row("merges", row)
    return row


def of(connection: Connection, collection: Row, person: Row | None = None) -> list[Row]:
    """Newest first."""
    query = sa.select(merges).where(merges.c.collection_id == collection["id"])
    if person is not None:
        query = query.where(merges.c.person_id == person["id"])
    rows: list[Row] = list(connection.execute(query.order_by(merges.c.id.desc())).mappings())
    for row in rows:
        check_row("merges", row)
    return rows


def records(connection: Connection, rows: Sequence[Row]) -> list[Merge]:
    keys = {row["person_id"] for row in rows}
    query = sa.select(people.c.id, people.c.uid, people.c.name).where(people.c.id.in_(keys))
    keepers = {row.id: row for row in connection.execute(query)}
    return [
        Merge(
            row["uid"],
            keepers[row["person_id"]].uid,
            keepers[row["person_id"]].name,
            row["other_uid"],
            row["name"],
            len(json.loads(row["face_uids"])),
            from_us(row["merged_at"]),
        )
        for row in rows
    ]


def forget(connection: Connection, before: int) -> int:
    """Erase what merges made before then would need to be undone."""
    return connection.execute(merges.delete().where(merges.c.merged_at < before)).rowcount


def _give(connection: Connection, uids: Sequence[str], giver: Row, taker: Row) -> None:
    """Merges whose faces are the giver's now become the taker's."""
    for part in chunks(uids):
        own = sa.and_(merges.c.uid.in_(part), merges.c.person_id == giver["id"])
        connection.execute(merges.update().where(own).values(person_id=taker["id"]))
