"""Items of jobs when people are merged, renamed or deleted: a ``Room`` of the gallery.

Items name people. Of somebody who is deleted no refused photo stays named, and what still waits of
theirs is not enrolled any more.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.jobs.tables import items, jobs
from arcid.gallery import rules
from arcid.gallery.rooms import Told
from arcid.gallery.schema import Row


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> None:
    """Before two people are merged: what is named after ``other`` is named after ``keep``."""
    renamed(connection, collection, other, keep["name"])


def renamed(connection: Connection, collection: Row, person: Row, name: str) -> None:
    """What is named after them has their new name, so that it goes with them as ever."""
    values = {"person": name, "person_key": rules.name_key(name)}
    connection.execute(items.update().where(_of(collection, person)).values(values))


def erase(connection: Connection, collection: Row, person: Row, *, merged: bool) -> dict[str, int]:
    """Before a person is deleted: no item names them."""
    if merged:
        return {}
    mine = _of(collection, person)
    waiting = sa.select(items.c.job_id, sa.func.count()).where(mine, items.c.code.is_(None))
    for job, count in connection.execute(waiting.group_by(items.c.job_id)).all():
        counts = {"total": jobs.c.total - count}
        connection.execute(jobs.update().where(jobs.c.id == job).values(counts))
    return {"job_items": connection.execute(items.delete().where(mine)).rowcount}


def tell(connection: Connection, collection: Row, person: Row, told: Told) -> None:
    """Photos of theirs that wait or were refused."""
    rows = connection.execute(sa.select(items).where(_of(collection, person))).mappings()
    told.records["job_items"] = [_told(row) for row in rows]


def _told(row: Row) -> dict[str, Any]:
    return {"item": row["label"], "code": row["code"], "message": row["message"]}


def _of(collection: Row, person: Row) -> sa.ColumnElement[bool]:
    own = sa.select(jobs.c.id).where(jobs.c.collection_id == collection["id"])
    return sa.and_(items.c.job_id.in_(own), items.c.person_key == person["name_key"])
