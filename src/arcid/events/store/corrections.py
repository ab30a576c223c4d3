"""Corrections, inside the caller's transaction: rows that change how others are read, and undoing.

A correction of an arrival is followed by its stay and its departure; so is its undoing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from arcid.events.store import events as _events
from arcid.events.store import stays as _stays
from arcid.events.store.events import Evidence
from arcid.events.store.log import Log
from arcid.events.tables import events, outbox, stays
from arcid.gallery.schema import Row

FOLLOWS = "follows the arrival"


def correct(
    log: Log,
    about: Row,
    action: str,
    actor: str,
    note: str,
    *,
    person_uid: str | None = None,
    at: int | None = None,
    event_key: str | None = None,
    evidence: Evidence | None = None,
) -> Row | None:
    """A new row that changes how ``about`` is read; None where its key was written before.

    Every outbox that was told of ``about`` is told too.
    """
    told = log.execute(sa.select(outbox.c.target).where(outbox.c.event_id == about["id"]))
    return _events.add(
        replace(log, targets=sorted({*log.targets, *told.scalars()})),
        event_key or _events.key("correction", uuid.uuid4().hex),
        {
            "kind": "correction", "at": about["at"] if at is None else at,
            "camera": about["camera"], "place": about["place"], "person_uid": person_uid,
            "about_uid": about["uid"], "action": action, "actor": actor, "note": note,
        },
        evidence or Evidence("{}"),
    )  # fmt: skip


def standing(log: Log, uids: Sequence[str]) -> dict[str, list[Row]]:
    """Corrections by the event they speak of that were not undone, oldest first.

    Undoing can be undone: a correction stands unless a standing one voids it.
    """
    levels = [_events.corrections(log, uids)]
    while levels[-1]:
        rows = [row["uid"] for given in levels[-1].values() for row in given]
        levels.append(_events.corrections(log, rows))
    undone: set[str] = set()
    for level in reversed(levels):
        undone |= {
            uid
            for uid, given in level.items()
            if any(row["action"] == "void" and row["uid"] not in undone for row in given)
        }
    return {
        uid: [row for row in given if row["uid"] not in undone] for uid, given in levels[0].items()
    }


def follow(
    log: Log, arrival: Row, person_uid: str | None, people_named: Sequence[str], actor: str
) -> None:
    """Bring an arrival's stay and departure in line with whose it is now (None: nobody's).

    Undoing a correction comes here as well: the arrival is its person's again, and what had
    followed the correction is taken back by new rows. ``people_named``: everybody the arrival
    was ever said to be of, under whose names its departure may have been written.
    """
    stay = _stays.begun_by(log, arrival)
    if stay is None:
        return
    cooldown = _cooldown(arrival)
    left = _left(log, arrival, stay, people_named)
    if stay["person_uid"] != person_uid:
        _stays.unfold(log, stay, cooldown)
    visitors = stay["visitor_uid"] is not None
    whole = None
    if visitors and person_uid is not None:
        whole = _stays.covering(log, stay, person_uid, cooldown)
    if whole is not None:  # they were there all along
        _stays.change(
            log, stay, closed=_stays.DISOWNED, person_uid=person_uid,
            folded_into=whole["id"],
        )  # fmt: skip
        person_uid = None
    elif person_uid is None and visitors:
        closed = 0 if stay["closed"] == _stays.DISOWNED else stay["closed"]
        _stays.change(log, stay, closed=closed, person_uid=None, folded_into=None)
    elif person_uid is None:
        _stays.change(log, stay, closed=_stays.DISOWNED, folded_into=None)
    elif stay["closed"] == _stays.DISOWNED:
        _restore(log, arrival, stay, person_uid, left is not None)
    elif stay["closed"] == 0:
        _stays.change(log, stay, person_uid=person_uid)
        _stays.fold(log, stay, person_uid, cooldown)
    elif visitors and left is None:  # a visitor who had left unnoticed
        _stays.change(log, stay, person_uid=person_uid)
        now = dict(stay) | {"person_uid": person_uid}
        _stays.leave(log, now, "not seen any more", "not_seen")
    if left is not None:
        _align(log, arrival, left, person_uid, actor)


def came_back(log: Log, stay: Row) -> Row | None:
    """A person who was said to have left goes on being there: the departure is taken back."""
    if stay["person_uid"] is None:
        return None
    key = _stays.departure_key(log, stay, stay["person_uid"])
    query = sa.select(events).where(events.c.event_key == key)
    left = log.execute(query).mappings().first()
    if left is None:
        return None
    given = standing(log, [left["uid"]]).get(left["uid"], [])
    if any(row["action"] == "void" for row in given):
        return None
    return correct(
        log, left, "void", "system", "seen again within the cooldown",
        event_key=_events.key("supersede", left["uid"]),
    )  # fmt: skip


def _left(log: Log, arrival: Row, stay: Row, people_named: Sequence[str]) -> Row | None:
    """The departure that ended a stay."""
    names = {arrival["person_uid"], stay["person_uid"], *people_named} - {None}
    keys = [_stays.departure_key(log, stay, uid) for uid in sorted(names)]
    return log.execute(sa.select(events).where(events.c.event_key.in_(keys))).mappings().first()


def _restore(log: Log, arrival: Row, stay: Row, person_uid: str, has_left: bool) -> None:
    """A stay is somebody's again: they left, or are there still, or left unnoticed meanwhile."""
    _stays.change(log, stay, closed=1 if has_left else 0, person_uid=person_uid, folded_into=None)
    if has_left:
        return
    cooldown = _cooldown(arrival)
    _stays.fold(log, stay, person_uid, cooldown)
    again = log.execute(sa.select(stays).where(stays.c.id == stay["id"])).mappings().one()
    if again["closed"] == 0:
        _stays.leave_if_over(log, again, cooldown)


def _cooldown(arrival: Row) -> int | None:
    """Microseconds, as the camera that wrote the arrival counted."""
    seconds = json.loads(arrival["grounds"]).get("cooldown_s")
    return None if seconds is None else int(seconds * 1e6)


def _align(log: Log, arrival: Row, departure: Row, person_uid: str | None, actor: str) -> None:
    """Corrections after which a departure reads as its arrival does."""
    follows = Evidence(json.dumps({"follows": arrival["uid"]}))
    mine = [
        row
        for row in standing(log, [departure["uid"]]).get(departure["uid"], [])
        if json.loads(row["grounds"]).get("follows") == arrival["uid"]
    ]
    for row in mine:
        correct(log, row, "void", actor, FOLLOWS, evidence=follows)
    if person_uid is None:
        correct(log, departure, "void", actor, FOLLOWS, evidence=follows)
    elif person_uid != departure["person_uid"]:
        correct(log, departure, "reassign", actor, FOLLOWS, person_uid=person_uid, evidence=follows)
