"""Commits of a SQLite gallery are numbered and compared with the mark beside it (``mark``).

A commit's number is given under the write lock, where every number that was acknowledged before
must be in the database already. One that is not was lost: that is written down, by the very commit
that noticed, and numbers go on above the lost ones.
"""

from __future__ import annotations

import logging
import secrets
import time

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.mark import Mark, Point
from arcid.gallery.schema import gallery, losses

log = logging.getLogger(__name__)


def head(connection: Connection) -> Point:
    """The last commit of the database."""
    query = sa.select(gallery.c.identity, gallery.c.writes, gallery.c.write_stamp)
    return Point(*connection.execute(query).one())


def is_lost(here: Point, acknowledged: Point | None) -> bool:
    """Whether the mark knows of a commit that a database which ends ``here`` lacks."""
    if acknowledged is None:
        return False
    if acknowledged.identity != here.identity or acknowledged.write > here.write:
        return True
    return acknowledged.write == here.write and acknowledged.stamp != here.stamp


class Commit:
    """The number of the commit under way; made once the write lock is held."""

    def __init__(self, connection: Connection, mark: Mark) -> None:
        here, known = head(connection), mark.acknowledged()
        self._connection = connection
        self._before = _changes(connection)
        self.found_loss = is_lost(here, known)
        last = here.write
        if self.found_loss and known is not None:
            _note(connection, known, here)
            if known.identity == here.identity:
                last = max(last, known.write)
        self.point = Point(here.identity, last + 1, secrets.randbits(62))

    def finish(self, *, erases: bool) -> bool:
        """Number the commit; False where nothing was changed, so that nothing is committed."""
        if _changes(self._connection) == self._before:
            return False
        values = {"writes": self.point.write, "write_stamp": self.point.stamp}
        if erases:
            values["erased"] = self.point.write
        self._connection.execute(gallery.update().values(values))
        return True


def erased(connection: Connection) -> int:
    """The last commit that erased anything."""
    return int(connection.execute(sa.select(gallery.c.erased)).scalar_one())


def findings(connection: Connection) -> list[str]:
    """What was lost and not accepted yet, in words; oldest first."""
    query = sa.select(losses).where(losses.c.accepted_at.is_(None)).order_by(losses.c.id)
    return [_words(row) for row in connection.execute(query).mappings()]


def accept(connection: Connection) -> int:
    """The losses are known and dealt with; returns how many there were."""
    open_ones = losses.update().where(losses.c.accepted_at.is_(None))
    return connection.execute(open_ones.values(accepted_at=time.time_ns() // 1000)).rowcount


def _note(connection: Connection, known: Point, here: Point) -> None:
    same = known.identity == here.identity
    row = {
        "found_at": time.time_ns() // 1000,
        "acknowledged": known.write,
        "found": here.write if same else -1,
        "accepted_at": None,
    }
    connection.execute(losses.insert().values(row))
    log.error("acknowledged writes are gone", extra={"acknowledged": known.write,
                                                     "found": row["found"]})  # fmt: skip


def _words(row: sa.RowMapping) -> str:
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(row["found_at"] / 1e6))
    if row["found"] < 0:
        what = (
            f"the file was another gallery when it was opened at {day}: the one that was here had "
            f"acknowledged {row['acknowledged']} writes, and none of them is in it"
        )
    elif row["found"] == row["acknowledged"]:
        what = f"at {day} another write was in the place of acknowledged {row['acknowledged']}"
    else:
        gone = row["acknowledged"] - row["found"]
        what = (
            f"{gone} acknowledged {'write is' if gone == 1 else 'writes are'} gone: acknowledged "
            f"up to write {row['acknowledged']}, found up to write {row['found']} at {day}"
        )
    return (
        f"{what}. The -wal file was damaged or removed, or an older copy was put here. Restore the "
        "newest backup, or do again what is missing; then `arcid gallery check --accept-loss`"
    )


def _changes(connection: Connection) -> int:
    driver = connection.connection.driver_connection
    return int(driver.total_changes) if driver is not None else 0
