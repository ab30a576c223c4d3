"""Works through a run, block by block: exact, in bounded memory, and again from where it ended.

What a block found and that it is done are one transaction. Whoever begins to work on a run takes it
over: blocks of another process are not taken any more.
"""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.duplicates import finding
from arcid.apps.duplicates import plan as _plan
from arcid.apps.duplicates import runs as _runs
from arcid.apps.duplicates.records import Run, State
from arcid.apps.duplicates.tables import runs
from arcid.calibration import Calibration
from arcid.errors import ArcidError, UsageError
from arcid.events.records import Place
from arcid.events.store import decided
from arcid.events.store.log import Log
from arcid.gallery import Gallery
from arcid.gallery.index import Keys
from arcid.gallery.index.pairs import Panel, reaching
from arcid.gallery.schema import Row
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import vectors
from arcid.gallery.store.journal import now_us
from arcid.runtime import default_threads

_TOLD = ("kind", "comparisons", "templates", "false_pairs", "extrapolated", "pairs", "open")
Progress = Callable[[int, int], None]  # blocks done, of how many


def work(
    gallery: Gallery,
    collection: str,
    run_id: str,
    calibration: Calibration,
    *,
    threads: int | None = None,
    progress: Progress = lambda done, blocks: None,
    stopped: Callable[[], bool] = lambda: False,
    holder: str = "",
    left: State = "stopped",
) -> Run:
    """Work on a run until it is done, stopped or taken over; the run as it is then.

    ``holder``: what kind of process this is, for people. ``left``: what the run is where
    ``stopped``. A run that is done is an event of kind ``duplicate``.
    ``stopped`` is asked several times a block; the block under way is then given up. Raises what
    the gallery raises, and ``UsageError`` where the run is done, or was begun with another
    calibration; the run can be worked on again.
    """
    worker = _Worker(gallery, collection, run_id, calibration, threads or default_threads())
    run = worker.take(f"{holder} process {os.getpid()} on {platform.node()}".lstrip())
    try:
        for number in range(run["done"], run["blocks"]):
            if not worker.block(number, stopped):
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


class _Worker:
    """One process at work on one run."""

    def __init__(
        self, gallery: Gallery, collection: str, run_id: str, calibration: Calibration, threads: int
    ) -> None:
        self._database, self._collection, self._run_id = gallery.database, collection, run_id
        self._calibration, self._threads = calibration, threads
        self._owner = uuid.uuid4().hex
        self._columns: tuple[int, Panel] | None = None  # the last panel, packed

    def take(self, holder: str) -> Row:
        """Make the run this worker's."""
        with _collections.writing(self._database, self._collection) as (log, own):
            row = _runs.row_of(log.connection, own, self._run_id)
            if row["state"] == "done":
                raise UsageError("this run is done; begin another")
            if row["calibration"] != self._calibration.calibration_id:
                raise UsageError(
                    "this run's threshold comes from another calibration than the one in force "
                    "now; begin another run"
                )
            _runs.change(
                log.connection, row, state="running", owner=self._owner, holder=holder,
                beat_at=log.now, ended_at=None, problem=None,
            )  # fmt: skip
            self._run = row
            self._own = own
            self._other = own
            if row["other_id"] is not None:
                self._other = _collections.by_id(log.connection, row["other_id"])
            made_by = vectors.contract(log.connection, row["contract"])
            if made_by is None:
                raise UsageError("the vectors this run compares were dropped; begin another run")
            self._made_by = made_by
            self._row_ends = json.loads(row["row_ends"])
            self._column_ends = json.loads(row["column_ends"])
            self._new: Keys | None = None
            if row["kind"] == "since":
                self._new = _plan.changed(
                    log.connection, own, row["contract"], row["from_change"], row["to_change"]
                )
            return row

    def block(self, number: int, stopped: Callable[[], bool]) -> bool:
        """Take one block; False where the run is not this worker's any more, or stopped."""
        began = time.monotonic()
        near, far = _plan.block(self._run["kind"], len(self._row_ends), number)
        with self._database.read() as connection:
            rows, columns = self._panels(connection, near, far)
        best = finding.Best()
        for found in reaching(
            rows, columns, self._run["cosine"], threads=self._threads, stopped=stopped
        ):
            kept = self._once(rows.faces[found.rows], columns.faces[found.columns])
            best.add(rows, columns, found, kept)
        if stopped():
            return False
        return self._commit(number, best, int((time.monotonic() - began) * 1e6))

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
        details = {"run_id": run.id, "other": self._other["uid"] if run.other else None}
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

    def _panels(self, connection: Connection, near: int, far: int) -> tuple[Panel, Panel]:
        if self._columns is None or self._columns[0] != far:
            columns = _plan.panel(
                connection, self._other["id"], self._made_by, self._column_ends, far
            )
            self._columns = (far, columns)
        columns = self._columns[1]
        if self._run["kind"] == "all" and near == far:
            return columns, columns
        rows = _plan.panel(
            connection, self._own["id"], self._made_by, self._row_ends, near, self._new
        )
        return rows, columns

    def _once(self, rows: Keys, columns: Keys) -> np.typing.NDArray[np.bool_]:
        """A pair of one collection is met from either side; which of the two counts."""
        if self._run["kind"] == "between":
            return np.ones(len(rows), np.bool_)
        if self._new is None:
            return rows < columns
        return (rows < columns) | ~np.isin(columns, self._new)

    def _commit(self, number: int, best: finding.Best, worked_us: int) -> bool:
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
