"""What cameras report, inside the caller's transaction: people, unknown visitors, attacks.

Whether a sighting begins a stay is decided here, where writers queue, so that a restart, a replay
or a second camera cannot begin it twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from arcid.events.records import Place
from arcid.events.review_records import Question
from arcid.events.store import corrections as _corrections
from arcid.events.store import events as _events
from arcid.events.store import reviews as _reviews
from arcid.events.store import stays as _stays
from arcid.events.store import traces as _traces
from arcid.events.store.events import Evidence
from arcid.events.store.log import Log
from arcid.events.tables import events, stays, traces
from arcid.gallery.schema import Row
from arcid.types import Embeddings


def person(
    log: Log, place: Place, person_uid: str, at: int, cooldown: int, evidence: Evidence
) -> list[Row]:
    """A person was seen: the arrival, where this begins a stay. Times in microseconds.

    Before it comes the departure of a stay nobody saw the end of; where the stay had ended and
    goes on, its departure is taken back.
    """
    stay = _stays.current(log, place, at, cooldown, person_uid)
    if stay is not None:
        back = None
        if stay["closed"] == 1 and at > stay["last_seen_at"]:
            back = _corrections.came_back(log, stay)
        _stays.extend(log, stay, at)
        return [] if back is None else [back]
    ended = _stays.end_older(log, place, person_uid, at)
    event = _events.add(
        log,
        _events.key("arrival", log.collection["uid"], place.name, person_uid, at),
        {"kind": "arrival", "at": at, "camera": place.camera, "place": place.name,
         "person_uid": person_uid},
        evidence,
    )  # fmt: skip
    arrival = None if event is None else event["uid"]
    _stays.begin(log, place, at, person_uid=person_uid, arrival_uid=arrival)
    return ended if event is None else [*ended, event]


def visitor(
    log: Log,
    place: Place,
    at: int,
    until: int,
    mark: str,
    cooldown: int,
    alike: float,
    evidence: Evidence,
    question: Question | None = None,
) -> list[Row]:
    """Somebody unknown was seen from ``at`` to ``until``: the event, unless the same face
    (cosine ``alike`` or more) was there within the cooldown. ``mark`` tells faces of one frame
    apart. With a ``question`` it is one for a human: asked unless it was asked about that face."""
    kind = "unknown" if question is None else "review"
    known = None
    if evidence.vector is not None:
        known = _same_visitor(
            log, place, at, cooldown, evidence.vector, alike,
            ("unknown", "review") if question is None else ("review",),
        )  # fmt: skip
    if known is not None:
        _stays.extend(log, known, until)
        return []
    event = _events.add(
        log,
        _events.key(kind, log.collection["uid"], place.camera, at, mark),
        {"kind": kind, "at": at, "camera": place.camera, "place": place.name},
        evidence,
    )
    if event is None:
        return []
    _stays.begin(log, place, at, visitor_uid=event["uid"], until=until)
    if question is not None:
        _reviews.ask(log, event, question)
    return [event]


def spoof(
    log: Log,
    place: Place,
    at: int,
    mark: str,
    person_uid: str | None,
    cooldown: int,
    evidence: Evidence,
) -> list[Row]:
    """A suspected attack, once per camera and person within the cooldown."""
    whose = (
        events.c.person_uid.is_(None) if person_uid is None else events.c.person_uid == person_uid
    )
    recent = sa.select(events.c.id).where(
        events.c.collection_id == log.collection["id"],
        events.c.kind == "spoof",
        events.c.camera == place.camera,
        events.c.at.between(at - cooldown, at + cooldown),
        whose,
    )
    if log.execute(recent).first() is not None:
        return []
    event = _events.add(
        log,
        _events.key("spoof", log.collection["uid"], place.camera, at, mark),
        {"kind": "spoof", "at": at, "camera": place.camera, "place": place.name,
         "person_uid": person_uid},
        evidence,
    )  # fmt: skip
    return [] if event is None else [event]


def _same_visitor(
    log: Log,
    place: Place,
    at: int,
    cooldown: int,
    vector: Embeddings,
    alike: float,
    kinds: Sequence[str],
) -> Row | None:
    """The stay of the most similar visitor within the cooldown whose event is of these kinds."""
    query = (
        sa.select(stays, traces.c.event_id, traces.c.vector, traces.c.contract, traces.c.dim,
                  traces.c.crop, traces.c.key_id, traces.c.seal)
        .join(events, events.c.uid == stays.c.visitor_uid)
        .join(traces, traces.c.event_id == events.c.id)
        .where(
            _stays.about(log, place, at, cooldown),
            traces.c.contract == vector.contract_id,
            events.c.kind.in_(kinds),
        )
        .order_by(stays.c.id)
    )  # fmt: skip
    best: tuple[float, Row] | None = None
    for row in log.execute(query).mappings():
        stored = _traces.read_vector(log, row)
        cosine = float(stored @ vector.vectors[0])
        if cosine >= alike and (best is None or cosine > best[0]):
            best = (cosine, row)
    return None if best is None else best[1]
