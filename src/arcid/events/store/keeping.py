"""Faces that are older than a collection keeps them, inside an open transaction.

Faces of alerts are kept as their watchlist says, and are left out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import sqlalchemy as sa

from arcid.events.store.log import Log
from arcid.events.store.readings import corrected
from arcid.events.tables import blocks, events, stays, traces
from arcid.gallery.schema import Row, people

PAGE = 200  # events read at a time
Whose = Literal["strangers", "event_faces"]
_about = events.alias()


def old(
    log: Log, whose: Whose, before: int, *, after: int = 0, among: Sequence[int] | None = None
) -> tuple[list[int], int | None]:
    """Keys of events recorded before then whose face is kept, and after which key to go on; None:
    these were all.

    ``strangers``: events that are nobody's, as they read now. A question that nobody answered yet
    is not known to be a stranger's. ``event_faces``: all. ``among``: of these keys alone.
    """
    e = events.c
    query = (
        sa.select(events)
        .join(traces, traces.c.event_id == e.id)
        .where(
            e.collection_id == log.collection["id"],
            e.recorded_at < before,
            e.kind != "alert",
            e.id > after,
        )
        .order_by(e.id)
        .limit(PAGE)
    )
    if among is not None:
        query = query.where(e.id.in_(among))
    if whose == "strangers":
        said = sa.exists().where(_about.c.about_uid == e.uid)
        query = query.where(sa.or_(e.person_uid.is_(None), said))
    rows: list[Row] = list(log.execute(query).mappings())
    last = rows[-1]["id"] if len(rows) == PAGE else None
    if whose == "event_faces":
        return [row["id"] for row in rows], last
    read = zip(rows, corrected(log, rows), strict=True)
    return [
        row["id"] for row, event in read if event.person_id is None and event.kind != "review"
    ], last


def refused(log: Log, before: int) -> sa.ColumnElement[bool]:
    """Rows of ``blocks`` that are older: faces that were said not to be somebody."""
    own = sa.select(people.c.id).where(people.c.collection_id == log.collection["id"])
    return sa.and_(blocks.c.person_id.in_(own), blocks.c.created_at < before)


def seen_since(log: Log, since: int) -> list[sa.Select[tuple[str]]]:
    """Queries of ids of people who were seen, came or went, since then."""

    own = log.collection["id"]
    return [
        sa.select(events.c.person_uid).where(
            events.c.collection_id == own, events.c.at >= since, events.c.person_uid.is_not(None)
        ),
        sa.select(stays.c.person_uid).where(
            stays.c.collection_id == own, stays.c.last_seen_at >= since,
            stays.c.person_uid.is_not(None),
        ),
    ]  # fmt: skip
