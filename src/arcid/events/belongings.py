"""What becomes of a person's events when they are merged or deleted: a ``Room`` of the gallery."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.events.records import Event
from arcid.events.store import corrections, reviews, traces
from arcid.events.store import events as _events
from arcid.events.store import stays as _stays
from arcid.events.store.log import Log
from arcid.events.store.readings import corrected
from arcid.events.tables import blocks, candidates, events, stays
from arcid.gallery.rooms import Handed, Told
from arcid.gallery.schema import Row
from arcid.gallery.store.keys import chunks
from arcid.gallery.store.telling import plain


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> Handed:
    """Before two people are merged: events, questions and stays become the kept one's."""
    log = Log(connection, collection)
    doubtful = reviews.of_person(log, other)
    said = corrections.standing(log, [row["uid"] for row in doubtful])
    asked = _ids(log, candidates, candidates.c.person_id == other["id"])
    reviews.hand_over(log, other, keep)
    theirs = _theirs(log, other["uid"])
    written = []
    for row, event in theirs:
        if event.person_id != other["uid"]:
            continue  # said meanwhile to be somebody else's, or nobody's
        written.append(
            corrections.correct(
                log, row, "reassign", "merge", "two people were merged", person_uid=keep["uid"]
            )
        )
    one = {other["uid"], keep["uid"]}
    for row in doubtful:
        answer = reviews.read(said.get(row["uid"], ()), ())
        if answer.person_uid in one:  # said to be the one, and not the other: it is them
            theirs_now = blocks.c.event_uid == row["uid"]
            both_keys = blocks.c.person_id.in_([other["id"], keep["id"]])
            traces.drop_blocks(log, sa.and_(theirs_now, both_keys))
        elif other["uid"] in answer.refused:
            written.append(
                corrections.correct(
                    log, row, "not_person", "merge", "two people were merged",
                    person_uid=keep["uid"],
                )
            )  # fmt: skip
    given_to_them = [row for row, _ in theirs if row["kind"] == "review"]
    _settle(log, [*doubtful, *given_to_them])
    stayed = _ids(log, stays, stays.c.person_uid == other["uid"])
    log.execute(
        stays.update().where(stays.c.person_uid == other["uid"]).values(person_uid=keep["uid"])
    )
    both = sa.select(blocks.c.event_uid).where(blocks.c.person_id == keep["id"])
    of_other = blocks.c.person_id == other["id"]
    traces.drop_blocks(log, sa.and_(of_other, blocks.c.event_uid.in_(both)))
    kept_from = _ids(log, blocks, of_other)
    log.execute(blocks.update().where(of_other).values(person_id=keep["id"]))
    return {
        "corrections": [row["uid"] for row in written if row is not None],
        "candidates": asked,
        "stays": stayed,
        "blocks": kept_from,
    }


def take_back(
    connection: Connection, collection: Row, other: Row, keep: Row, handed: Handed
) -> None:
    """After a merge was undone: events, questions and stays that are still the kept one's are the
    other's again. Where both were asked about, or kept from one face, only ``keep`` still is."""
    log = Log(connection, collection)
    for name, table, column, by in (
        ("candidates", candidates, candidates.c.person_id, "id"),
        ("stays", stays, stays.c.person_uid, "uid"),
        ("blocks", blocks, blocks.c.person_id, "id"),
    ):
        for part in chunks(handed[name]):
            still = sa.and_(table.c.id.in_(part), column == keep[by])
            log.execute(table.update().where(still).values({column.name: other[by]}))
    made = _events.every(log, events.c.uid, handed["corrections"])
    about = _events.every(log, events.c.uid, [row["about_uid"] for row in made])
    standing = corrections.standing(log, [row["uid"] for row in about])
    stand = {row["uid"] for given in standing.values() for row in given}
    for row in made:
        if row["uid"] in stand:
            corrections.correct(log, row, "void", "unmerge", "the merge was undone")
    asked = [row for row in about if reviews.about(log, row) is not None]
    _settle(log, [*asked, *reviews.of_person(log, other)])


def erase(connection: Connection, collection: Row, person: Row, *, merged: bool) -> dict[str, int]:
    """Erase the faces behind a person's events and behind questions whether it is them, what was
    noted about those events, their stays, and that they were asked about.

    ``merged``: they were handed over, and their events go on as another's.
    """
    log = Log(connection, collection)
    theirs = _theirs(log, person["uid"])
    doubtful = reviews.of_person(log, person)
    asked = [row for row, event in _read(log, doubtful) if event.kind == "review"]
    mine = [row for row, e in theirs if e.person_id in (None, person["uid"])]  # nobody else's now
    gone = {
        "refused_faces": traces.drop_blocks(log, blocks.c.person_id == person["id"]),
        "questions": _count(log, candidates, candidates.c.person_id == person["id"]),
        "stays": _count(log, stays, stays.c.person_uid == person["uid"]),
        "event_faces": traces.erase_of(log, [row["id"] for row in [*mine, *asked]]),
    }
    if not merged:
        written = [*(row for row, _ in theirs), *asked]
        gone["notes"] = _events.forget_notes(log, written, person["uid"])
    _stays.forget(log, person["uid"])
    reviews.erase(log, person)
    _settle(log, doubtful)
    return gone


def tell(connection: Connection, collection: Row, person: Row, told: Told) -> None:
    """Events that read as theirs, with the faces behind them, stays and questions. What was taken
    for them and is of somebody else, or of nobody known, is not theirs to see."""
    log = Log(connection, collection)
    mine = [(r, e) for r, e in _theirs(log, person["uid"]) if e.person_id == person["uid"]]
    told.records["events"] = [event.to_dict() | {"grounds": event.grounds} for _, event in mine]
    uids = {row["id"]: row["uid"] for row, _ in mine}
    for key, (contract, vector, crop) in traces.read(log, [row for row, _ in mine]).items():
        name = f"event-{uids[key]}"
        kept = {"event": uids[key], "contract_id": contract, "vector": vector.tolist()}
        told.records.setdefault("event_faces", []).append(kept)
        if crop is not None:
            told.pictures[f"{name}.png"] = bytes(crop)
    told.records["stays"] = plain(connection, stays, stays.c.person_uid == person["uid"])
    told.records["questions"] = plain(
        connection, candidates, candidates.c.person_id == person["id"]
    )
    told.records["refused_faces"] = plain(connection, blocks, blocks.c.person_id == person["id"])


def forget(connection: Connection, keys: Sequence[int]) -> None:
    """Faces and notes whose data keys were destroyed: an older copy was put back."""
    traces.forget(connection, keys)
    _events.forget(connection, keys)


def seal(connection: Connection) -> int:
    """Seal what was stored before the gallery was protected; how much that was."""
    return traces.seal(connection) + _events.seal_notes(connection)


def _theirs(log: Log, person_uid: str) -> list[tuple[Row, Event]]:
    """Events that were written as a person's, or read as theirs, each as it reads."""
    named = sa.select(events.c.about_uid).where(
        events.c.collection_id == log.collection["id"],
        events.c.action == "reassign",
        events.c.person_uid == person_uid,
    )
    query = sa.select(events).where(
        events.c.collection_id == log.collection["id"],
        events.c.kind != "correction",
        sa.or_(events.c.person_uid == person_uid, events.c.uid.in_(named)),
    )
    rows: list[Row] = list(log.execute(query).mappings())
    read = _read(log, rows)
    return [(row, e) for row, e in read if person_uid in (row["person_uid"], e.person_id)]


def _ids(log: Log, table: sa.Table, condition: sa.ColumnElement[bool]) -> list[int]:
    return list(log.execute(sa.select(table.c.id).where(condition)).scalars())


def _count(log: Log, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(condition)
    return int(log.execute(query).scalar_one())


def _read(log: Log, rows: list[Row]) -> list[tuple[Row, Event]]:
    return list(zip(rows, corrected(log, rows), strict=True))


def _settle(log: Log, rows: list[Row]) -> None:
    given = corrections.standing(log, [row["uid"] for row in rows])
    for row in rows:
        reviews.follow(log, row, given.get(row["uid"], ()))
