"""What humans said about pairs: read, sealed and erased, inside an open transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.duplicates.records import APART, Answer
from arcid.apps.duplicates.tables import answers
from arcid.errors import NotFound
from arcid.gallery.paging import Order, Page, check_limit
from arcid.gallery.schema import Row, people
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import merges as _merges
from arcid.gallery.store import sealed
from arcid.gallery.store.journal import from_us
from arcid.gallery.store.keys import chunks
from arcid.vault import place

ANSWERS = Order("duplicate_answers", (int,))  # key


def find(connection: Connection, collection: Row, answer_id: str) -> Row:
    """Raises ``NotFound``."""
    query = sa.select(answers).where(
        answers.c.collection_id == collection["id"], answers.c.uid == str(answer_id)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound("there is no answer about a pair with that id")
    return row


def page(
    connection: Connection,
    collection: Row,
    undone: bool,
    person_uid: str | None,
    limit: int | None,
    after: str | None,
) -> Page[Answer]:
    """Newest first; those taken back too where ``undone``."""
    query = sa.select(answers).where(answers.c.collection_id == collection["id"])
    if not undone:
        query = query.where(answers.c.undone_at.is_(None))
    if person_uid is not None:
        query = query.where(sa.or_(answers.c.a_uid == person_uid, answers.c.b_uid == person_uid))
    if after is not None:
        query = query.where(answers.c.id < ANSWERS.place(collection["uid"], after)[0])
    rows: list[Row] = list(
        connection.execute(query.order_by(answers.c.id.desc()).limit(check_limit(limit))).mappings()
    )
    found = ANSWERS.page(collection["uid"], rows, limit, lambda row: (row["id"],))
    return Page(records(connection, collection, found), found.next)


def records(connection: Connection, collection: Row, rows: Sequence[Row]) -> list[Answer]:
    """Answers as they are handed out."""
    wanted = [uid for row in rows for uid in (row["a_uid"], row["b_uid"])]
    names: dict[str, str] = {}
    for part in chunks(sorted(set(wanted))):
        query = sa.select(people.c.uid, people.c.name).where(people.c.uid.in_(part))
        names |= dict(connection.execute(query).all())
    merged = {merge["other_uid"]: merge["name"] for merge in _merges.of(connection, collection)}
    return [
        Answer(
            row["uid"], row["verdict"],
            row["a_uid"], names.get(row["a_uid"], merged.get(row["a_uid"])),
            row["b_uid"], names.get(row["b_uid"], merged.get(row["b_uid"])),
            json.loads(row["pair"])["cosine"], row["actor"],
            sealed.unseal_text(connection, row["note"], note_place(row["uid"])),
            from_us(row["at"]),
            row["merge_uid"],
            None if row["undone_at"] is None else from_us(row["undone_at"]), row["undone_by"],
        )
        for row in rows
    ]  # fmt: skip


def erase(connection: Connection, person: Row) -> int:
    """Everything that was said about a person; how much that was."""
    return _erase(
        connection, sa.or_(answers.c.a_uid == person["uid"], answers.c.b_uid == person["uid"])
    )


def erase_elsewhere(connection: Connection, collection: Row) -> int:
    """What was said in other collections about this one's people; how much that was."""
    theirs = sa.select(people.c.uid).where(people.c.collection_id == collection["id"])
    about = sa.or_(answers.c.a_uid.in_(theirs), answers.c.b_uid.in_(theirs))
    return _erase(connection, sa.and_(answers.c.collection_id != collection["id"], about))


def _erase(connection: Connection, about: sa.ColumnElement[bool]) -> int:
    notes = connection.execute(sa.select(answers.c.note).where(about)).scalars()
    sealed.doom(connection, sealed.keys_of(notes))
    return connection.execute(answers.delete().where(about)).rowcount


def seal(connection: Connection) -> int:
    """Seal the notes written before the gallery was protected; how many."""
    query = sa.select(answers).where(sealed.clear_text(answers.c.note))
    rows = connection.execute(query).mappings().all()
    for row in rows:
        own = _collections.by_id(connection, row["collection_id"])
        key_id = sealed.new_key(connection, own)
        note = sealed.seal_text(connection, key_id, row["note"], note_place(row["uid"]))
        connection.execute(answers.update().where(answers.c.id == row["id"]).values(note=note))
    return len(rows)


def cannot_be_one(connection: Connection, collection: Row) -> list[tuple[str, str]]:
    """Ids of two people each who are said not to be one."""
    query = sa.select(answers).where(
        answers.c.collection_id == collection["id"], answers.c.undone_at.is_(None)
    )
    newest = {
        (row["a_uid"], row["b_uid"]): row["verdict"]
        for row in connection.execute(query.order_by(answers.c.id)).mappings()
    }
    return [couple for couple, verdict in newest.items() if verdict in APART]


def note_place(uid: str) -> bytes:
    """Where the note of an answer opens."""
    return place("pair-note", uid)
