"""One block of a run: templates compared with templates, in this process or in a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from sqlalchemy.engine import Connection

from arcid.apps.duplicates import finding
from arcid.apps.duplicates import plan as _plan
from arcid.apps.duplicates import runs as _runs
from arcid.errors import UsageError
from arcid.gallery import sharded
from arcid.gallery.database import Database
from arcid.gallery.index import Keys
from arcid.gallery.index.pairs import Panel, reaching
from arcid.gallery.schema import Row
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import vectors
from arcid.runtime import default_threads

Compared = tuple[finding.Best, int]  # what a block found, microseconds it took


class Blocks:
    """What a run compares, block by block; several processes may have it."""

    def __init__(self, database: Database, connection: Connection, own: Row, run: Row) -> None:
        self._database, self._own, self._run = database, own, run
        self._other = own
        if run["other_id"] is not None:
            self._other = _collections.by_id(connection, run["other_id"])
        made_by = vectors.contract(connection, run["contract"])
        if made_by is None:
            raise UsageError("the vectors this run compares were dropped; begin another run")
        self._made_by = made_by
        self._row_ends = json.loads(run["row_ends"])
        self._column_ends = json.loads(run["column_ends"])
        self._new: Keys | None = None
        if run["kind"] == "since":
            self._new = _plan.changed(
                connection, own, run["contract"], run["from_change"], run["to_change"]
            )
        self._columns: tuple[int, Panel] | None = None  # the last panel, packed

    def compare(self, number: int, threads: int, stopped: Callable[[], bool]) -> Compared:
        """Take one block; once ``stopped``, not all of it."""
        began = time.monotonic()
        near, far = _plan.block(self._run["kind"], len(self._row_ends), number)
        with self._database.read() as connection:
            rows, columns = self._panels(connection, near, far)
        best = finding.Best()
        for found in reaching(rows, columns, self._run["cosine"], threads=threads, stopped=stopped):
            kept = self._once(rows.faces[found.rows], columns.faces[found.columns])
            best.add(rows, columns, found, kept)
        return best, int((time.monotonic() - began) * 1e6)

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


def compare_apart(address: str, collection: str, run_id: str, number: int) -> Compared:
    """A block in a worker process."""
    blocks = _opened(address, collection, run_id)
    return blocks.compare(number, threads=default_threads(), stopped=lambda: False)


@lru_cache(maxsize=1)
def _opened(address: str, collection: str, run_id: str) -> Blocks:
    database = sharded.opened(address)
    with _collections.reading(database, collection) as (connection, own):
        return Blocks(database, connection, own, _runs.row_of(connection, own, run_id))
