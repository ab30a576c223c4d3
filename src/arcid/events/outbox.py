"""Events waiting to be told to others.

An event is put in an outbox by the transaction that writes it, so that neither is there alone.
What was told is known for ``KEPT``, so that corrections are told to those who heard of the event.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.events.records import Event
from arcid.events.store.log import Log
from arcid.events.store.readings import written
from arcid.events.tables import events, outbox
from arcid.gallery import Gallery
from arcid.gallery.schema import Row, collections
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import disclosures
from arcid.gallery.store.journal import now_us, to_us

KEPT = timedelta(days=30)


class Outbox:
    """What is due, and what became of it. Thread-safe; every change is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def subscribe(self, outboxes: Mapping[str, Collection[str] | None]) -> None:
        """From now on every event written through this gallery, of these kinds (None: of all), is
        put in these outboxes, beside those that whoever writes it names."""
        self._database.outboxes = dict(outboxes)

    def due(self, target: str, now: datetime, *, limit: int = 50) -> list[tuple[int, int, Event]]:
        """(delivery, attempts so far, event as written) to be told now, oldest first.

        One that waits for its next attempt holds back those behind it: order is kept.
        """
        found: list[tuple[int, int, Event]] = []
        with self._database.read() as connection:
            rows = connection.execute(waiting(target, limit)).mappings().all()
            for row in rows:
                if row["next_at"] > to_us(now):
                    break
                own = _collections.by_id(connection, row["collection_id"])
                event = written(Log(connection, own), [row])[0]
                found.append((row["delivery"], row["attempts"], event))
        return found

    def delivered(self, delivery: int) -> None:
        """It was told, and that is disclosed."""
        with self._database.write() as connection:
            _settle(connection, delivery, done_at=now_us(), last_error=None)
            query = (
                sa.select(outbox.c.target, events, collections.c.uid.label("collection_uid"))
                .join(events, events.c.id == outbox.c.event_id)
                .join(collections, collections.c.id == events.c.collection_id)
                .where(outbox.c.id == delivery)
            )
            for row in connection.execute(query).mappings().all():
                disclosures.note(
                    connection, "told", row["target"], _whom(row), row["kind"],
                    collection=row["collection_uid"],
                )  # fmt: skip

    def not_delivered(self, delivery: int, why: str, next_at: datetime | None) -> None:
        """It was tried: try again at ``next_at``; None gives up."""
        when: dict[str, Any] = {"failed_at": now_us()}
        if next_at is not None:
            when = {"next_at": to_us(next_at)}
        with self._database.write() as connection:
            _settle(connection, delivery, last_error=why[:200], **when)

    def put_off(self, delivery: int, why: str, until: datetime) -> None:
        """It could not be tried."""
        own = outbox.update().where(outbox.c.id == delivery)
        with self._database.write() as connection:
            connection.execute(own.values(last_error=why[:200], next_at=to_us(until)))

    def forget(self, before: datetime) -> int:
        """Delete deliveries made or given up before then; returns how many. Events stay."""
        o, moment = outbox.c, to_us(before)
        with self._database.write() as connection:
            old = sa.or_(o.done_at < moment, o.failed_at < moment)
            return connection.execute(outbox.delete().where(old)).rowcount

    def counts(self) -> dict[str, dict[str, int]]:
        """Deliveries of ``KEPT`` by target: ``waiting``, ``done``, ``failed``; of those subscribed
        too."""
        o = outbox.c
        none = {name: {"waiting": 0, "done": 0, "failed": 0} for name in self._database.outboxes}
        query = sa.select(
            o.target, sa.func.count(), sa.func.count(o.done_at), sa.func.count(o.failed_at)
        ).group_by(o.target)
        with self._database.read() as connection:
            return none | {
                target: {"waiting": total - done - failed, "done": done, "failed": failed}
                for target, total, done, failed in connection.execute(query)
            }


def forget(gallery: Gallery) -> int:
    """``Outbox.forget`` of what is older than ``KEPT``, for whoever keeps house."""
    return Outbox(gallery).forget(datetime.now(UTC) - KEPT)


def waiting(target: str, limit: int) -> sa.Select[Any]:
    """Deliveries to a target that were neither made nor given up, with their events."""
    o, e = outbox.c, events
    return (
        sa.select(o.id.label("delivery"), o.attempts, o.next_at, e)
        .join(e, e.c.id == o.event_id)
        .where(o.target == target, o.done_at.is_(None), o.failed_at.is_(None))
        .order_by(o.id)
        .limit(limit)
    )


def _whom(event: Row) -> list[str | None]:
    """Of whom receivers of an event are told; where it waits for a human, whom it may be of."""
    asked = json.loads(event["grounds"]).get("candidates") if event["kind"] == "review" else None
    return [one["person_id"] for one in asked] if asked else [event["person_uid"]]


def _settle(connection: Connection, delivery: int, **values: Any) -> None:
    values["attempts"] = outbox.c.attempts + 1
    connection.execute(outbox.update().where(outbox.c.id == delivery).values(**values))
