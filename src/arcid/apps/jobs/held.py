"""A job in the hands of one process: a lease, and an account that is kept with what is done.

That an item is done is written in the transaction that does it, and only by whoever holds the job;
so after any kill it is done once, and one that was held up while another process took the job over
can write nothing more.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.importing import Item, Left
from arcid.apps.jobs.jobs import Jobs, row_of
from arcid.apps.jobs.records import ENDED, Job, Origin, State
from arcid.apps.jobs.tables import items, jobs
from arcid.errors import ArcidError, InputError, UsageError
from arcid.events.store.log import clock_us
from arcid.gallery import Gallery
from arcid.gallery.store.journal import now_us
from arcid.gallery.store.keys import chunks

log = logging.getLogger(__name__)
LASTS_S = 30.0
RENEWALS = 3  # within the time a lease lasts
PAGE = 500  # items read at a time


class Lost(Exception):
    """The job is somebody else's now, or was stopped: whatever was under way is given up."""


class Held:
    """Taken on entering, which raises ``UsageError`` where it cannot be, and given back at the
    end; a process that dies keeps others out for ``lasts_s`` at most. A service takes none that
    somebody stopped: it may have waited its turn then."""

    def __init__(
        self, gallery: Gallery, job_id: str, origin: Origin, *, lasts_s: float = LASTS_S
    ) -> None:
        self.gallery = gallery
        self._job_id, self._origin, self._lasts_s = job_id, origin, lasts_s
        self._owner = uuid.uuid4().hex
        self._stop, self._gone = threading.Event(), threading.Event()
        self._keys: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        holder = f"{self._origin} process {os.getpid()} on {platform.node()}"[:200]
        with self.gallery.database.write() as connection:
            row = row_of(connection, self._job_id)
            now = clock_us(connection)
            if row["state"] in ENDED:
                raise UsageError(f"this job is {row['state']}; begin another")
            if self._origin == "service" and row["state"] in ("stopped", "failed"):
                raise UsageError(f"this job is {row['state']}; let it go on first")
            if row["state"] == "running" and now < row["until"]:
                raise UsageError(f"this job is worked on by {row['holder']}; stop it first")
            self._key = row["id"]
            connection.execute(
                jobs.update().where(jobs.c.id == self._key).values(
                    state="running", owner=self._owner, holder=holder, problem=None,
                    until=now + int(self._lasts_s * 1e6), beat_at=now_us(), ended_at=None,
                )
            )  # fmt: skip
        self.job: Job = Jobs(self.gallery).get(self._job_id)
        self._thread = threading.Thread(target=self._renew, name="arcid-job-lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(5)

    def check(self) -> None:
        """Raises ``Lost`` once the job is not this process's any more."""
        if self._gone.is_set():
            raise Lost

    def items(self) -> Iterator[Item]:
        """What waits, in its order; each is to end in ``done`` or ``refuse``."""
        after = 0
        while True:
            self.check()
            query = (
                sa.select(items.c.id, items.c.label, items.c.person)
                .where(items.c.job_id == self._key, items.c.code.is_(None), items.c.id > after)
                .order_by(items.c.id)
                .limit(PAGE)
            )
            with self.gallery.database.read() as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            after = rows[-1].id
            for row in rows:
                with self._lock:
                    self._keys[row.person, row.label] = row.id
                yield Item(row.person, row.label)

    def done(self, done: Sequence[tuple[str, str]], connection: Connection) -> None:
        """(person, label) of items that this transaction does. Raises ``Lost``, and ``InputError``
        where one does not wait any more: whose it was, was deleted meanwhile."""
        self._count(connection, len(done))
        with self._lock:
            keys = [self._keys[key] for key in done]
        gone = 0
        for part in chunks(keys):
            waiting = sa.and_(items.c.id.in_(part), items.c.code.is_(None))
            gone += connection.execute(items.delete().where(waiting)).rowcount
        if gone != len(keys):
            raise InputError("this person was deleted while the job ran; nothing was stored")

    def refuse(self, left: Sequence[Left]) -> None:
        """Items that cannot be done, and why. Raises ``Lost``."""
        if not left:
            return
        with self.gallery.database.write() as connection:
            self._count(connection, 0)
            count = 0
            for one in left:
                with self._lock:
                    key = self._keys.get((one.person, one.label))
                waiting = sa.and_(items.c.id == key, items.c.code.is_(None))
                values = {"code": one.code, "message": one.message}
                count += connection.execute(items.update().where(waiting).values(values)).rowcount
            self._count(connection, count, refused=count)

    def reach(self, done: int) -> None:
        """Of a kind that counts by itself: so many items are done. Raises ``Lost``."""
        with self.gallery.database.write() as connection:
            self._count(connection, 0)
            values = {"done": sa.case((jobs.c.total < done, jobs.c.total), else_=done)}
            connection.execute(jobs.update().where(jobs.c.id == self._key).values(values))

    def end(self, state: State, problem: str | None = None) -> None:
        """How it ended; nothing where it is somebody else's."""
        ended = now_us() if state in ENDED else None
        values = {"state": state, "problem": problem, "owner": None, "ended_at": ended}
        with self.gallery.database.write() as connection:
            connection.execute(jobs.update().where(self._mine()).values(beat_at=now_us(), **values))

    def _mine(self) -> sa.ColumnElement[bool]:
        return sa.and_(jobs.c.id == self._key, jobs.c.owner == self._owner)

    def _count(self, connection: Connection, done: int, *, refused: int = 0) -> None:
        values = {
            "done": jobs.c.done + done, "refused": jobs.c.refused + refused, "beat_at": now_us(),
        }  # fmt: skip
        if connection.execute(jobs.update().where(self._mine()).values(values)).rowcount != 1:
            self._gone.set()
            raise Lost

    def _renew(self) -> None:
        while not self._stop.wait(self._lasts_s / RENEWALS):
            try:
                with self.gallery.database.write() as connection:
                    until = clock_us(connection) + int(self._lasts_s * 1e6)
                    mine = jobs.update().where(self._mine()).values(until=until)
                    if connection.execute(mine).rowcount != 1:
                        self._gone.set()
                        return
            except ArcidError as error:
                log.warning("a job's lease was not renewed", extra={"code": error.code})
