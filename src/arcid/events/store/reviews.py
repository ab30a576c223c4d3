"""Doubtful cases that wait for a human, inside the caller's transaction.

A review hangs on an event and is answered by corrections of it; ``follow`` brings its row in line
with those that stand, so that undoing one reopens it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.events.review_records import Question, ReviewState
from arcid.events.tables import candidates, events, reviews
from arcid.gallery.paging import Order, Page, check_limit
from arcid.gallery.schema import Row, people
from arcid.gallery.store.keys import chunks

REVIEWS = Order("reviews", (int,))  # key


class Answer(NamedTuple):
    """What standing corrections make of a review."""

    state: ReviewState
    person_uid: str | None  # who it was said to be
    refused: frozenset[str]  # who it was said not to be
    by: Row | None  # the newest of them


def ask(connection: Connection, collection: Row, event: Row, question: Question) -> None:
    """Put an event in the queue. People deleted meanwhile are not asked about, and where all are,
    nothing is: it is somebody unknown."""
    uids = [match.person_id for match in question.candidates]
    query = sa.select(people.c.uid, people.c.id).where(
        people.c.collection_id == collection["id"], people.c.uid.in_(uids)
    )
    keys = {row.uid: row.id for row in connection.execute(query)}
    if not keys:
        return
    values = {
        "collection_id": collection["id"],
        "event_id": event["id"],
        "kind": question.kind,
        "target": question.target_fpir if question.target_fmr is None else question.target_fmr,
        "target_kind": "fpir" if question.target_fmr is None else "fmr",
        "state": "open",
    }
    made = connection.execute(reviews.insert().values(values)).inserted_primary_key
    rows = [
        {"review_id": None if made is None else made[0], "person_id": keys[match.person_id],
         "face_uid": match.face_id, "cosine": match.cosine, "refused": 0}
        for match in question.candidates
        if match.person_id in keys
    ]  # fmt: skip
    connection.execute(candidates.insert(), rows)


def about(connection: Connection, event: Row) -> Row | None:
    """The review of an event."""
    query = sa.select(reviews).where(reviews.c.event_id == event["id"])
    return connection.execute(query).mappings().first()


def page(
    connection: Connection,
    collection: Row,
    states: Sequence[str] | None,
    limit: int,
    after: str | None,
) -> Page[Row]:
    """Reviews, newest first."""
    query = sa.select(reviews).where(reviews.c.collection_id == collection["id"])
    if states is not None:
        query = query.where(reviews.c.state.in_(states))
    if after is not None:
        query = query.where(reviews.c.id < REVIEWS.place(collection["uid"], after)[0])
    query = query.order_by(reviews.c.id.desc()).limit(check_limit(limit))
    rows: list[Row] = list(connection.execute(query).mappings())
    return REVIEWS.page(collection["uid"], rows, limit, lambda row: (row["id"],))


def count(connection: Connection, collection: Row | None, state: str) -> int:
    """How many are in a state, in one collection or in all."""
    query = sa.select(sa.func.count()).where(reviews.c.state == state)
    if collection is not None:
        query = query.where(reviews.c.collection_id == collection["id"])
    return int(connection.execute(query).scalar_one())


def asked(connection: Connection, event_keys: Sequence[int]) -> dict[int, list[Row]]:
    """Candidates who still exist by event key, the nearest first."""
    found: dict[int, list[Row]] = {}
    for part in chunks(event_keys):
        query = (
            sa.select(candidates, reviews.c.event_id, people.c.uid, people.c.name)
            .join(reviews, reviews.c.id == candidates.c.review_id)
            .join(people, people.c.id == candidates.c.person_id)
            .where(reviews.c.event_id.in_(part))
            .order_by(candidates.c.cosine.desc(), candidates.c.id)
        )
        for row in connection.execute(query).mappings():
            found.setdefault(row["event_id"], []).append(row)
    return found


def read(given: Sequence[Row], asked_about: Sequence[Row]) -> Answer:
    """The answer that standing corrections give, oldest first, to who was asked about."""
    person: str | None = None
    refused: set[str] = set()
    nobody, voided, by = False, False, None
    for row in given:
        if row["action"] == "retime":
            continue
        by = row
        if row["action"] == "void":
            voided = True
        elif row["action"] == "reassign":
            person, nobody = row["person_uid"], False
        elif row["person_uid"] is None:
            person, nobody = None, True
        else:
            refused.add(row["person_uid"])
            person = None if person == row["person_uid"] else person
    left = {row["uid"] for row in asked_about} - refused
    state: ReviewState = "open"
    if voided:
        state = "withdrawn"
    elif person is not None:
        state = "yes"
    elif nobody or not left:
        state = "no"
    return Answer(state, person, frozenset(refused), by)


def follow(connection: Connection, event: Row, given: Sequence[Row]) -> None:
    """Bring the review of an event, where it has one, in line with its standing corrections."""
    row = about(connection, event)
    if row is None:
        return
    whom = asked(connection, [event["id"]]).get(event["id"], [])
    answer = read(given, whom)
    settled = {
        "state": answer.state,
        "person_uid": answer.person_uid,
        "answer_uid": None if answer.by is None else answer.by["uid"],
    }
    connection.execute(reviews.update().where(reviews.c.id == row["id"]).values(settled))
    for one in whom:
        refused = int(one["uid"] in answer.refused)
        if refused != one["refused"]:
            connection.execute(
                candidates.update().where(candidates.c.id == one["id"]).values(refused=refused)
            )


def of_person(connection: Connection, collection: Row, person: Row) -> list[Row]:
    """Events of reviews that ask about a person."""
    query = (
        sa.select(events)
        .join(reviews, reviews.c.event_id == events.c.id)
        .join(candidates, candidates.c.review_id == reviews.c.id)
        .where(events.c.collection_id == collection["id"], candidates.c.person_id == person["id"])
    )
    return list(connection.execute(query).mappings())


def erase(connection: Connection, person: Row) -> None:
    """Erase that a person was asked about, and reviews that spoke of nobody else."""
    connection.execute(candidates.delete().where(candidates.c.person_id == person["id"]))
    others = sa.exists().where(candidates.c.review_id == reviews.c.id)
    connection.execute(reviews.delete().where(~others))
    connection.execute(reviews.delete().where(reviews.c.person_uid == person["uid"]))


def hand_over(connection: Connection, other: Row, keep: Row) -> None:
    """Before two people are merged: who was asked about is the one that stays."""
    both = candidates.alias()
    twice = sa.select(both.c.review_id).where(both.c.person_id == keep["id"])
    theirs = candidates.c.person_id == other["id"]
    connection.execute(candidates.delete().where(theirs, candidates.c.review_id.in_(twice)))
    connection.execute(candidates.update().where(theirs).values(person_id=keep["id"]))
