"""What one process at a time does for a whole gallery: a lease in SQL, moved along while held.

    duty = Duty(gallery, "telling:hr")
    while duty.mine():            False while another process has it
        ...
    duty.release()

A process that dies keeps others out for ``LASTS_S``; one that was held up for longer finds that it
is not theirs any more. Times are the database server's on PostgreSQL.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from datetime import datetime

import sqlalchemy as sa

from arcid.errors import ArcidError
from arcid.events.store.log import clock_us
from arcid.gallery import Gallery
from arcid.gallery.schema import duties
from arcid.gallery.store.journal import from_us

log = logging.getLogger(__name__)
LASTS_S = 30.0


class Duty:
    """Asked for and given back by one thread at a time."""

    def __init__(self, gallery: Gallery, name: str, *, lasts_s: float = LASTS_S) -> None:
        self.name = name
        self._database = gallery.database
        self._lasts_s = lasts_s
        self._owner = uuid.uuid4().hex
        self._asked = float("-inf")
        self._mine = False

    def mine(self) -> bool:
        """Take it where it is free, and go on holding it: asks the database thrice a lease."""
        if time.monotonic() - self._asked >= self._lasts_s / 3:
            asked = time.monotonic()
            self._mine = self._take()
            self._asked = asked
        return self._mine

    def release(self) -> None:
        """Let others in; nothing where it is not ours."""
        if not self._mine:
            return
        self._mine, self._asked = False, float("-inf")
        ours = sa.and_(duties.c.name == self.name, duties.c.owner == self._owner)
        try:
            with self._database.write() as connection:
                connection.execute(duties.delete().where(ours))
        except ArcidError as error:  # it runs out by itself
            log.warning("a duty was not given back", extra={"code": error.code})

    def _take(self) -> bool:
        own = duties.c.name == self.name
        with self._database.write() as connection:
            now, length = clock_us(connection), int(self._lasts_s * 1e6)
            row = connection.execute(sa.select(duties).where(own)).mappings().first()
            if (
                row is not None
                and row["owner"] != self._owner
                and now < row["until"] <= now + length
            ):
                return False  # an end further off was written before the clock was set back
            holder = f"process {os.getpid()} on {socket.gethostname()}"[:200]
            values = {"owner": self._owner, "holder": holder, "until": now + length}
            if row is None:
                connection.execute(duties.insert().values(name=self.name, taken_at=now, **values))
            else:
                if row["owner"] != self._owner:
                    values["taken_at"] = now
                connection.execute(duties.update().where(own).values(values))
            return True


def holders(gallery: Gallery) -> dict[str, tuple[str, datetime]]:
    """Which process has which duty, and since when (UTC)."""
    with gallery.database.read() as connection:
        query = sa.select(duties).where(duties.c.until > clock_us(connection))
        return {
            row["name"]: (row["holder"], from_us(row["taken_at"]))
            for row in connection.execute(query).mappings()
        }
