"""Faces: adding, moving, merging, splitting and deleting, under one rule about photos.

Two faces of one photo are two people. A person therefore has at most one face per ``photo_id``;
the same face of the same photo again is the same enrolment (boxes that overlap by half are one
face, so another detector's box of it counts as the same).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import AlreadyExists, FaceNotFound, InputError, SamePhotoConflict
from arcid.gallery import rooms, rules
from arcid.gallery.paging import FACES, Page, check_limit
from arcid.gallery.records import Box, NewFace, StoredFace
from arcid.gallery.schema import Row, contracts, crops, embeddings, faces, people
from arcid.gallery.seals import check_row, damaged, row_seal
from arcid.gallery.store import consents, sealed, vectors
from arcid.gallery.store import crops as crops_store
from arcid.gallery.store import people as people_store
from arcid.gallery.store.journal import Journal, from_us
from arcid.gallery.store.keys import chunks
from arcid.geometry import box_iou

SAME_FACE_IOU = 0.5


def find(connection: Connection, collection: Row, face_id: str) -> Row:
    """The row of a face; raises ``FaceNotFound``."""
    found = _select(connection, collection, faces.c.uid == str(face_id))
    if not found:
        raise FaceNotFound(f"collection {collection['name']!r} has no face with that id")
    return found[0]


def of_person(connection: Connection, collection: Row, person: Row) -> list[Row]:
    return _select(connection, collection, faces.c.person_id == person["id"])


def page(
    connection: Connection,
    collection: Row,
    person: Row | None,
    limit: int | None,
    after: str | None,
    skip: int = 0,
) -> Page[Row]:
    """``person`` None: everybody's. ``skip``: so many faces are left out first."""
    owner = (collection if person is None else person)["uid"]
    condition = sa.true() if person is None else faces.c.person_id == person["id"]
    if after is not None:
        condition &= faces.c.id > FACES.place(owner, after)[0]
    rows = _select(connection, collection, condition, check_limit(limit), skip)
    return FACES.page(owner, rows, limit, lambda row: (row["id"],))


def by_ids(connection: Connection, collection: Row, face_ids: Sequence[str]) -> list[Row]:
    """Those that are still there, oldest first."""
    rows = [
        row
        for part in chunks(face_ids)
        for row in _select(connection, collection, faces.c.uid.in_(part))
    ]
    return sorted(rows, key=lambda row: int(row["id"]))


def of_photo(connection: Connection, collection: Row, photo_id: str) -> list[Row]:
    return _select(connection, collection, faces.c.photo_id == photo_id)


def known_photos(connection: Connection, collection: Row, photo_ids: Sequence[str]) -> set[str]:
    """Those of which anybody has a face."""
    found: set[str] = set()
    for part in chunks(photo_ids):
        query = sa.select(faces.c.photo_id).where(
            faces.c.collection_id == collection["id"], faces.c.photo_id.in_(part)
        )
        found |= set(connection.execute(query).scalars())
    return found


def enrolled(
    connection: Connection, collection: Row, wanted: Sequence[tuple[str, str]], contract_id: str
) -> list[bool]:
    """For each (name, photo_id) whether the person of that name has a face of that photo with a
    vector of that contract. Nobody has what is no name."""
    keys = [(_name_key(name), photo) for name, photo in wanted]
    found: set[tuple[str | None, str]] = set()
    for part in chunks([photo for _, photo in keys]):
        query = (
            sa.select(people.c.name_key, faces.c.photo_id)
            .join(people, people.c.id == faces.c.person_id)
            .join(embeddings, embeddings.c.face_id == faces.c.id)
            .join(contracts, contracts.c.id == embeddings.c.contract_id)
            .where(
                faces.c.collection_id == collection["id"],
                faces.c.photo_id.in_(part),
                contracts.c.uid == contract_id,
            )
        )
        found |= {(row.name_key, row.photo_id) for row in connection.execute(query)}
    return [key in found for key in keys]


def by_keys(connection: Connection, keys: Sequence[int]) -> dict[int, Row]:
    rows = connection.execute(sa.select(faces).where(faces.c.id.in_(keys))).mappings()
    found: dict[int, Row] = {row["id"]: row for row in rows}
    for row in found.values():
        check_row("faces", row)
    return found


def select_keys(connection: Connection, collection: Row, keys: Sequence[int]) -> list[Row]:
    return _select(connection, collection, faces.c.id.in_(keys))


def records(connection: Connection, rows: Sequence[Row]) -> list[StoredFace]:
    made_by = contract_ids(connection, [row["id"] for row in rows])
    stored = []
    for row in rows:
        if row["id"] not in made_by:
            raise damaged("a face without a vector")
        stored.append(
            StoredFace(
                row["uid"],
                row["person_uid"],
                row["photo_id"],
                made_by[row["id"]][0],
                tuple(made_by[row["id"]]),
                _box(row),
                row["score"],
                json.loads(row["quality"]),
                row["source"],
                from_us(row["created_at"]),
                bool(row["has_crop"]),
                json.loads(row["provenance"]),
            )
        )
    return stored


def add(journal: Journal, collection: Row, person: Row, new: Sequence[NewFace]) -> list[int]:
    """Keys of the faces added, in order.

    A photo enrolled before under the same person gains the vector of a new contract; with a
    contract it already has it raises ``AlreadyExists``. Another face of such a photo raises
    ``SamePhotoConflict``. Raises ``ConsentMissing`` where the collection demands consent.
    """
    consents.require(journal.connection, collection, person)
    key_id = sealed.key_of(journal.connection, collection, person)
    person = dict(person) | {"key_id": key_id}
    photos = _photos(of_person(journal.connection, collection, person))
    keys = []
    for face in new:
        columns = rules.face_columns(face)
        model_name = str(face.provenance.get("model", ""))[:200]
        made_by = vectors.ensure_contract(
            journal, face.embedding.contract_id, face.embedding.dim, model_name
        )
        known = photos.get(columns["photo_id"]) if columns["photo_id"] else None
        if known is None:
            row: Row = _insert(journal, collection, person, columns, made_by["uid"])
            crops_store.keep(journal, collection, person, row["id"], face.crop)
        else:
            _refuse_other_face(columns, known)
            row = known
            if made_by["uid"] in contract_ids(journal.connection, [row["id"]]).get(row["id"], []):
                raise AlreadyExists(
                    "this face of this photo is enrolled already", face_id=row["uid"]
                )
            journal.record(
                "embedding_added", collection, person=person, face=row, contract=made_by["uid"]
            )
        if columns["photo_id"]:
            photos[columns["photo_id"]] = row
        vectors.store(journal, collection, made_by, [(row["id"], person)], face.embedding)
        keys.append(row["id"])
    people_store.touch(journal, person["id"])
    return keys


def stored(connection: Connection, collection: Row, keys: Sequence[int]) -> list[StoredFace]:
    """The faces of those keys, in that order."""
    rows: dict[int, Row] = {}
    for part in chunks(keys):
        rows |= {row["id"]: row for row in select_keys(connection, collection, part)}
    return records(connection, [rows[key] for key in keys])


def move(
    journal: Journal, collection: Row, moved: Sequence[Row], to: Row, *, merged: bool = False
) -> None:
    """Give faces to another person, unless one of their photos shows that person already.

    ``merged``: whoever merges or parts the two tells the rooms.
    """
    taken = set(_photos(of_person(journal.connection, collection, to)))
    for face in moved:
        if face["photo_id"] is not None and face["photo_id"] in taken:
            raise SamePhotoConflict(
                "both people have a face in one photo, so they cannot be one person; "
                "if it is the same face enrolled twice, delete one of the two first",
                face_id=face["uid"],
            )
        taken.add(face["photo_id"])
        seal = row_seal("faces", dict(face) | {"person_id": to["id"]})
        vectors.move(journal.connection, collection, face, to)
        crops_store.move(journal.connection, collection, face, to)
        journal.connection.execute(
            faces.update().where(faces.c.id == face["id"]).values(person_id=to["id"], seal=seal)
        )
        journal.record("face_moved", collection, person=to, face=face)
    people_store.touch(journal, to["id"], *{face["person_id"] for face in moved})
    if not merged:
        rooms.parted(journal.connection, collection, moved, to)


def chosen(own: Sequence[Row], face_ids: Sequence[str]) -> list[Row]:
    """Those of a person's faces that are to be split off; some must be named, some must stay."""
    wanted = set(face_ids)
    found = [face for face in own if face["uid"] in wanted]
    if len(found) != len(wanted):
        raise FaceNotFound("not every face named belongs to this person")
    if not found:
        raise InputError("name at least one face to split off")
    if len(found) == len(own):
        raise InputError("a split must leave the person at least one face; rename it instead")
    return found


def delete(journal: Journal, collection: Row, doomed: Sequence[Row]) -> None:
    for face in doomed:
        person = {"id": face["person_id"], "uid": face["person_uid"]}
        journal.record("face_removed", collection, person=person, face=face)
    for part in chunks([face["id"] for face in doomed]):
        journal.connection.execute(faces.delete().where(faces.c.id.in_(part)))
    people_store.touch(journal, *{face["person_id"] for face in doomed})


def contract_ids(connection: Connection, keys: Sequence[int]) -> dict[int, list[str]]:
    """Per face key the contracts it has vectors of, oldest contract first."""
    found: dict[int, list[str]] = {}
    for part in chunks(keys):
        rows = connection.execute(
            sa.select(embeddings.c.face_id, contracts.c.uid)
            .join(contracts, contracts.c.id == embeddings.c.contract_id)
            .where(embeddings.c.face_id.in_(part))
            .order_by(contracts.c.id)
        )
        for key, uid in rows:
            found.setdefault(key, []).append(uid)
    return found


def _select(
    connection: Connection,
    collection: Row,
    condition: Any,
    limit: int | None = None,
    skip: int = 0,
) -> list[Row]:
    rows = connection.execute(
        sa.select(
            faces,
            people.c.uid.label("person_uid"),
            sa.exists().where(crops.c.face_id == faces.c.id).label("has_crop"),
        )
        .join(people, people.c.id == faces.c.person_id)
        .where(faces.c.collection_id == collection["id"], condition)
        .order_by(faces.c.id)
        .limit(limit)
        .offset(skip or None)
    ).mappings()
    found: list[Row] = list(rows)
    for row in found:
        check_row("faces", row)
    return found


def _name_key(name: str) -> str | None:
    try:
        return rules.name_key(rules.clean_name(name))
    except InputError:
        return None


def _photos(rows: Sequence[Row]) -> dict[str, Row]:
    return {row["photo_id"]: row for row in rows if row["photo_id"] is not None}


def _box(row: Row) -> Box | None:
    if row["box"] is None:
        return None
    x1, y1, x2, y2 = json.loads(row["box"])
    return x1, y1, x2, y2


def same_face(columns: Row, known: Row) -> bool:
    """Whether two faces of one photo, stored or to be stored, are the same."""
    new, old = _box(columns), _box(known)
    if new == old:
        return True
    return new is not None and old is not None and box_iou([new], [old])[0, 0] >= SAME_FACE_IOU


def _refuse_other_face(columns: Row, known: Row) -> None:
    if not same_face(columns, known):
        raise SamePhotoConflict(
            "two faces of one photo cannot be one person; enrol the other face under its own name",
            face_id=known["uid"],
        )


def _insert(journal: Journal, collection: Row, person: Row, columns: Row, contract_id: str) -> Row:
    values = dict(columns) | {
        "uid": uuid.uuid4().hex,
        "collection_id": collection["id"],
        "person_id": person["id"],
        "created_at": journal.now,
    }
    values["seal"] = row_seal("faces", values)
    row = journal.insert(faces, values)
    journal.record("face_added", collection, person=person, face=row, contract=contract_id)
    return row
