"""Visits, inside the caller's transaction: begun, extended, moved, folded together and ended.

A visit is a stretch of time in which one person (or one unknown visitor) is seen at one place with
no gap as long as the cooldown.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from arcid.events.records import Cause, Place
from arcid.events.store import events as _events
from arcid.events.store.log import Log
from arcid.events.tables import visits
from arcid.gallery.schema import Row
from arcid.gallery.store.journal import now_us

DISOWNED = 2  # visits.closed: still covers its time, so nothing new begins, and never departs


def begin(
    log: Log, place: Place, at: int, *,
    person_uid: str | None = None, visitor_uid: str | None = None, until: int | None = None,
    arrival_uid: str | None = None,
) -> None:  # fmt: skip
    """A visit of one person, or of one unknown visitor."""
    values = {
        "collection_id": log.collection["id"],
        "place": place.name,
        "camera": place.camera,
        "person_uid": person_uid,
        "visitor_uid": visitor_uid,
        "arrival_uid": arrival_uid,
        "arrived_at": at,
        "last_seen_at": at if until is None else max(at, until),
        "closed": 0,
    }
    log.execute(visits.insert().values(values))


def about(log: Log, place: Place, at: int, cooldown: int) -> sa.ColumnElement[bool]:
    """Visits of a place that a sighting at ``at`` may belong to."""
    return sa.and_(
        visits.c.collection_id == log.collection["id"],
        visits.c.place == place.name,
        visits.c.arrived_at - cooldown <= at,
        visits.c.last_seen_at + cooldown > at,
    )


def current(log: Log, place: Place, at: int, cooldown: int, person_uid: str) -> Row | None:
    """The visit that a sighting of a person continues."""
    query = (
        sa.select(visits)
        .where(about(log, place, at, cooldown), visits.c.person_uid == person_uid)
        .order_by(visits.c.last_seen_at.desc())
    )
    return log.execute(query).mappings().first()


def extend(log: Log, visit: Row, at: int) -> None:
    """Somebody is there still, or again."""
    if at > visit["last_seen_at"]:
        closed = DISOWNED if visit["closed"] == DISOWNED else 0
        change(log, visit, last_seen_at=at, closed=closed)


def any_unseen(log: Log, place: str, seen_before: int) -> bool:
    """Whether a visit of a place is open and last seen before then."""
    query = sa.select(visits.c.id).where(_unseen(log, place, seen_before))
    return log.execute(query).first() is not None


def depart(
    log: Log, place: str, seen_before: int, why: str, cause: Cause, since: int | None = None
) -> list[Row]:
    """End the visits of a place last seen before then; ``since``: only those begun from there on.

    One departure each, dated when the person was last seen; unknown visitors leave silently.
    """
    condition = _unseen(log, place, seen_before)
    if since is not None:
        condition = sa.and_(condition, visits.c.arrived_at >= since)
    return _end(log, condition, why, cause)


def abandon(log: Log, place: Place, why: str, cause: Cause) -> list[Row]:
    """End all visits of a place that a camera began: it will not see them end."""
    condition = sa.and_(_open(log, place.name), visits.c.camera == place.camera)
    return _end(log, condition, why, cause)


def end_older(log: Log, place: Place, person_uid: str, at: int) -> list[Row]:
    """Before a visit begins at ``at``: nobody is at a place twice, so end those left open."""
    condition = sa.and_(_unseen(log, place.name, at), visits.c.person_uid == person_uid)
    why = "not seen until they came again"
    return _end(log, condition, why, "came_again")


def leave(log: Log, visit: Row, why: str, cause: Cause) -> Row | None:
    """End a visit: the departure, where it is a person's and was not written before."""
    change(log, visit, closed=1)
    if visit["person_uid"] is None:
        return None
    grounds = {
        "reason": why,
        "cause": cause,
        "visit": {"arrived_at_us": visit["arrived_at"], "last_seen_at_us": visit["last_seen_at"]},
    }
    return _events.add(
        log,
        departure_key(log, visit, visit["person_uid"]),
        {"kind": "departure", "at": visit["last_seen_at"], "camera": visit["camera"],
         "place": visit["place"], "person_uid": visit["person_uid"]},
        _events.Evidence(json.dumps(grounds)),
    )  # fmt: skip


def departure_key(log: Log, visit: Row, person_uid: str) -> str:
    """What the departure that ends a visit of that person is written under."""
    return _events.key(
        "departure", log.collection["uid"], visit["place"], person_uid, visit["last_seen_at"]
    )


def shift(log: Log, camera: str, by: int) -> None:
    """A camera's clock was set back: so are the visits it has open."""
    own = sa.and_(
        visits.c.collection_id == log.collection["id"],
        visits.c.camera == camera,
        visits.c.closed == 0,
    )
    moved = {"arrived_at": visits.c.arrived_at + by, "last_seen_at": visits.c.last_seen_at + by}
    log.execute(visits.update().where(own).values(moved))


def unfinished(log: Log, *conditions: sa.ColumnElement[bool]) -> list[Row]:
    """Open visits of people, longest ago first.

    Of one person at one place there may be several while a recording is read late: it may go on, so
    what it shows stays open beside a newer visit until whoever reads it says that it has ended.
    """
    query = (
        sa.select(visits)
        .where(
            visits.c.collection_id == log.collection["id"],
            visits.c.closed == 0,
            visits.c.person_uid.is_not(None),
            *conditions,
        )
        .order_by(visits.c.arrived_at)
    )
    return list(log.execute(query).mappings())


def present(log: Log) -> list[Row]:
    """Those unfinished since which the person has not come to the place again."""
    later = visits.alias()
    again = sa.select(later.c.id).where(
        later.c.collection_id == visits.c.collection_id,
        later.c.place == visits.c.place,
        later.c.person_uid == visits.c.person_uid,
        later.c.arrived_at > visits.c.last_seen_at,
        later.c.closed != DISOWNED,
    )
    return unfinished(log, ~again.exists())


def begun_by(log: Log, arrival: Row) -> Row | None:
    """The visit that an arrival, or a visitor's first event, began.

    Those of arrivals before schema 0003 are found by person and time.
    """
    own = visits.c.collection_id == log.collection["id"]
    began = visits.c.visitor_uid if arrival["visitor_uid"] else visits.c.arrival_uid
    known = sa.select(visits).where(own, began == arrival["uid"])
    found = log.execute(known).mappings().first()
    if found is not None:
        return found
    older = sa.select(visits).where(
        own,
        visits.c.arrival_uid.is_(None),
        visits.c.visitor_uid.is_(None),
        visits.c.person_uid == arrival["person_uid"],
        visits.c.place == arrival["place"],
        visits.c.arrived_at == arrival["at"],
    )
    return log.execute(older).mappings().first()


def covering(log: Log, visit: Row, person_uid: str, cooldown: int | None) -> Row | None:
    """A visit of that person at the same place that goes on at least as long as this one."""
    near = cooldown or 0
    query = (
        sa.select(visits)
        .where(
            visits.c.collection_id == log.collection["id"],
            visits.c.place == visit["place"],
            visits.c.person_uid == person_uid,
            visits.c.closed != DISOWNED,
            visits.c.id != visit["id"],
            visits.c.arrived_at - near <= visit["last_seen_at"],
            visits.c.last_seen_at >= visit["last_seen_at"],
        )
        .order_by(visits.c.last_seen_at.desc())
    )
    return log.execute(query).mappings().first()


def fold(log: Log, visit: Row, person_uid: str, cooldown: int | None) -> None:
    """A person is at one place once: other visits begun there meanwhile become part of this one.

    Of those a ``cooldown`` or more apart (None: there are none such) the earlier one has ended.
    """
    query = sa.select(visits).where(
        visits.c.collection_id == log.collection["id"],
        visits.c.place == visit["place"],
        visits.c.person_uid == person_uid,
        visits.c.closed == 0,
        visits.c.id != visit["id"],
    )
    why = "not seen until they came again"
    last_seen, ended = visit["last_seen_at"], False
    query = query.order_by(visits.c.arrived_at, visits.c.id)
    for other in log.execute(query).mappings().all():
        gap = cooldown is not None and cooldown
        if gap and other["last_seen_at"] + gap <= visit["arrived_at"]:
            leave(log, other, why, "came_again")
        elif gap and last_seen + gap <= other["arrived_at"]:
            ended = True
        else:
            change(log, other, closed=DISOWNED, folded_into=visit["id"])
            last_seen = max(last_seen, other["last_seen_at"])
    change(log, visit, last_seen_at=last_seen)
    if ended:
        now = dict(visit) | {"last_seen_at": last_seen, "person_uid": person_uid}
        leave(log, now, why, "came_again")


def unfold(log: Log, visit: Row, cooldown: int | None) -> None:
    """A visit is somebody else's now: those that had become part of it stand for themselves."""
    query = sa.select(visits).where(
        visits.c.collection_id == log.collection["id"], visits.c.folded_into == visit["id"]
    )
    for other in log.execute(query.order_by(visits.c.id)).mappings().all():
        if other["person_uid"] is None:
            continue
        change(log, other, closed=0, folded_into=None)
        leave_if_over(log, other, cooldown)


def leave_if_over(log: Log, visit: Row, cooldown: int | None) -> None:
    """End a visit that nobody saw go on for the cooldown (None: it is left as it is)."""
    if cooldown is not None and visit["last_seen_at"] + cooldown < now_us():
        why = f"not seen for {cooldown / 1e6:g} s"
        leave(log, visit, why, "not_seen")


def change(log: Log, visit: Row, **values: Any) -> None:
    """Overwrite columns of a visit."""
    log.execute(visits.update().where(visits.c.id == visit["id"]).values(**values))


def forget(log: Log, person_uid: str) -> None:
    """Erase the visits of a person."""
    log.execute(visits.delete().where(visits.c.person_uid == person_uid))


def _end(log: Log, condition: sa.ColumnElement[bool], why: str, cause: Cause) -> list[Row]:
    query = sa.select(visits).where(condition).order_by(visits.c.last_seen_at, visits.c.id)
    found = log.execute(query).mappings().all()
    made = [leave(log, visit, why, cause) for visit in found]
    return [event for event in made if event is not None]


def _unseen(log: Log, place: str, seen_before: int) -> sa.ColumnElement[bool]:
    return sa.and_(_open(log, place), visits.c.last_seen_at <= seen_before)


def _open(log: Log, place: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        visits.c.collection_id == log.collection["id"],
        visits.c.place == place,
        visits.c.closed == 0,
    )
