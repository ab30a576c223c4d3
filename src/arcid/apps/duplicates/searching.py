"""Works through a run, block by block: exact, in bounded memory, and again from where it ended.

What a block found and that it is done are one transaction. Whoever begins to work on a run takes it
over: blocks of another process are not taken any more.
"""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.duplicates import finding
from arcid.apps.duplicates import runs as _runs
from arcid.apps.duplicates.comparing import Blocks, Compared, compare_apart
from arcid.apps.duplicates.records import Run, State
from arcid.apps.duplicates.tables import runs
from arcid.calibration import Calibration
from arcid.errors import ArcidError, UsageError
from arcid.events.records import Place
from arcid.events.store import decided
from arcid.events.store.log import Log
from arcid.gallery import Gallery, sharded
from arcid.gallery.schema import Row
from arcid.gallery.store import collections as _collections
from arcid.gallery.store.journal import now_us
from arcid.runtime import default_threads
from arcid.sharding import Workers, shards

_TOLD = ("kind", "comparisons", "templates", "false_pairs", "extrapolated", "pairs", "open")
_KEPT = "The blocks before are done; --resume goes on from there."
Progress = Callable[[int, int], None]  # blocks done, of how many


def work(
    gallery: Gallery,
    collection: str,
    run_id: str,
    calibration: Calibration,
    *,
    threads: int | None = None,
    over: Workers | None = None,
    progress: Progress = lambda done, blocks: None,
    stopped: Callable[[], bool] = lambda: False,
    holder: str = "",
    left: State = "stopped",
) -> Run:
    """Work on a run until it is done, stopped or taken over; the run as it is then.

    ``holder``: what kind of process this is, for people. ``left``: what the run is where
    ``stopped``, which is asked several times a block; the block under way is then given up.
    ``over``: worker processes (``arcid.sharding``) that compare, while this one writes; ``stopped``
    is then asked once a block. A run that is done is an event of kind ``duplicate``. Raises what
    the gallery raises, ``WorkerLost``, and ``UsageError`` where the run is done, or was begun with
    another calibration; the run can be worked on again.
    """
    address = None if over is None else sharded.address(gallery.database, over)
    worker = _Worker(gallery, collection, run_id, calibration)
    run, blocks = worker.take(f"{holder} process {os.getpid()} on {platform.node()}".lstrip())
    compare: Callable[[int], Compared]
    if address is None:
        compare = partial(blocks.compare, threads=threads or default_threads(), stopped=stopped)
    else:
        compare = partial(compare_apart, address, collection, run_id)
    try:
        numbers = range(run["done"], run["blocks"])
        for number, compared in enumerate(shards(compare, numbers, over, kept=_KEPT), run["done"]):
            if stopped() or not worker.commit(number, compared):
                break
            progress(number + 1, run["blocks"])
        else:
            worker.end("done")
        if stopped():
            worker.end(left)
    except Exception as error:
        worker.end("failed", error.message if isinstance(error, ArcidError) else str(type(error)))
        raise
    except BaseException:  # interrupted
        worker.end("stopped")
        raise
    return _runs.Runs(gallery).get(collection, run_id)


class NotWaiting(UsageError):
    """A service was to take up a run that somebody stopped, or works on, since it was listed."""


class _Worker:
    """The process that writes what is found by one run."""

    def __init__(
        self, gallery: Gallery, collection: str, run_id: str, calibration: Calibration
    ) -> None:
        self._database, self._collection, self._run_id = gallery.database, collection, run_id
        self._calibration = calibration
        self._owner = uuid.uuid4().hex

    def take(self, holder: str) -> tuple[Row, Blocks]:
        """Make the run this worker's; its row and what is compared."""
        with _collections.writing(self._database, self._collection) as (log, own):
            row = _runs.row_of(log.connection, own, self._run_id)
            if row["state"] == "done":
                raise UsageError("this run is done; begin another")
            if holder.startswith("service") and row["state"] != "waiting":
                raise NotWaiting(f"this run is {row['state']}; let it go on first")
            if row["calibration"] != self._calibration.calibration_id:
                raise UsageError(
                    "this run's threshold comes from another calibration than the one in force "
                    "now; begin another run"
                )
            _runs.change(
                log.connection, row, state="running", owner=self._owner, holder=holder,
                beat_at=log.now, ended_at=None, problem=None,
            )  # fmt: skip
            self._own = own
            self._other_uid = None
            if row["other_id"] is not None:
                self._other_uid = _collections.by_id(log.connection, row["other_id"])["uid"]
            return row, Blocks(self._database, log.connection, own, row)

    def end(self, state: str, problem: str | None = None) -> None:
        """Say how it ended, unless somebody else took the run meanwhile."""
        with self._database.write() as connection:
            mine = self._mine(connection)
            if mine is None:
                return
            _runs.change(
                connection, mine, state=state, owner=None, ended_at=now_us(), problem=problem
            )
            if state == "done":
                finding.forget_outdated(connection, mine)
                self._tell(connection)

    def _tell(self, connection: Connection) -> None:
        row = _runs.row_of(connection, self._own, self._run_id)
        (run,) = _runs.records(connection, [row])
        details = {"run_id": run.id, "other": self._other_uid if run.other else None}
        details |= {name: getattr(run, name) for name in _TOLD}
        log = Log(connection, self._own, subscribed=self._database.outboxes)
        decided.write(
            log, "duplicate", ("run", run.id), Place("", ""), datetime.now(UTC),
            grounds={
                "details": details, "target_fmr": run.target_fmr, "reason": run.promise,
                "cosine_threshold": run.cosine_threshold, "contract_id": run.contract_id,
                "calibration_id": run.calibration_id,
            },
            actor=run.actor,
        )  # fmt: skip

    def commit(self, number: int, compared: Compared) -> bool:
        """Write what a block found; False where the run is not this worker's any more."""
        best, worked_us = compared
        with self._database.write() as connection:
            mine = self._mine(connection)
            if mine is None or mine["done"] != number:
                return False
            finding.keep(connection, mine, best, self._calibration)
            _runs.change(
                connection, mine, done=number + 1, beat_at=now_us(),
                worked_us=mine["worked_us"] + worked_us,
            )  # fmt: skip
        return True

    def _mine(self, connection: Connection) -> Row | None:
        query = sa.select(runs).where(runs.c.uid == self._run_id, runs.c.owner == self._owner)
        return connection.execute(query).mappings().first()
