"""What a sighting of somebody on a list makes: an alert, a silent review, or one more sighting."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.watchlists import alert_store, store
from arcid.apps.watchlists.alert_store import Told
from arcid.apps.watchlists.records import Alert, Level
from arcid.apps.watchlists.tables import watchlists
from arcid.events import Place
from arcid.events.store import decided, traces
from arcid.events.store.log import Log
from arcid.gallery.schema import Row, people
from arcid.gallery.store.journal import to_us
from arcid.types import Embeddings, Image


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Somebody on a list, as a camera saw them."""

    list_id: str
    person_id: str
    level: Level
    place: Place
    at: datetime  # the track began
    until: datetime  # and was seen last
    mark: str  # tells the tracks of one moment apart
    grounds: Mapping[str, Any] = field(repr=False)
    vector: Embeddings = field(repr=False)  # one row
    crop: Image | None = field(default=None, repr=False)
    visible: float = field(default_factory=time.monotonic)  # since when, by that clock


def raised(connection: Connection, seen: Seen, told: Told) -> Alert | None:
    """The new alert, or None; see ``Alerts.raise_``."""
    found = _whom(connection, seen)
    if found is None:
        return None
    row, person = found
    silent = seen.level == "review"
    log = alert_store.log_of(connection, row, None if silent else told)
    terms = store.record(row).terms
    cooldown = int(terms.cooldown_s * 1e6)
    at, until = to_us(seen.at), to_us(seen.until)
    known = alert_store.recent(connection, row["id"], person["id"], seen.place.camera, at, cooldown)
    more = {} if known is None else _later(known, at, until)
    if known is not None and (known["level"] == "alert" or silent):
        alert_store.change(connection, known, **more)
        return None
    uid = uuid.uuid4().hex if known is None else known["uid"]
    event = _write(log, row, seen, uid)
    if event is None:
        return None
    latency = round(1000 * (time.monotonic() - seen.visible))
    if known is not None:
        traces.erase_of(log, [known["event_id"]])
        alert_store.change(
            connection, known, level="alert", event_id=event["id"], latency_ms=latency, **more
        )
    else:
        alert_store.add(
            connection, uid=uid, list_id=row["id"], person_id=person["id"], event_id=event["id"],
            level=seen.level, camera=seen.place.camera, four_eyes=int(terms.four_eyes), at=at,
            last_seen_at=until, latency_ms=latency,
        )  # fmt: skip
    now = alert_store.find(connection, uid)
    alert_store.note(connection, now, "alert.raise", level=seen.level, camera=seen.place.camera)
    return alert_store.records(connection, [now])[0]


def _whom(connection: Connection, seen: Seen) -> tuple[Row, Row] | None:
    """The list and the person, where it has not expired and they are on it still."""
    query = sa.select(watchlists.c.id).where(watchlists.c.uid == seen.list_id)
    key = connection.execute(query).scalar()
    if key is None:
        return None
    row = store.by_key(connection, key)
    who = sa.select(people).where(
        people.c.uid == seen.person_id, people.c.collection_id == row["collection_id"]
    )
    person = connection.execute(who).mappings().first()
    if person is None or store.record(row).expired():
        return None
    return (row, person) if store.is_member(connection, row, person) else None


def _write(log: Log, row: Row, seen: Seen, uid: str) -> Row | None:
    details = {"step": "raise", "alert_id": uid, "list_id": row["uid"], "level": seen.level}
    return decided.write(
        log,
        "alert",
        (row["uid"], seen.level, seen.place.camera, seen.person_id, to_us(seen.at), seen.mark),
        seen.place,
        seen.at,
        grounds={**seen.grounds, "details": {**details, **seen.grounds.get("details", {})}},
        person_id=seen.person_id,
        vector=seen.vector,
        crop=seen.crop,
    )


def _later(known: Row, at: int, until: int) -> dict[str, int]:
    """An alert's columns after somebody was seen from ``at`` to ``until``."""
    again = int(at > known["last_seen_at"])
    return {
        "last_seen_at": max(until, known["last_seen_at"]),
        "sightings": known["sightings"] + again,
    }
