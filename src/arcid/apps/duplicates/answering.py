"""Answering a pair and taking that back, inside an open transaction."""

from __future__ import annotations

import json
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.duplicates import apart
from arcid.apps.duplicates.answers import note_place
from arcid.apps.duplicates.records import VERDICTS, Verdict
from arcid.apps.duplicates.tables import answers, pairs, runs
from arcid.errors import InputError, ReviewAnswered
from arcid.gallery.schema import Row, people
from arcid.gallery.store import audit, sealed
from arcid.gallery.store import merges as _merges
from arcid.gallery.store import people as _people
from arcid.gallery.store.journal import Journal, now_us

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
        "note": sealed.seal_text(connection, key_id, note, note_place(uid)),
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
