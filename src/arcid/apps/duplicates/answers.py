"""What humans say about pairs, inside an open transaction; every step can be taken back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.duplicates import apart
from arcid.apps.duplicates.records import APART, VERDICTS, Answer, Verdict
from arcid.apps.duplicates.tables import answers, pairs, runs
from arcid.errors import InputError, NotFound, ReviewAnswered
from arcid.gallery.paging import Order, Page, check_limit
from arcid.gallery.schema import Row, people
from arcid.gallery.store import audit, sealed
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import merges as _merges
from arcid.gallery.store import people as _people
from arcid.gallery.store.journal import Journal, from_us, now_us
from arcid.gallery.store.keys import chunks
from arcid.vault import place

ANSWERS = Order("duplicate_answers", (int,))  # key
_KEPT = ("a_face_uid", "b_face_uid", "cosine", "probability", "fmr", "templates", "found_at")


def give(
    log: Journal,
    collection: Row,
    row: Row,
    verdict: Verdict,
    actor: str,
    note: str,
    keep_id: str | None,
    merge: bool,
) -> Row:
    """The answer's row. See ``Duplicates.answer``."""
    connection = log.connection
    if verdict not in VERDICTS:
        raise InputError(f"answer {verdict!r} is unknown; use {', '.join(VERDICTS)}")
    own = _people.by_keys(connection, [row["a_id"], row["b_id"]])
    a, b = own[row["a_id"]], own[row["b_id"]]
    if keep_id is not None and (verdict != "same" or keep_id not in (a["uid"], b["uid"])):
        raise InputError("keep names one of the two people, of an answer that they are the same")
    first, second = sorted((a["uid"], b["uid"]))
    before = apart.standing(connection, [first]).get((first, second))
    if before is not None and row["state"] == before["verdict"]:
        if before["verdict"] == verdict:
            return before
        if before["verdict"] != "unsure":
            raise ReviewAnswered(
                f"{before['actor']} answered {before['verdict']!r} before; take that back first",
                state=before["verdict"],
                actor=before["actor"],
                answer_id=before["uid"],
            )
    run = connection.execute(sa.select(runs.c.uid).where(runs.c.id == row["run_id"])).scalar()
    asked = {name: row[name] for name in _KEPT} | {"run": run, "a": a["uid"], "b": b["uid"]}
    merge_uid = None
    if verdict == "same" and merge and a["collection_id"] == b["collection_id"]:
        keep, other = (a, b) if keep_id == a["uid"] else (b, a)
        if keep_id is None:
            keep, other = _fuller(connection, collection, a, b)
        merge_uid = _merges.merge(log, collection, keep, other, reversible=True)
    uid = uuid.uuid4().hex
    key_id = sealed.new_key(connection, collection) if note else None
    values: dict[str, Any] = {
        "uid": uid,
        "collection_id": collection["id"],
        "a_uid": first,
        "b_uid": second,
        "verdict": verdict,
        "actor": actor,
        "note": sealed.seal_text(connection, key_id, note, _note_place(uid)),
        "at": log.now,
        "pair": json.dumps(asked),
        "merge_uid": merge_uid,
        "undone_at": None,
        "undone_by": None,
    }
    made = log.insert(answers, values)
    _note(log, collection, "duplicates.answer", made)
    apart.settle(connection, [(row["a_id"], row["b_id"])])
    return made


def undo(
    log: Journal, collection: Row, row: Row, actor: str, name: str | None
) -> tuple[Row, Row | None, int]:
    """The answer, the pair as it stands again, and how many faces an undone merge could not give
    back. See ``Duplicates.undo``."""
    connection = log.connection
    if row["undone_at"] is not None:
        return row, _stored(connection, row), 0
    newer = sa.select(answers.c.uid).where(
        answers.c.a_uid == row["a_uid"], answers.c.b_uid == row["b_uid"],
        answers.c.undone_at.is_(None), answers.c.id > row["id"],
    )  # fmt: skip
    if (later := connection.execute(newer).scalar()) is not None:
        raise ReviewAnswered(
            "another answer came after this one; take that back first", answer_id=later
        )
    missing = 0
    if row["merge_uid"] is not None:
        merge = _merges.find(connection, collection, row["merge_uid"])
        _, _, missing = _merges.unmerge(log, collection, merge, name)
    undone = {"undone_at": log.now, "undone_by": actor}
    connection.execute(answers.update().where(answers.c.id == row["id"]).values(undone))
    _note(log, collection, "duplicates.undo", row)
    if row["merge_uid"] is not None:
        _ask_again(connection, collection, row)
    stored = _stored(connection, row)
    if stored is not None:
        apart.settle(connection, [(stored["a_id"], stored["b_id"])])
        stored = _stored(connection, row)
    return dict(row) | undone, stored, missing


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
            sealed.unseal_text(connection, row["note"], _note_place(row["uid"])),
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
        note = sealed.seal_text(connection, key_id, row["note"], _note_place(row["uid"]))
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


def _note(log: Journal, collection: Row, verb: str, row: Row) -> None:
    audit.append(
        log.connection,
        verb=verb,
        subject=f"answer:{row['uid']}",
        collection=collection["uid"],
        details={"people": [row["a_uid"], row["b_uid"]], "verdict": row["verdict"]},
    )


def _fuller(connection: Connection, collection: Row, a: Row, b: Row) -> tuple[Row, Row]:
    """Who keeps the name where nobody says: whoever has more faces, then whoever was first."""
    counted = [_people.find(connection, collection, one["uid"]) for one in (a, b)]
    keep, other = sorted(counted, key=lambda one: (-one["face_count"], one["id"]))
    return keep, other


def _stored(connection: Connection, answer: Row) -> Row | None:
    query = sa.select(people.c.id).where(people.c.uid.in_((answer["a_uid"], answer["b_uid"])))
    keys = sorted(connection.execute(query).scalars())
    if len(keys) != 2:
        return None
    query_pair = sa.select(pairs).where(pairs.c.a_id == keys[0], pairs.c.b_id == keys[1])
    return connection.execute(query_pair).mappings().first()


def _ask_again(connection: Connection, collection: Row, answer: Row) -> None:
    """The pair that a merge ended, once its two people are there again."""
    asked = json.loads(answer["pair"])
    run = sa.select(runs.c.id).where(runs.c.uid == asked["run"])
    run_id = connection.execute(run).scalar()
    found = {
        row.uid: row.id
        for row in connection.execute(
            sa.select(people.c.id, people.c.uid).where(people.c.uid.in_((asked["a"], asked["b"])))
        )
    }
    if run_id is None or len(found) != 2 or _stored(connection, answer) is not None:
        return
    a, b = found[asked["a"]], found[asked["b"]]
    values = {name: asked[name] for name in _KEPT} | {"found_at": now_us()}
    if a > b:  # who was merged away has a new key
        a, b = b, a
        values["a_face_uid"], values["b_face_uid"] = asked["b_face_uid"], asked["a_face_uid"]
    connection.execute(
        pairs.insert().values(
            uid=uuid.uuid4().hex, run_id=run_id, collection_id=collection["id"], a_id=a, b_id=b,
            state="open", **values,
        )
    )  # fmt: skip


def _note_place(uid: str) -> bytes:
    return place("pair-note", uid)
