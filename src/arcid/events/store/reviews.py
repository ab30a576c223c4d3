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
from arcid.events.store.log import Log
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


def ask(log: Log, event: Row, question: Question) -> None:
    """Put an event in the queue. People deleted meanwhile are not asked about, and where all are,
    nothing is: it is somebody unknown."""
    uids = [match.person_id for match in question.candidates]
    query = sa.select(people.c.uid, people.c.id).where(
        people.c.collection_id == log.collection["id"], people.c.uid.in_(uids)
    )
    keys = {row.uid: row.id for row in log.execute(query)}
    if not keys:
        return
    values = {
        "collection_id": log.collection["id"],
        "event_id": event["id"],
        "kind": question.kind,
        "target": question.target_fpir if question.target_fmr is None else question.target_fmr,
        "target_kind": "fpir" if question.target_fmr is None else "fmr",
        "state": "open",
    }
    made = log.execute(reviews.insert().values(values)).inserted_primary_key
    rows = [
        {"review_id": None if made is None else made[0], "person_id": keys[match.person_id],
         "face_uid": match.face_id, "cosine": match.cosine, "refused": 0}
        for match in question.candidates
        if match.person_id in keys
    ]  # fmt: skip
    log.execute(candidates.insert(), rows)


def about(log: Log, event: Row) -> Row | None:
    """The review of an event."""
    query = sa.select(reviews).where(reviews.c.event_id == event["id"])
    return log.execute(query).mappings().first()


def page(log: Log, states: Sequence[str] | None, limit: int, after: str | None) -> Page[Row]:
    """Reviews, newest first."""
    query = sa.select(reviews).where(reviews.c.collection_id == log.collection["id"])
    if states is not None:
        query = query.where(reviews.c.state.in_(states))
    if after is not None:
        query = query.where(reviews.c.id < REVIEWS.place(log.collection["uid"], after)[0])
    query = query.order_by(reviews.c.id.desc()).limit(check_limit(limit))
    rows: list[Row] = list(log.execute(query).mappings())
    return REVIEWS.page(log.collection["uid"], rows, limit, lambda row: (row["id"],))


def count(connection: Connection, collection: Row | None, state: str) -> int:
    """How many are in a state, in one collection or in all."""
    query = sa.select(sa.func.count()).where(reviews.c.state == state)
    if collection is not None:
        query = query.where(reviews.c.collection_id == collection["id"])
    return int(connection.execute(query).scalar_one())


def asked(log: Log, event_keys: Sequence[int]) -> dict[int, list[Row]]:
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
        for row in log.execute(query).mappings():
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


def follow(log: Log, event: Row, given: Sequence[Row]) -> None:
    """Bring the review of an event, where it has one, in line with its standing corrections."""
    row = about(log, event)
    if row is None:
        return
    whom = asked(log, [event["id"]]).get(event["id"], [])
    answer = read(given, whom)
    settled = {
        "state": answer.state,
        "person_uid": answer.person_uid,
        "answer_uid": None if answer.by is None else answer.by["uid"],
    }
    log.execute(reviews.update().where(reviews.c.id == row["id"]).values(settled))
    for one in whom:
        refused = int(one["uid"] in answer.refused)
        if refused != one["refused"]:
            log.execute(
                candidates.update().where(candidates.c.id == one["id"]).values(refused=refused)
            )


def of_person(log: Log, person: Row) -> list[Row]:
    """Events of reviews that ask about a person."""
    query = (
        sa.select(events)
        .join(reviews, reviews.c.event_id == events.c.id)
        .join(candidates, candidates.c.review_id == reviews.c.id)
        .where(
            events.c.collection_id == log.collection["id"], candidates.c.person_id == person["id"]
        )
    )
    return list(log.execute(query).mappings())


def erase(log: Log, person: Row) -> None:
    """Erase that a person was asked about, and reviews that spoke of nobody else."""
    log.execute(candidates.delete().where(candidates.c.person_id == person["id"]))
    others = sa.exists().where(candidates.c.review_id == reviews.c.id)
    log.execute(reviews.delete().where(~others))
    log.execute(reviews.delete().where(reviews.c.person_uid == person["uid"]))


def hand_over(log: Log, other: Row, keep: Row) -> None:
    """Before two people are merged: who was asked about is the one that stays."""
    both = candidates.alias()
    twice = sa.select(both.c.review_id).where(both.c.person_id == keep["id"])
    theirs = candidates.c.person_id == other["id"]
    log.execute(candidates.delete().where(theirs, candidates.c.review_id.in_(twice)))
    log.execute(candidates.update().where(theirs).values(person_id=keep["id"]))
