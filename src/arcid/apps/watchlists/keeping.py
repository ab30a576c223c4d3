"""Alerts are kept as long as their lists say, faces of those dismissed a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from arcid.apps.watchlists import alert_store, store
from arcid.apps.watchlists.tables import alerts, steps
from arcid.events.store import traces
from arcid.events.tables import traces as _traces
from arcid.gallery import Gallery
from arcid.gallery.database import Database
from arcid.gallery.store import collections as _collections
from arcid.gallery.store.journal import to_us

DISMISSED_KEPT = timedelta(days=1)  # the face of somebody who was on no list, to take it back


def erase_old(database: Database, now: datetime) -> int:
    """See ``Alerts.forget``."""
    gone = 0
    with database.read() as connection:
        every = store.every(connection, None, None)
    for row in every:
        keep = timedelta(days=store.record(row).terms.keep_days)
        own = alerts.c.list_id == row["id"]
        old = sa.and_(own, alerts.c.raised_at < to_us(now - keep))
        cold = sa.and_(
            own, alerts.c.state == "dismissed", ~_dismissed_since(to_us(now - DISMISSED_KEPT)),
            sa.exists().where(_traces.c.event_id == alerts.c.event_id),
        )  # fmt: skip
        with database.read() as connection:
            query = sa.select(alerts.c.id).where(sa.or_(old, cold)).limit(1)
            if connection.execute(query).first() is None:
                continue
        with database.write(erases=True) as connection:
            collection = _collections.by_id(connection, row["collection_id"])
            gone += alert_store.erase(connection, collection, old)
            faces = connection.execute(sa.select(alerts.c.event_id).where(cold)).scalars()
            traces.erase_of(alert_store.log_of(connection, row), list(faces))
    return gone


def _dismissed_since(moment: int) -> sa.ColumnElement[bool]:
    said = sa.exists().where(
        steps.c.alert_id == alerts.c.id, steps.c.verb == "dismiss", steps.c.undone_at.is_(None),
        steps.c.at >= moment,
    )  # fmt: skip
    return said


def forget(gallery: Gallery) -> int:
    """What is old now, for whoever keeps house."""
    return erase_old(gallery.database, datetime.now(UTC))
