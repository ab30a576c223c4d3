"""What becomes of a person's events when they are merged or deleted: a ``Room`` of the gallery."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.events.records import Event
from arcid.events.store import corrections, reviews, traces
from arcid.events.store import events as _events
from arcid.events.store import stays as _stays
from arcid.events.store.log import Log
from arcid.events.store.readings import corrected
from arcid.events.tables import blocks, events, stays
from arcid.gallery.schema import Row


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> None:
    """Before two people are merged: events, questions and stays become the kept one's."""
    log = Log(connection, collection)
    doubtful = reviews.of_person(log, other)
    said = corrections.standing(log, [row["uid"] for row in doubtful])
    reviews.hand_over(log, other, keep)
    theirs = _theirs(log, other["uid"])
    for row, event in theirs:
        if event.person_id != other["uid"]:
            continue  # said meanwhile to be somebody else's, or nobody's
        corrections.correct(
            log, row, "reassign", "merge", "two people were merged", person_uid=keep["uid"]
        )
    one = {other["uid"], keep["uid"]}
    for row in doubtful:
        answer = reviews.read(said.get(row["uid"], ()), ())
        if answer.person_uid in one:  # said to be the one, and not the other: it is them
            theirs_now = blocks.c.event_uid == row["uid"]
            both_keys = blocks.c.person_id.in_([other["id"], keep["id"]])
            log.execute(blocks.delete().where(theirs_now, both_keys))
        elif other["uid"] in answer.refused:
            corrections.correct(
                log, row, "not_person", "merge", "two people were merged", person_uid=keep["uid"]
            )
    given_to_them = [row for row, _ in theirs if row["kind"] == "review"]
    _settle(log, [*doubtful, *given_to_them])
    log.execute(
        stays.update().where(stays.c.person_uid == other["uid"]).values(person_uid=keep["uid"])
    )
    both = sa.select(blocks.c.event_uid).where(blocks.c.person_id == keep["id"])
    of_other = blocks.c.person_id == other["id"]
    log.execute(blocks.delete().where(of_other, blocks.c.event_uid.in_(both)))
    log.execute(blocks.update().where(of_other).values(person_id=keep["id"]))


def erase(connection: Connection, collection: Row, person: Row, *, merged: bool) -> None:
    """Erase the faces behind a person's events and behind questions whether it is them, what was
    noted about those events, their stays, and that they were asked about.

    ``merged``: they were handed over, and their events go on as another's.
    """
    log = Log(connection, collection)
    theirs = _theirs(log, person["uid"])
    doubtful = reviews.of_person(log, person)
    asked = [row for row, event in _read(log, doubtful) if event.kind == "review"]
    mine = [row for row, e in theirs if e.person_id in (None, person["uid"])]  # nobody else's now
    traces.erase_of(log, [row["id"] for row in [*mine, *asked]])
    if not merged:
        _events.forget_notes(log, [*(row for row, _ in theirs), *asked], person["uid"])
    _stays.forget(log, person["uid"])
    reviews.erase(log, person)
    _settle(log, doubtful)


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


def _read(log: Log, rows: list[Row]) -> list[tuple[Row, Event]]:
    return list(zip(rows, corrected(log, rows), strict=True))


def _settle(log: Log, rows: list[Row]) -> None:
    given = corrections.standing(log, [row["uid"] for row in rows])
    for row in rows:
        reviews.follow(log, row, given.get(row["uid"], ()))
