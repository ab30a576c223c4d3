"""Stays, inside the caller's transaction: begun, extended, moved, folded together and ended.

A stay is a stretch of time in which one person (or one unknown visitor) is seen at one place with
no gap as long as the cooldown.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from arcid.events.records import Cause, Place
from arcid.events.store import events as _events
from arcid.events.store.log import Log
from arcid.events.tables import stays
from arcid.gallery.schema import Row
from arcid.gallery.store.journal import now_us

DISOWNED = 2  # stays.closed: still covers its time, so nothing new begins, and never departs


def begin(
    log: Log, place: Place, at: int, *,
    person_uid: str | None = None, visitor_uid: str | None = None, until: int | None = None,
    arrival_uid: str | None = None,
) -> None:  # fmt: skip
    """A stay of one person, or of one unknown visitor."""
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
    log.execute(stays.insert().values(values))


def about(log: Log, place: Place, at: int, cooldown: int) -> sa.ColumnElement[bool]:
    """Stays of a place that a sighting at ``at`` may belong to."""
    return sa.and_(
        stays.c.collection_id == log.collection["id"],
        stays.c.place == place.name,
        stays.c.arrived_at - cooldown <= at,
        stays.c.last_seen_at + cooldown > at,
    )


def current(log: Log, place: Place, at: int, cooldown: int, person_uid: str) -> Row | None:
    """The stay that a sighting of a person continues."""
    query = (
        sa.select(stays)
        .where(about(log, place, at, cooldown), stays.c.person_uid == person_uid)
        .order_by(stays.c.last_seen_at.desc())
    )
    return log.execute(query).mappings().first()


def extend(log: Log, stay: Row, at: int) -> None:
    """Somebody is there still, or again."""
    if at > stay["last_seen_at"]:
        closed = DISOWNED if stay["closed"] == DISOWNED else 0
        change(log, stay, last_seen_at=at, closed=closed)


def any_unseen(log: Log, place: str, seen_before: int) -> bool:
    """Whether a stay of a place is open and last seen before then."""
    query = sa.select(stays.c.id).where(_unseen(log, place, seen_before))
    return log.execute(query).first() is not None


def depart(
    log: Log, place: str, seen_before: int, why: str, cause: Cause, since: int | None = None
) -> list[Row]:
    """End the stays of a place last seen before then; ``since``: only those begun from there on.

    One departure each, dated when the person was last seen; unknown visitors leave silently.
    """
    condition = _unseen(log, place, seen_before)
    if since is not None:
        condition = sa.and_(condition, stays.c.arrived_at >= since)
    return _end(log, condition, why, cause)


def abandon(log: Log, place: Place, why: str, cause: Cause) -> list[Row]:
    """End all stays of a place that a camera began: it will not see them end."""
    condition = sa.and_(_open(log, place.name), stays.c.camera == place.camera)
    return _end(log, condition, why, cause)


def end_older(log: Log, place: Place, person_uid: str, at: int) -> list[Row]:
    """Before a stay begins at ``at``: nobody is at a place twice, so end those left open."""
    condition = sa.and_(_unseen(log, place.name, at), stays.c.person_uid == person_uid)
    why = "not seen until they came again"
    return _end(log, condition, why, "came_again")


def leave(log: Log, stay: Row, why: str, cause: Cause) -> Row | None:
    """End a stay: the departure, where it is a person's and was not written before."""
    change(log, stay, closed=1)
    if stay["person_uid"] is None:
        return None
    grounds = {
        "reason": why,
        "cause": cause,
        "visit": {"arrived_at_us": stay["arrived_at"], "last_seen_at_us": stay["last_seen_at"]},
    }
    return _events.add(
        log,
        departure_key(log, stay, stay["person_uid"]),
        {"kind": "departure", "at": stay["last_seen_at"], "camera": stay["camera"],
         "place": stay["place"], "person_uid": stay["person_uid"]},
        _events.Evidence(json.dumps(grounds)),
    )  # fmt: skip


def departure_key(log: Log, stay: Row, person_uid: str) -> str:
    """What the departure that ends a stay of that person is written under."""
    return _events.key(
        "departure", log.collection["uid"], stay["place"], person_uid, stay["last_seen_at"]
    )


def shift(log: Log, camera: str, by: int) -> None:
    """A camera's clock was set back: so are the stays it has open."""
    own = sa.and_(
        stays.c.collection_id == log.collection["id"],
        stays.c.camera == camera,
        stays.c.closed == 0,
    )
    moved = {"arrived_at": stays.c.arrived_at + by, "last_seen_at": stays.c.last_seen_at + by}
    log.execute(stays.update().where(own).values(moved))


def unfinished(log: Log, *conditions: sa.ColumnElement[bool]) -> list[Row]:
    """Open stays of people, longest ago first.

    Of one person at one place there may be several while a recording is read late: it may go on, so
    what it shows stays open beside a newer stay until whoever reads it says that it has ended.
    """
    query = (
        sa.select(stays)
        .where(
            stays.c.collection_id == log.collection["id"],
            stays.c.closed == 0,
            stays.c.person_uid.is_not(None),
            *conditions,
        )
        .order_by(stays.c.arrived_at)
    )
    return list(log.execute(query).mappings())


def longer(log: Log, than: int, since: int, until: int) -> list[Row]:
    """Stays of people, ended or not, that last longer and touch a span of time; in no order."""
    query = sa.select(stays).where(
        stays.c.collection_id == log.collection["id"],
        stays.c.person_uid.is_not(None),
        stays.c.last_seen_at - stays.c.arrived_at > than,
        stays.c.last_seen_at >= since,
        stays.c.arrived_at < until,
    )
    return list(log.execute(query).mappings())


def present(log: Log) -> list[Row]:
    """Those unfinished since which the person has not come to the place again."""
    later = stays.alias()
    again = sa.select(later.c.id).where(
        later.c.collection_id == stays.c.collection_id,
        later.c.place == stays.c.place,
        later.c.person_uid == stays.c.person_uid,
        later.c.arrived_at > stays.c.last_seen_at,
        later.c.closed != DISOWNED,
    )
    return unfinished(log, ~again.exists())


def begun_by(log: Log, arrival: Row) -> Row | None:
    """The stay that an arrival, or a visitor's first event, began.

    Those of arrivals before schema 0003 are found by person and time.
    """
    own = stays.c.collection_id == log.collection["id"]
    began = stays.c.visitor_uid if arrival["visitor_uid"] else stays.c.arrival_uid
    known = sa.select(stays).where(own, began == arrival["uid"])
    found = log.execute(known).mappings().first()
    if found is not None:
        return found
    older = sa.select(stays).where(
        own,
        stays.c.arrival_uid.is_(None),
        stays.c.visitor_uid.is_(None),
        stays.c.person_uid == arrival["person_uid"],
        stays.c.place == arrival["place"],
        stays.c.arrived_at == arrival["at"],
    )
    return log.execute(older).mappings().first()


def covering(log: Log, stay: Row, person_uid: str, cooldown: int | None) -> Row | None:
    """A stay of that person at the same place that goes on at least as long as this one."""
    near = cooldown or 0
    query = (
        sa.select(stays)
        .where(
            stays.c.collection_id == log.collection["id"],
            stays.c.place == stay["place"],
            stays.c.person_uid == person_uid,
            stays.c.closed != DISOWNED,
            stays.c.id != stay["id"],
            stays.c.arrived_at - near <= stay["last_seen_at"],
            stays.c.last_seen_at >= stay["last_seen_at"],
        )
        .order_by(stays.c.last_seen_at.desc())
    )
    return log.execute(query).mappings().first()


def fold(log: Log, stay: Row, person_uid: str, cooldown: int | None) -> None:
    """A person is at one place once: other stays begun there meanwhile become part of this one.

    Of those a ``cooldown`` or more apart (None: there are none such) the earlier one has ended.
    """
    query = sa.select(stays).where(
        stays.c.collection_id == log.collection["id"],
        stays.c.place == stay["place"],
        stays.c.person_uid == person_uid,
        stays.c.closed == 0,
        stays.c.id != stay["id"],
    )
    why = "not seen until they came again"
    last_seen, ended = stay["last_seen_at"], False
    query = query.order_by(stays.c.arrived_at, stays.c.id)
    for other in log.execute(query).mappings().all():
        gap = cooldown is not None and cooldown
        if gap and other["last_seen_at"] + gap <= stay["arrived_at"]:
            leave(log, other, why, "came_again")
        elif gap and last_seen + gap <= other["arrived_at"]:
            ended = True
        else:
            change(log, other, closed=DISOWNED, folded_into=stay["id"])
            last_seen = max(last_seen, other["last_seen_at"])
    change(log, stay, last_seen_at=last_seen)
    if ended:
        now = dict(stay) | {"last_seen_at": last_seen, "person_uid": person_uid}
        leave(log, now, why, "came_again")


def unfold(log: Log, stay: Row, cooldown: int | None) -> None:
    """A stay is somebody else's now: those that had become part of it stand for themselves."""
    query = sa.select(stays).where(
        stays.c.collection_id == log.collection["id"], stays.c.folded_into == stay["id"]
    )
    for other in log.execute(query.order_by(stays.c.id)).mappings().all():
        if other["person_uid"] is None:
            continue
        change(log, other, closed=0, folded_into=None)
        leave_if_over(log, other, cooldown)


def leave_if_over(log: Log, stay: Row, cooldown: int | None) -> None:
    """End a stay that nobody saw go on for the cooldown (None: it is left as it is)."""
    if cooldown is not None and stay["last_seen_at"] + cooldown < now_us():
        why = f"not seen for {cooldown / 1e6:g} s"
        leave(log, stay, why, "not_seen")


def change(log: Log, stay: Row, **values: Any) -> None:
    """Overwrite columns of a stay."""
    log.execute(stays.update().where(stays.c.id == stay["id"]).values(**values))


def forget(log: Log, person_uid: str) -> None:
    """Erase the stays of a person."""
    log.execute(stays.delete().where(stays.c.person_uid == person_uid))


def _end(log: Log, condition: sa.ColumnElement[bool], why: str, cause: Cause) -> list[Row]:
    query = sa.select(stays).where(condition).order_by(stays.c.last_seen_at, stays.c.id)
    found = log.execute(query).mappings().all()
    made = [leave(log, stay, why, cause) for stay in found]
    return [event for event in made if event is not None]


def _unseen(log: Log, place: str, seen_before: int) -> sa.ColumnElement[bool]:
    return sa.and_(_open(log, place), stays.c.last_seen_at <= seen_before)


def _open(log: Log, place: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        stays.c.collection_id == log.collection["id"],
        stays.c.place == place,
        stays.c.closed == 0,
    )
