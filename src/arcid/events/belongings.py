"""What becomes of a person's events when they are merged or deleted: a ``Room`` of the gallery."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.events.records import Event
from arcid.events.store import corrections, reviews, traces
from arcid.events.store import events as _events
from arcid.events.store import visits as _visits
from arcid.events.store.readings import corrected
from arcid.events.tables import blocks, events, visits
from arcid.gallery.schema import Row


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> None:
    """Before two people are merged: events, questions and visits become the kept one's."""
    doubtful = reviews.of_person(connection, collection, other)
    said = corrections.standing(connection, [row["uid"] for row in doubtful])
    reviews.hand_over(connection, other, keep)
    theirs = _theirs(connection, collection, other["uid"])
    for row, event in theirs:
        if event.person_id != other["uid"]:
            continue  # said meanwhile to be somebody else's, or nobody's
        corrections.correct(
            connection, collection, row, "reassign", "merge", "two people were merged", (),
            person_uid=keep["uid"],
        )  # fmt: skip
    one = {other["uid"], keep["uid"]}
    for row in doubtful:
        answer = reviews.read(said.get(row["uid"], ()), ())
        if answer.person_uid in one:  # said to be the one, and not the other: it is them
            theirs_now = blocks.c.event_uid == row["uid"]
            both_keys = blocks.c.person_id.in_([other["id"], keep["id"]])
            connection.execute(blocks.delete().where(theirs_now, both_keys))
        elif other["uid"] in answer.refused:
            corrections.correct(
                connection, collection, row, "not_person", "merge", "two people were merged", (),
                person_uid=keep["uid"],
            )  # fmt: skip
    given_to_them = [row for row, _ in theirs if row["kind"] == "review"]
    _settle(connection, [*doubtful, *given_to_them])
    connection.execute(
        visits.update().where(visits.c.person_uid == other["uid"]).values(person_uid=keep["uid"])
    )
    both = sa.select(blocks.c.event_uid).where(blocks.c.person_id == keep["id"])
    of_other = blocks.c.person_id == other["id"]
    connection.execute(blocks.delete().where(of_other, blocks.c.event_uid.in_(both)))
    connection.execute(blocks.update().where(of_other).values(person_id=keep["id"]))


def erase(connection: Connection, collection: Row, person: Row, *, merged: bool) -> None:
    """Erase the faces behind a person's events and behind questions whether it is them, what was
    noted about those events, their visits, and that they were asked about.

    ``merged``: they were handed over, and their events go on as another's.
    """
    theirs = _theirs(connection, collection, person["uid"])
    doubtful = reviews.of_person(connection, collection, person)
    asked = [
        row for row, event in _read(connection, collection, doubtful) if event.kind == "review"
    ]
    mine = [row for row, e in theirs if e.person_id in (None, person["uid"])]  # nobody else's now
    traces.erase_of(connection, [row["id"] for row in [*mine, *asked]])
    if not merged:
        _events.forget_notes(connection, [*(row for row, _ in theirs), *asked], person["uid"])
    _visits.forget(connection, person["uid"])
    reviews.erase(connection, person)
    _settle(connection, doubtful)


def _theirs(connection: Connection, collection: Row, person_uid: str) -> list[tuple[Row, Event]]:
    """Events that were written as a person's, or read as theirs, each as it reads."""
    named = sa.select(events.c.about_uid).where(
        events.c.collection_id == collection["id"],
        events.c.action == "reassign",
        events.c.person_uid == person_uid,
    )
    query = sa.select(events).where(
        events.c.collection_id == collection["id"],
        events.c.kind != "correction",
        sa.or_(events.c.person_uid == person_uid, events.c.uid.in_(named)),
    )
    rows: list[Row] = list(connection.execute(query).mappings())
    read = _read(connection, collection, rows)
    return [(row, e) for row, e in read if person_uid in (row["person_uid"], e.person_id)]


def _read(connection: Connection, collection: Row, rows: list[Row]) -> list[tuple[Row, Event]]:
    return list(zip(rows, corrected(connection, collection, rows), strict=True))


def _settle(connection: Connection, rows: list[Row]) -> None:
    given = corrections.standing(connection, [row["uid"] for row in rows])
    for row in rows:
        reviews.follow(connection, row, given.get(row["uid"], ()))
