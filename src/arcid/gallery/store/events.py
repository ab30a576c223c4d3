"""Events, visits and traces: what attendance reads and writes, inside the caller's transaction.

A visit is a stretch of time in which one person (or one unknown visitor) is seen at one place with
no gap as long as the cooldown. Whether a sighting begins a visit is decided here, where writers
queue, so that a restart, a replay or a second camera cannot begin it twice.
"""

from __future__ import annotations

import hashlib
import json
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import EventNotFound
from arcid.gallery.schema import Row, blocks, events, outbox, people, traces, visits
from arcid.gallery.seals import check_row, damaged, pack, row_seal
from arcid.gallery.store.journal import now_us
from arcid.types import Embeddings, FloatArray

PAGE = 500
FOLLOWS = "follows the arrival"
DISOWNED = 2  # visits.closed: still covers its time, so nothing new begins, and never departs


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was seen, and by which camera."""

    name: str
    camera: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a sighting leaves behind besides its event."""

    grounds: str  # JSON
    vector: Embeddings | None = None  # one row
    crop: bytes | None = None  # PNG


def key(*parts: object) -> str:
    """What makes two reports of one happening the same: a sha256 over the parts."""
    return hashlib.sha256(json.dumps([str(p) for p in parts]).encode()).hexdigest()


def find(connection: Connection, collection: Row, event_id: str) -> Row:
    """Raises ``EventNotFound``."""
    query = sa.select(events).where(
        events.c.collection_id == collection["id"], events.c.uid == str(event_id)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        raise EventNotFound(f"collection {collection['name']!r} has no event with that id")
    check_row("events", row)
    return row


def add(
    connection: Connection,
    collection: Row,
    event_key: str,
    values: dict[str, Any],
    evidence: Evidence,
    targets: Sequence[str],
) -> Row | None:
    """The new row, or None where the key was written before."""
    known = sa.select(events.c.id).where(events.c.event_key == event_key)
    if connection.execute(known).first() is not None:
        return None
    row = {
        "uid": uuid.uuid4().hex,
        "event_key": event_key,
        "collection_id": collection["id"],
        "recorded_at": now_us(),
        "person_uid": None,
        "visitor_uid": None,
        "about_uid": None,
        "action": None,
        "actor": None,
        "note": None,
        "grounds": evidence.grounds,
    } | values
    if row["kind"] == "unknown" and row["visitor_uid"] is None:
        row["visitor_uid"] = row["uid"]
    row["seal"] = row_seal("events", row)
    made = connection.execute(events.insert().values(row)).inserted_primary_key
    row["id"] = None if made is None else made[0]
    _leave_trace(connection, row["id"], evidence)
    if targets:
        due = {"event_id": row["id"], "attempts": 0, "next_at": row["recorded_at"]}
        connection.execute(outbox.insert(), [due | {"target": name} for name in targets])
    return row


def sighting(
    connection: Connection,
    collection: Row,
    place: Place,
    person_uid: str,
    at: int,
    cooldown: int,
    evidence: Evidence,
    targets: Sequence[str],
) -> list[Row]:
    """A person was seen: the arrival, where this begins a visit. Times in microseconds."""
    if _extend(connection, _visit(connection, collection, place, at, cooldown, person_uid), at):
        return []
    event = add(
        connection,
        collection,
        key("arrival", collection["uid"], place.name, person_uid, at),
        {"kind": "arrival", "at": at, "camera": place.camera, "place": place.name,
         "person_uid": person_uid},
        evidence,
        targets,
    )  # fmt: skip
    arrival = None if event is None else event["uid"]
    _begin(connection, collection, place, at, person_uid=person_uid, arrival_uid=arrival)
    return [] if event is None else [event]


def visitor(
    connection: Connection,
    collection: Row,
    place: Place,
    at: int,
    until: int,
    mark: str,
    cooldown: int,
    alike: float,
    evidence: Evidence,
    targets: Sequence[str],
) -> list[Row]:
    """Somebody unknown was seen from ``at`` to ``until``: the event, unless the same face
    (cosine ``alike`` or more) was there within the cooldown. ``mark`` tells faces of one frame
    apart."""
    known = None
    if evidence.vector is not None:
        known = _same_visitor(connection, collection, place, at, cooldown, evidence.vector, alike)
    if known is not None:
        _extend(connection, known, until)
        return []
    event = add(
        connection,
        collection,
        key("unknown", collection["uid"], place.camera, at, mark),
        {"kind": "unknown", "at": at, "camera": place.camera, "place": place.name},
        evidence,
        targets,
    )
    if event is None:
        return []
    _begin(connection, collection, place, at, visitor_uid=event["uid"], until=until)
    return [event]


def spoof(
    connection: Connection,
    collection: Row,
    place: Place,
    at: int,
    mark: str,
    person_uid: str | None,
    cooldown: int,
    evidence: Evidence,
    targets: Sequence[str],
) -> list[Row]:
    """A suspected attack, once per camera and person within the cooldown."""
    whose = (
        events.c.person_uid.is_(None) if person_uid is None else events.c.person_uid == person_uid
    )
    recent = sa.select(events.c.id).where(
        events.c.collection_id == collection["id"],
        events.c.kind == "spoof",
        events.c.camera == place.camera,
        events.c.at.between(at - cooldown, at + cooldown),
        whose,
    )
    if connection.execute(recent).first() is not None:
        return []
    event = add(
        connection,
        collection,
        key("spoof", collection["uid"], place.camera, at, mark),
        {"kind": "spoof", "at": at, "camera": place.camera, "place": place.name,
         "person_uid": person_uid},
        evidence,
        targets,
    )  # fmt: skip
    return [] if event is None else [event]


def depart(
    connection: Connection,
    collection: Row,
    place: str,
    seen_before: int,
    why: str,
    targets: Sequence[str],
    since: int | None = None,
) -> list[Row]:
    """End the visits of a place last seen before then; ``since``: only those begun from there on.

    One departure each, dated when the person was last seen; unknown visitors leave silently.
    """
    query = sa.select(visits).where(
        visits.c.collection_id == collection["id"],
        visits.c.place == place,
        visits.c.closed == 0,
        visits.c.last_seen_at <= seen_before,
    )
    if since is not None:
        query = query.where(visits.c.arrived_at >= since)
    found = connection.execute(query.order_by(visits.c.last_seen_at, visits.c.id)).mappings().all()
    made = [_leave(connection, collection, visit, why, targets) for visit in found]
    return [event for event in made if event is not None]


def _leave(
    connection: Connection, collection: Row, visit: Row, why: str, targets: Sequence[str]
) -> Row | None:
    """End a visit: the departure, where it is a person's and was not written before."""
    _set_visit(connection, visit, closed=1)
    if visit["person_uid"] is None:
        return None
    grounds = {
        "reason": why,
        "visit": {
            "arrived_at_us": visit["arrived_at"],
            "last_seen_at_us": visit["last_seen_at"],
        },
    }
    left, place = visit["last_seen_at"], visit["place"]
    return add(
        connection,
        collection,
        key("departure", collection["uid"], place, visit["person_uid"], left),
        {"kind": "departure", "at": left, "camera": visit["camera"], "place": place,
         "person_uid": visit["person_uid"]},
        Evidence(json.dumps(grounds)),
        targets,
    )  # fmt: skip


def shift(connection: Connection, collection: Row, camera: str, by: int) -> None:
    """A camera's clock was set back: so are the visits it has open."""
    own = sa.and_(
        visits.c.collection_id == collection["id"],
        visits.c.camera == camera,
        visits.c.closed == 0,
    )
    moved = {
        "arrived_at": visits.c.arrived_at + by,
        "last_seen_at": visits.c.last_seen_at + by,
    }
    connection.execute(visits.update().where(own).values(moved))


def present(connection: Connection, collection: Row) -> list[Row]:
    """Open visits of people, longest ago first."""
    query = (
        sa.select(visits)
        .where(
            visits.c.collection_id == collection["id"],
            visits.c.closed == 0,
            visits.c.person_uid.is_not(None),
        )
        .order_by(visits.c.arrived_at)
    )
    return list(connection.execute(query).mappings())


def correct(
    connection: Connection,
    collection: Row,
    about: Row,
    action: str,
    actor: str,
    note: str,
    targets: Sequence[str],
    *,
    person_uid: str | None = None,
    at: int | None = None,
    event_key: str | None = None,
    evidence: Evidence | None = None,
) -> Row | None:
    """A new row that changes how ``about`` is read; None where its key was written before."""
    return add(
        connection,
        collection,
        event_key or key("correction", uuid.uuid4().hex),
        {
            "kind": "correction", "at": about["at"] if at is None else at,
            "camera": about["camera"], "place": about["place"], "person_uid": person_uid,
            "about_uid": about["uid"], "action": action, "actor": actor, "note": note,
        },
        evidence or Evidence("{}"),
        targets,
    )  # fmt: skip


def follow(
    connection: Connection,
    collection: Row,
    arrival: Row,
    person_uid: str | None,
    people_named: Sequence[str],
    actor: str,
    targets: Sequence[str],
) -> None:
    """Bring an arrival's visit and departure in line with whose it is now (None: nobody's).

    Undoing a correction comes here as well: the arrival is its person's again, and what had
    followed the correction is taken back by new rows. ``people_named``: everybody the arrival
    was ever said to be of, under whose names its departure may have been written.
    """
    visit = _begun_by(connection, collection, arrival)
    if visit is None:
        return
    left = _left(connection, collection, arrival, visit, people_named)
    if person_uid is None:
        _set_visit(connection, visit, closed=DISOWNED)
    elif visit["closed"] == DISOWNED:
        _restore(connection, collection, arrival, visit, person_uid, left is not None, targets)
    elif visit["closed"] == 0:
        _set_visit(connection, visit, person_uid=person_uid)
        _fold(connection, collection, visit, person_uid)
    if left is not None:
        _align(connection, collection, arrival, left, person_uid, actor, targets)


def standing(connection: Connection, uids: Sequence[str]) -> dict[str, list[Row]]:
    """Corrections by the event they speak of that were not undone, oldest first.

    Undoing can be undone: a correction stands unless a standing one voids it.
    """
    levels = [corrections(connection, uids)]
    while levels[-1]:
        rows = [row["uid"] for given in levels[-1].values() for row in given]
        levels.append(corrections(connection, rows))
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


def _begun_by(connection: Connection, collection: Row, arrival: Row) -> Row | None:
    """The visit that an arrival began; those of before schema 0003 are found by person and time."""
    own = visits.c.collection_id == collection["id"]
    known = sa.select(visits).where(own, visits.c.arrival_uid == arrival["uid"])
    found = connection.execute(known).mappings().first()
    if found is not None:
        return found
    began = sa.select(visits).where(
        own,
        visits.c.arrival_uid.is_(None),
        visits.c.person_uid == arrival["person_uid"],
        visits.c.place == arrival["place"],
        visits.c.arrived_at == arrival["at"],
    )
    return connection.execute(began).mappings().first()


def _left(
    connection: Connection,
    collection: Row,
    arrival: Row,
    visit: Row,
    people_named: Sequence[str],
) -> Row | None:
    """The departure that ended a visit."""
    names = {arrival["person_uid"], visit["person_uid"], *people_named} - {None}
    keys = [
        key("departure", collection["uid"], visit["place"], uid, visit["last_seen_at"])
        for uid in sorted(names)
    ]
    return (
        connection.execute(sa.select(events).where(events.c.event_key.in_(keys))).mappings().first()
    )


def _restore(
    connection: Connection,
    collection: Row,
    arrival: Row,
    visit: Row,
    person_uid: str,
    has_left: bool,
    targets: Sequence[str],
) -> None:
    """A visit is somebody's again: they left, or are there still, or left unnoticed meanwhile."""
    _set_visit(connection, visit, closed=1 if has_left else 0, person_uid=person_uid)
    if has_left:
        return
    _fold(connection, collection, visit, person_uid)
    again = connection.execute(sa.select(visits).where(visits.c.id == visit["id"])).mappings().one()
    cooldown_s = json.loads(arrival["grounds"]).get("cooldown_s")
    if cooldown_s is not None and again["last_seen_at"] + int(cooldown_s * 1e6) < now_us():
        _leave(connection, collection, again, f"not seen for {cooldown_s:g} s", targets)


def _fold(connection: Connection, collection: Row, visit: Row, person_uid: str) -> None:
    """A person is at one place once: other visits begun there meanwhile become part of this one."""
    query = sa.select(visits).where(
        visits.c.collection_id == collection["id"],
        visits.c.place == visit["place"],
        visits.c.person_uid == person_uid,
        visits.c.closed == 0,
        visits.c.id != visit["id"],
    )
    last_seen = visit["last_seen_at"]
    for other in connection.execute(query).mappings().all():
        _set_visit(connection, other, closed=DISOWNED)
        last_seen = max(last_seen, other["last_seen_at"])
    _set_visit(connection, visit, last_seen_at=last_seen)


def _align(
    connection: Connection,
    collection: Row,
    arrival: Row,
    departure: Row,
    person_uid: str | None,
    actor: str,
    targets: Sequence[str],
) -> None:
    """Corrections after which a departure reads as its arrival does."""
    follows = Evidence(json.dumps({"follows": arrival["uid"]}))
    mine = [
        row
        for row in standing(connection, [departure["uid"]]).get(departure["uid"], [])
        if json.loads(row["grounds"]).get("follows") == arrival["uid"]
    ]
    for row in mine:
        correct(
            connection, collection, row, "void", actor, FOLLOWS, targets, evidence=follows
        )  # fmt: skip
    if person_uid is None:
        correct(
            connection, collection, departure, "void", actor, FOLLOWS, targets, evidence=follows
        )  # fmt: skip
    elif person_uid != departure["person_uid"]:
        correct(
            connection, collection, departure, "reassign", actor, FOLLOWS, targets,
            person_uid=person_uid, evidence=follows,
        )  # fmt: skip


def _set_visit(connection: Connection, visit: Row, **values: Any) -> None:
    connection.execute(visits.update().where(visits.c.id == visit["id"]).values(**values))


def block(connection: Connection, person: Row, about: Row, actor: str) -> bool:
    """Keep the face behind an event from being taken for a person; False if it is gone."""
    query = sa.select(traces).where(traces.c.event_id == about["id"])
    trace = connection.execute(query).mappings().first()
    if trace is None:
        return False
    if connection.execute(sa.select(blocks.c.id).where(blocks.c.event_uid == about["uid"])).first():
        return True
    _read_vector(trace)
    values = {
        "person_id": person["id"],
        "event_uid": about["uid"],
        "contract": trace["contract"],
        "dim": trace["dim"],
        "vector": trace["vector"],
        "actor": actor,
        "created_at": now_us(),
        "seal": _seal(trace["contract"], trace["vector"], None),
    }
    connection.execute(blocks.insert().values(values))
    return True


def unblock(connection: Connection, about: Row) -> None:
    """The face behind an event may be taken for that person again."""
    connection.execute(blocks.delete().where(blocks.c.event_uid == about["uid"]))


def blocked(
    connection: Connection, collection: Row, contract_id: str
) -> list[tuple[str, FloatArray]]:
    """(person uid, (D,) vector) of every blocked pair."""
    query = (
        sa.select(blocks.c.contract, blocks.c.vector, blocks.c.dim, blocks.c.seal, people.c.uid)
        .join(people, people.c.id == blocks.c.person_id)
        .where(people.c.collection_id == collection["id"], blocks.c.contract == contract_id)
        .order_by(blocks.c.id)
    )
    rows = connection.execute(query).mappings()
    return [(row["uid"], _read_vector(row, crop=False)) for row in rows]


def page(
    connection: Connection,
    collection: Row,
    since: int | None,
    until: int | None,
    after: Row | None,
    limit: int = PAGE,
) -> list[Row]:
    """Base events (no corrections) in a span of time, newest first."""
    query = sa.select(events).where(
        events.c.collection_id == collection["id"], events.c.kind != "correction"
    )
    if since is not None:
        query = query.where(events.c.at >= since)
    if until is not None:
        query = query.where(events.c.at < until)
    if after is not None:
        older = sa.tuple_(events.c.at, events.c.id) < sa.tuple_(after["at"], after["id"])
        query = query.where(older)
    query = query.order_by(events.c.at.desc(), events.c.id.desc()).limit(limit)
    return _checked(connection, query)


def retimed(
    connection: Connection, collection: Row, since: int | None, until: int | None
) -> list[Row]:
    """Base events that a correction may have moved into a span of time from outside it."""
    moves = sa.select(events.c.about_uid).where(
        events.c.collection_id == collection["id"], events.c.action == "retime"
    )
    outside = []
    if since is not None:
        moves = moves.where(events.c.at >= since)
        outside.append(events.c.at < since)
    if until is not None:
        moves = moves.where(events.c.at < until)
        outside.append(events.c.at >= until)
    if not outside:
        return []
    return _checked(connection, sa.select(events).where(events.c.uid.in_(moves), sa.or_(*outside)))


def corrections(connection: Connection, uids: Sequence[str]) -> dict[str, list[Row]]:
    """Corrections by the event they speak of, oldest first."""
    found: dict[str, list[Row]] = {}
    for start in range(0, len(uids), PAGE):
        part = uids[start : start + PAGE]
        query = sa.select(events).where(events.c.about_uid.in_(part)).order_by(events.c.id)
        for row in _checked(connection, query):
            found.setdefault(row["about_uid"], []).append(row)
    return found


def trace(
    connection: Connection, rows: Sequence[Row]
) -> dict[int, tuple[str, FloatArray, bytes | None]]:
    """Event key → (contract, (D,) vector, PNG or None), of those that still have one."""
    found = {}
    keys = [row["id"] for row in rows]
    for start in range(0, len(keys), PAGE):
        query = sa.select(traces).where(traces.c.event_id.in_(keys[start : start + PAGE]))
        for row in connection.execute(query).mappings():
            found[row["event_id"]] = (row["contract"], _read_vector(row), row["crop"])
    return found


def forget_traces(connection: Connection, condition: sa.ColumnElement[bool]) -> int:
    """Erase the faces behind the events that meet a condition."""
    chosen = sa.select(events.c.id).where(condition)
    return connection.execute(traces.delete().where(traces.c.event_id.in_(chosen))).rowcount


def forget_person(connection: Connection, person: Row) -> None:
    """Before a person is erased: the faces behind their events and their visits go as well."""
    forget_traces(connection, events.c.person_uid == person["uid"])
    connection.execute(visits.delete().where(visits.c.person_uid == person["uid"]))


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> None:
    """Before two people are merged: events become the kept one's by corrections."""
    own = sa.select(events).where(
        events.c.collection_id == collection["id"],
        events.c.person_uid == other["uid"],
        events.c.kind != "correction",
    )
    for row in connection.execute(own).mappings().all():
        correct(
            connection, collection, row, "reassign", "merge", "two people were merged", (),
            person_uid=keep["uid"], event_key=key("merge", row["uid"], keep["uid"]),
        )  # fmt: skip
    connection.execute(
        visits.update().where(visits.c.person_uid == other["uid"]).values(person_uid=keep["uid"])
    )
    connection.execute(
        blocks.update().where(blocks.c.person_id == other["id"]).values(person_id=keep["id"])
    )


def _visit(
    connection: Connection, collection: Row, place: Place, at: int, cooldown: int, person_uid: str
) -> Row | None:
    query = (
        sa.select(visits)
        .where(
            visits.c.collection_id == collection["id"],
            visits.c.person_uid == person_uid,
            visits.c.place == place.name,
            visits.c.arrived_at - cooldown <= at,
            visits.c.last_seen_at + cooldown > at,
        )
        .order_by(visits.c.last_seen_at.desc())
    )
    return connection.execute(query).mappings().first()


def _same_visitor(
    connection: Connection,
    collection: Row,
    place: Place,
    at: int,
    cooldown: int,
    vector: Embeddings,
    alike: float,
) -> Row | None:
    """The visit of the most similar unknown face within the cooldown."""
    query = (
        sa.select(visits, traces.c.vector, traces.c.contract, traces.c.dim, traces.c.crop,
                  traces.c.seal.label("trace_seal"))
        .join(events, events.c.uid == visits.c.visitor_uid)
        .join(traces, traces.c.event_id == events.c.id)
        .where(
            visits.c.collection_id == collection["id"],
            visits.c.place == place.name,
            visits.c.arrived_at - cooldown <= at,
            visits.c.last_seen_at + cooldown > at,
            traces.c.contract == vector.contract_id,
        )
        .order_by(visits.c.id)
    )  # fmt: skip
    best: tuple[float, Row] | None = None
    for row in connection.execute(query).mappings():
        stored = _read_vector(dict(row) | {"seal": row["trace_seal"]})
        cosine = float(stored @ vector.vectors[0])
        if cosine >= alike and (best is None or cosine > best[0]):
            best = (cosine, row)
    return None if best is None else best[1]


def _extend(connection: Connection, visit: Row | None, at: int) -> bool:
    if visit is None:
        return False
    if at > visit["last_seen_at"]:
        closed = DISOWNED if visit["closed"] == DISOWNED else 0
        connection.execute(
            visits.update().where(visits.c.id == visit["id"]).values(last_seen_at=at, closed=closed)
        )
    return True


def _begin(
    connection: Connection, collection: Row, place: Place, at: int, *,
    person_uid: str | None = None, visitor_uid: str | None = None, until: int | None = None,
    arrival_uid: str | None = None,
) -> None:  # fmt: skip
    values = {
        "collection_id": collection["id"],
        "place": place.name,
        "camera": place.camera,
        "person_uid": person_uid,
        "visitor_uid": visitor_uid,
        "arrival_uid": arrival_uid,
        "arrived_at": at,
        "last_seen_at": at if until is None else max(at, until),
        "closed": 0,
    }
    connection.execute(visits.insert().values(values))


def _leave_trace(connection: Connection, event_key: int, evidence: Evidence) -> None:
    if evidence.vector is None:
        return
    data = pack(evidence.vector.vectors[0])
    contract = evidence.vector.contract_id
    values = {
        "event_id": event_key,
        "contract": contract,
        "dim": evidence.vector.dim,
        "vector": data,
        "crop": evidence.crop,
        "seal": _seal(contract, data, evidence.crop),
    }
    connection.execute(traces.insert().values(values))


def _read_vector(row: Any, *, crop: bool = True) -> FloatArray:
    data = row["vector"]
    picture = row["crop"] if crop else None
    if len(data) != row["dim"] * 4 or _seal(row["contract"], data, picture) != row["seal"]:
        raise damaged("the face behind an event")
    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)


def _seal(contract: str, vector: bytes, crop: bytes | None) -> int:
    return zlib.crc32(crop or b"", zlib.crc32(vector, zlib.crc32(contract.encode())))


def _checked(connection: Connection, query: sa.Select[Any]) -> list[Row]:
    rows: list[Row] = list(connection.execute(query).mappings())
    for row in rows:
        check_row("events", row)
    return rows
