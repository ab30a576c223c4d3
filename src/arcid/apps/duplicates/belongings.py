"""What becomes of pairs and answers when people are merged or deleted: a ``Room`` of the gallery.

A pair goes with either of its people, and one that nobody answered with the faces it rests on.
Answers name people by id, so that one who became part of another is still known to be somebody else
than a third.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.duplicates import answers as _answers
from arcid.apps.duplicates import apart
from arcid.apps.duplicates.records import UNANSWERED
from arcid.apps.duplicates.tables import answers, pairs, runs
from arcid.gallery.rooms import Handed, Told
from arcid.gallery.schema import Row, people
from arcid.gallery.store.keys import chunks
from arcid.gallery.store.telling import plain

_MEASURED = ("cosine", "probability", "fmr", "templates", "found_at", "state")


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> Handed:
    """Before two people are merged: who was near to ``other`` is near to ``keep``, and who is said
    not to be ``other`` is not ``keep``."""
    near = [_seen_by(row, other) for row in _of(connection, other)]
    third = [one for one in near if one["them"] != keep["id"]]
    theirs = {one["them"] for one in third}
    own = [_seen_by(row, keep) for row in _of(connection, keep)]
    replaced = [one for one in own if one["them"] in theirs]
    told = [_told(connection, some) for some in (third, replaced)]
    said = [row for row in _said(connection, other["uid"]) if keep["uid"] not in _both(row)]
    for row in said:
        _rename(connection, row, other["uid"], keep["uid"])
    made = [_write(connection, keep, one) for one in third]
    apart.settle(connection, made)
    return {"pairs": told[0], "kept": told[1], "answers": [row["uid"] for row in said]}


def take_back(
    connection: Connection, collection: Row, other: Row, keep: Row, handed: Handed
) -> None:
    """After a merge was undone: pairs and answers that were handed over are ``other``'s again."""
    for uid in handed["answers"]:
        query = sa.select(answers).where(answers.c.uid == uid)
        row = connection.execute(query).mappings().first()
        if row is not None and keep["uid"] in _both(row):
            _rename(connection, row, keep["uid"], other["uid"])
    made = []
    for one in _heard(connection, handed["pairs"]):
        _withdraw(connection, keep, one)
        made.append(_write(connection, other, one))
    for one in _heard(connection, handed["kept"]):
        made.append(_write(connection, keep, one))
    apart.settle(connection, made)


def parted(connection: Connection, collection: Row, faces: Sequence[Row], to: Row) -> None:
    """After faces were moved: a pair that rests on one goes with it, or ends where both sides are
    one person now; how near the former two are by other faces is for the next whole run to say.
    What was answered stays, as it was asked, and a pair whose face is deleted is still asked."""
    gone = {face["uid"] for face in faces}
    touched = {face["person_id"] for face in faces} | {to["id"]}
    found = _of_any(connection, sorted(touched))
    couples = [(row["a_id"], row["b_id"]) for row in found]
    for row in found:
        sides = [side for side in ("a", "b") if row[f"{side}_face_uid"] in gone]
        if sides and row["state"] in UNANSWERED:
            connection.execute(pairs.delete().where(pairs.c.id == row["id"]))
        if len(sides) != 1:
            continue
        one = _seen_by(row, {"id": row[f"{sides[0]}_id"]})
        if one["them"] != to["id"]:
            couples.append(_write(connection, to, one | {"templates": 1}))
    apart.settle(connection, couples)


def erase(connection: Connection, collection: Row, person: Row, *, merged: bool) -> dict[str, int]:
    """Before a person is deleted: nothing that was said about them stays."""
    if merged:
        return {}
    near = len(_of(connection, person))
    return {"pairs": near, "answers_about_pairs": _answers.erase(connection, person)}


def erase_elsewhere(connection: Connection, collection: Row) -> dict[str, int]:
    """Before a collection is deleted: another's answers about its people, of runs between both."""
    return {"answers_about_pairs": _answers.erase_elsewhere(connection, collection)}


def seal(connection: Connection) -> int:
    """Seal the notes written before the gallery was protected; how many."""
    return _answers.seal(connection)


def tell(connection: Connection, collection: Row, person: Row, told: Told) -> None:
    """What was said about whether they are enrolled twice; not who the others are."""
    about = sa.or_(answers.c.a_uid == person["uid"], answers.c.b_uid == person["uid"])
    rows = connection.execute(sa.select(answers).where(about)).mappings().all()
    read = _answers.records(connection, collection, rows)
    told.records["answers_about_pairs"] = [
        {name: value for name, value in row.items() if name not in ("uid", "a_uid", "b_uid")}
        | {"note": one.note}
        for row, one in zip(plain(connection, answers, about), read, strict=True)
    ]
    told.records["pairs"] = [
        {name: row[name] for name in _MEASURED} for row in _of(connection, person)
    ]


def _of(connection: Connection, person: Row) -> list[Row]:
    return _of_any(connection, [person["id"]])


def _of_any(connection: Connection, keys: Sequence[int]) -> list[Row]:
    found: dict[int, Row] = {}
    for part in chunks(keys):
        query = sa.select(pairs).where(sa.or_(pairs.c.a_id.in_(part), pairs.c.b_id.in_(part)))
        found |= {row["id"]: row for row in connection.execute(query).mappings()}
    return list(found.values())


def _seen_by(row: Row, person: Row) -> dict[str, Any]:
    """A pair as one of its two sees it."""
    mine, them = ("a", "b") if row["a_id"] == person["id"] else ("b", "a")
    return {
        "them": row[f"{them}_id"],
        "my_face": row[f"{mine}_face_uid"],
        "their_face": row[f"{them}_face_uid"],
        "run": row["run_id"],
    } | {name: row[name] for name in _MEASURED}


def _told(connection: Connection, near: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """With ids that outlive the rows."""
    uids = apart.uids(connection, [one["them"] for one in near])
    names = dict(connection.execute(sa.select(runs.c.id, runs.c.uid)).all()) if near else {}
    return [one | {"them": uids[one["them"]], "run": names[one["run"]]} for one in near]


def _heard(connection: Connection, told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the keys of the rows, where both the other and the run are still there."""
    keys: dict[str, int] = {}
    for part in chunks([one["them"] for one in told]):
        query = sa.select(people.c.uid, people.c.id).where(people.c.uid.in_(part))
        keys |= dict(connection.execute(query).all())
    known = dict(connection.execute(sa.select(runs.c.uid, runs.c.id)).all()) if told else {}
    return [
        one | {"them": keys[one["them"]], "run": known[one["run"]]}
        for one in told
        if one["them"] in keys and one["run"] in known
    ]


def _write(connection: Connection, me: Row, one: dict[str, Any]) -> tuple[int, int]:
    """A pair of ``me``, unless one that is as near is there; the keys of the two. It is listed
    where its run is, in another collection than ``me`` where that run compared two."""
    swapped = me["id"] > one["them"]
    couple = (one["them"], me["id"]) if swapped else (me["id"], one["them"])
    faces = (one["my_face"], one["their_face"])
    a_face, b_face = faces[::-1] if swapped else faces
    query = sa.select(pairs).where(pairs.c.a_id == couple[0], pairs.c.b_id == couple[1])
    known = connection.execute(query).mappings().first()
    if known is not None and known["cosine"] >= one["cosine"]:
        return couple
    of_run = sa.select(runs.c.collection_id).where(runs.c.id == one["run"])
    values = {name: one[name] for name in _MEASURED} | {
        "run_id": one["run"], "collection_id": connection.execute(of_run).scalar_one(),
        "a_face_uid": a_face, "b_face_uid": b_face,
    }  # fmt: skip
    if known is not None:
        connection.execute(pairs.update().where(pairs.c.id == known["id"]).values(values))
    else:
        ids = {"uid": uuid.uuid4().hex, "a_id": couple[0], "b_id": couple[1]}
        connection.execute(pairs.insert().values(values | ids))
    return couple


def _withdraw(connection: Connection, keep: Row, one: dict[str, Any]) -> None:
    """The pair that ``keep`` has because it was handed over: by a face that is not theirs now."""
    a, b = sorted((keep["id"], one["them"]))
    faces = sa.or_(pairs.c.a_face_uid == one["my_face"], pairs.c.b_face_uid == one["my_face"])
    connection.execute(pairs.delete().where(pairs.c.a_id == a, pairs.c.b_id == b, faces))


def _said(connection: Connection, uid: str) -> list[Row]:
    query = sa.select(answers).where(sa.or_(answers.c.a_uid == uid, answers.c.b_uid == uid))
    return list(connection.execute(query).mappings())


def _both(row: Row) -> tuple[str, str]:
    return row["a_uid"], row["b_uid"]


def _rename(connection: Connection, row: Row, old: str, new: str) -> None:
    a, b = sorted(new if uid == old else uid for uid in _both(row))
    connection.execute(answers.update().where(answers.c.id == row["id"]).values(a_uid=a, b_uid=b))
