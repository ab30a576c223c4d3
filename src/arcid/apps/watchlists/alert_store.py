"""Rows of alerts and their steps, inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.watchlists.records import Alert, Step
from arcid.apps.watchlists.states import state_of
from arcid.apps.watchlists.tables import alerts, steps, watchlists
from arcid.errors import AlertNotFound
from arcid.events.store import events as _events
from arcid.events.store.log import Log
from arcid.events.tables import events
from arcid.events.tables import traces as _traces
from arcid.gallery.paging import Order, Page, check_limit
from arcid.gallery.schema import Row, collections, people
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import people as _people
from arcid.gallery.store import sealed
from arcid.gallery.store.audit import actor_now, append
from arcid.gallery.store.journal import from_us, now_us
from arcid.gallery.store.keys import chunks
from arcid.vault import place

Outboxes = Mapping[str, Collection[str] | None]  # those who subscribed, and to which kinds
Told = tuple[Sequence[str], Outboxes]  # outboxes that whoever writes names, and those
ALERTS = Order("alerts", (int,))  # key
_KNOWN = (
    sa.select(
        alerts,
        watchlists.c.uid.label("list_uid"),
        watchlists.c.name.label("list_name"),
        watchlists.c.collection_id,
        collections.c.name.label("collection"),
        collections.c.uid.label("collection_uid"),
        people.c.uid.label("person_uid"),
        people.c.name.label("person_name"),
        events.c.uid.label("event_uid"),
        events.c.place,
        events.c.grounds,
        _traces.c.crop.is_not(None).label("pictured"),
    )
    .join(watchlists, watchlists.c.id == alerts.c.list_id)
    .join(collections, collections.c.id == watchlists.c.collection_id)
    .join(people, people.c.id == alerts.c.person_id)
    .join(events, events.c.id == alerts.c.event_id)
    .outerjoin(_traces, _traces.c.event_id == alerts.c.event_id)
)


def log_of(connection: Connection, row: Row, told: Told | None = None) -> Log:
    """Of a list's or an alert's collection; whoever is ``told`` hears what is written in it, and
    stored webhooks do. None: nobody does."""
    targets, outboxes = told or ((), {})
    own = _collections.by_id(connection, row["collection_id"])
    return Log(connection, own, targets, outboxes, silent=told is None)


def note(connection: Connection, row: Row, verb: str, **details: Any) -> None:
    """A row of the audit about an alert."""
    append(
        connection, verb=verb, subject=f"alert:{row['uid']}", collection=row["collection_uid"],
        details={"list": row["list_uid"], "person": row["person_uid"], **details},
    )  # fmt: skip


def find(connection: Connection, alert_id: str) -> Row:
    """Raises ``AlertNotFound``."""
    query = _KNOWN.where(alerts.c.uid == str(alert_id))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise AlertNotFound("there is no alert with that id; it may have had its time")
    return row


def page(
    connection: Connection,
    conditions: Sequence[sa.ColumnElement[bool]],
    limit: int,
    after: str | None,
) -> Page[Row]:
    """Newest first."""
    query = _KNOWN.where(*conditions)
    if after is not None:
        query = query.where(alerts.c.id < ALERTS.place("", after)[0])
    query = query.order_by(alerts.c.id.desc()).limit(check_limit(limit))
    rows: list[Row] = list(connection.execute(query).mappings())
    return ALERTS.page("", rows, limit, lambda row: (row["id"],))


def recent(
    connection: Connection, list_key: int, person_key: int, camera: str, at: int, cooldown: int
) -> Row | None:
    """The alert that a sighting goes on with, unless it was dismissed."""
    query = (
        _KNOWN.where(
            alerts.c.list_id == list_key,
            alerts.c.person_id == person_key,
            alerts.c.camera == camera,
            alerts.c.state != "dismissed",
            alerts.c.last_seen_at >= at - cooldown,
            alerts.c.at <= at + cooldown,
        )
        .order_by(alerts.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).mappings().first()


def add(connection: Connection, **values: Any) -> None:
    fresh = {"state": "new", "sightings": 1, "raised_at": now_us()}
    connection.execute(alerts.insert().values(fresh | values))


def change(connection: Connection, row: Row, **values: Any) -> None:
    connection.execute(alerts.update().where(alerts.c.id == row["id"]).values(values))


def step(
    connection: Connection, row: Row, verb: str, actor: str, note: str, correction: str | None
) -> None:
    values = {"alert_id": row["id"], "at": now_us(), "note": note}
    values["note"] = _sealed_note(connection, row["person_id"], values)
    connection.execute(
        steps.insert().values(
            **values, verb=verb, actor=actor, credential=actor_now(), correction_uid=correction
        )
    )


def seal(connection: Connection) -> int:
    """Seal the notes written before the gallery was protected; how many."""
    query = (
        sa.select(steps, alerts.c.person_id)
        .join(alerts, alerts.c.id == steps.c.alert_id)
        .where(sealed.clear_text(steps.c.note))
    )
    rows = connection.execute(query).mappings().all()
    for row in rows:
        note = _sealed_note(connection, row["person_id"], row)
        connection.execute(steps.update().where(steps.c.id == row["id"]).values(note=note))
    return len(rows)


def steps_of(connection: Connection, keys: Sequence[int]) -> dict[int, list[Row]]:
    """Steps by alert key, oldest first, their notes opened."""
    found: dict[int, list[Row]] = {}
    for part in chunks(keys):
        query = sa.select(steps).where(steps.c.alert_id.in_(part)).order_by(steps.c.id)
        for row in connection.execute(query).mappings():
            note = sealed.unseal_text(connection, row["note"], _note_place(row))
            found.setdefault(row["alert_id"], []).append(dict(row) | {"note": note})
    return found


def undo(connection: Connection, row: Row, actor: str) -> None:
    """A step stands no more."""
    values = {"undone_by": actor, "undone_at": now_us()}
    connection.execute(steps.update().where(steps.c.id == row["id"]).values(values))


def settle(connection: Connection, row: Row) -> Row:
    """Bring the state in line with the steps that stand; the row as it is now."""
    taken = steps_of(connection, [row["id"]]).get(row["id"], [])
    state, _ = state_of([step_record(one) for one in taken], bool(row["four_eyes"]))
    change(connection, row, state=state)
    return find(connection, row["uid"])


def erase(connection: Connection, collection: Row, which: sa.ColumnElement[bool]) -> int:
    """Erase alerts with the events behind them, the faces and all that was said; how many."""
    query = sa.select(events.c.uid).join(alerts, alerts.c.event_id == events.c.id).where(which)
    uids = list(connection.execute(query).scalars())
    gone, log = len(uids), Log(connection, collection)
    while uids:
        said = _events.corrections(log, uids)
        for part in chunks(uids):
            _events.delete(connection, events.c.uid.in_(part))
        uids = [row["uid"] for given in said.values() for row in given]
    return gone


def records(connection: Connection, rows: Sequence[Row]) -> list[Alert]:
    taken = steps_of(connection, [row["id"] for row in rows])
    found = []
    for row in rows:
        own = tuple(step_record(one) for one in taken.get(row["id"], ()))
        found.append(
            Alert(
                row["uid"], row["list_uid"], row["list_name"], row["collection"], row["level"],
                row["state"], row["person_uid"], row["person_name"], row["camera"], row["place"],
                from_us(row["at"]), from_us(row["last_seen_at"]), row["sightings"],
                from_us(row["raised_at"]), row["latency_ms"], bool(row["four_eyes"]),
                state_of(own, bool(row["four_eyes"]))[1], own, bool(row["pictured"]),
                row["event_uid"], json.loads(row["grounds"]),
            )
        )  # fmt: skip
    return found


def step_record(row: Row) -> Step:
    return Step(
        row["verb"], row["actor"], row["note"], from_us(row["at"]), row["undone_by"],
        row["credential"],
    )  # fmt: skip


def _sealed_note(connection: Connection, person_key: int, row: Row) -> str:
    """With the key of whom the alert is about."""
    person = _people.by_keys(connection, [person_key])[person_key]
    own = _collections.by_id(connection, person["collection_id"])
    key_id = sealed.key_of(connection, own, person)
    return sealed.seal_text(connection, key_id, row["note"], _note_place(row))


def _note_place(row: Row) -> bytes:
    return place("alert-note", row["alert_id"], row["at"])
