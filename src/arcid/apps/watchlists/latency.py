"""How long alerts take: from a face being visible to its alert being stored, and to being told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from arcid.apps.watchlists.tables import alerts
from arcid.events.tables import events, outbox
from arcid.gallery import Gallery

NEWEST = 1000  # alerts that count


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the slow end of some times; None where there are none."""

    count: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the newest alerts, silent reviews left out."""

    stored: Spread  # face visible → alert written
    delivered: Spread  # face visible → taken by a receiver, each receiver counted

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def latency(gallery: Gallery) -> Latency:
    """Over the newest ``NEWEST`` alerts of a gallery, of all lists and cameras."""
    newest = sa.select(alerts).where(alerts.c.level == "alert")
    own = newest.order_by(alerts.c.id.desc()).limit(NEWEST).subquery()
    told = (
        sa.select(own.c.latency_ms, events.c.recorded_at, outbox.c.done_at)
        .join(events, events.c.id == own.c.event_id)
        .join(outbox, outbox.c.event_id == own.c.event_id)
        .where(outbox.c.done_at.is_not(None))
    )
    with gallery.database.read() as connection:
        stored = connection.execute(sa.select(own.c.latency_ms)).scalars().all()
        rows = connection.execute(told).all()
    delivered = [row.latency_ms + (row.done_at - row.recorded_at) / 1000 for row in rows]
    return Latency(_spread(stored), _spread(delivered))


def _spread(times_ms: Sequence[float]) -> Spread:
    if not times_ms:
        return Spread(0, None, None)
    p50, p95 = np.percentile(times_ms, (50, 95))
    return Spread(len(times_ms), round(float(p50), 1), round(float(p95), 1))
