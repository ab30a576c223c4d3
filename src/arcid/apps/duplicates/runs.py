"""Runs: begun, looked at, stopped and forgotten. ``searching`` is what works through them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid import decide
from arcid.apps.duplicates import plan as _plan
from arcid.apps.duplicates.records import SILENT_AFTER, Run
from arcid.apps.duplicates.tables import pairs, runs
from arcid.calibration import Calibration
from arcid.errors import ContractMismatch, InputError, NotFound, UsageError
from arcid.events.store.correcting import signed
from arcid.gallery import Gallery
from arcid.gallery.paging import Order, Page, check_limit
from arcid.gallery.schema import Row, collections
from arcid.gallery.store import audit, vectors
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import journal as _journal
from arcid.gallery.store.journal import Journal, from_us, now_us

FALSE_PAIRS = 5.0
RUNS = Order("duplicate_runs", (int,))  # key


class Runs:
    """The runs of a gallery. Thread-safe; every method that writes is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def begin(
        self,
        collection: str,
        calibration: Calibration,
        *,
        other: str | None = None,
        since_last: bool = False,
        false_pairs: float = FALSE_PAIRS,
        allow_extrapolation: bool = False,
        actor: str,
    ) -> Run:
        """A run that waits for ``searching.work``; its threshold is settled here.

        ``other``: compare with that collection instead of within. ``since_last``: only faces
        enrolled, or given to somebody else, since the last whole run of this model, with everybody.
        Raises ``RateUnsupported`` where the calibration cannot support so few false pairs,
        ``ContractMismatch`` where the collection has no faces of its model, ``UsageError``.
        """
        if other is not None and since_last:
            raise UsageError("what came since is compared within one collection; name no other")
        contract = calibration.contract_id
        with _collections.writing(self._database, collection) as (log, own):
            connection = log.connection
            made_by = vectors.contract(connection, contract)
            second = None if other is None else _collections.find(connection, other)
            if second is not None and second["id"] == own["id"]:
                raise UsageError("a collection is compared with itself by naming no other")
            last, head = None, _journal.head(connection).last_change
            if made_by is None:
                raise _no_faces(collection, contract)
            if since_last:
                last = _last_change(connection, own, contract)
                new = _plan.changed(connection, own, contract, last, head)
                plan = _plan.since(connection, own, made_by, new)
            elif second is not None:
                plan = _plan.between(connection, own, second, made_by)
            else:
                plan = _plan.everybody(connection, own, made_by)
            if not plan.templates:
                raise _no_faces(collection, contract)
            kind = "since" if since_last else "all" if second is None else "between"
            threshold = decide.among_pairs(
                calibration, plan.comparisons, false_pairs, allow_extrapolation=allow_extrapolation
            )
            low, high = decide.false_pairs_between(calibration, threshold.cosine, plan.comparisons)
            values = {
                "uid": uuid.uuid4().hex,
                "collection_id": own["id"],
                "other_id": None if second is None else second["id"],
                "contract": contract,
                "calibration": calibration.calibration_id,
                "kind": kind,
                "state": "waiting",
                "false_pairs": false_pairs,
                "comparisons": plan.comparisons,
                "fmr": threshold.fmr,
                "cosine": threshold.cosine,
                "false_low": low,
                "false_high": high,
                "extrapolated": int(threshold.extrapolated),
                "combined": int(threshold.combined),
                "templates": plan.templates,
                "row_ends": json.dumps(plan.row_ends),
                "column_ends": json.dumps(plan.column_ends),
                "blocks": _plan.blocks(kind, plan),
                "done": 0,
                "from_change": last,
                "to_change": head,
                "owner": None,
                "holder": "",
                "actor": signed(actor),
                "started_at": log.now,
                "beat_at": log.now,
                "ended_at": None,
                "worked_us": 0,
                "problem": None,
            }
            _note(log, own, "duplicates.begin", values, comparisons=plan.comparisons, kind=kind)
            return records(connection, [log.insert(runs, values)])[0]

    def find(self, collection: str, *, limit: int = 100, after: str | None = None) -> Page[Run]:
        """Newest first; those between two collections under the first of them."""
        with _collections.reading(self._database, collection) as (connection, own):
            query = sa.select(runs).where(runs.c.collection_id == own["id"])
            if after is not None:
                query = query.where(runs.c.id < RUNS.place(own["uid"], after)[0])
            query = query.order_by(runs.c.id.desc()).limit(check_limit(limit))
            rows: list[Row] = list(connection.execute(query).mappings())
            found = RUNS.page(own["uid"], rows, limit, lambda row: (row["id"],))
            return Page(records(connection, found), found.next)

    def get(self, collection: str, run_id: str) -> Run:
        """Raises ``NotFound``."""
        with _collections.reading(self._database, collection) as (connection, own):
            return records(connection, [row_of(connection, own, run_id)])[0]

    def stop(self, collection: str, run_id: str) -> Run:
        """End it after the blocks that are done; it goes on from there when worked on again."""
        with _collections.writing(self._database, collection) as (log, own):
            row = row_of(log.connection, own, run_id)
            if row["state"] in ("waiting", "running"):
                change(log.connection, row, state="stopped", owner=None)
                _note(log, own, "duplicates.stop", row)
            return records(log.connection, [row_of(log.connection, own, run_id)])[0]

    def go_on(self, collection: str, run_id: str) -> Run:
        """Let a stopped, failed or cut-off run wait to be worked on. Raises ``UsageError`` where it
        is done."""
        with _collections.writing(self._database, collection) as (log, own):
            row = row_of(log.connection, own, run_id)
            if row["state"] == "done":
                raise UsageError("this run is done; begin another")
            change(log.connection, row, state="waiting", owner=None, problem=None)
            return records(log.connection, [row_of(log.connection, own, run_id)])[0]

    def delete(self, collection: str, run_id: str) -> None:
        """Forget a run and the pairs that it was the last to find; answers stay."""
        with _collections.writing(self._database, collection, erases=True) as (log, own):
            row = row_of(log.connection, own, run_id)
            log.connection.execute(runs.delete().where(runs.c.id == row["id"]))
            _note(log, own, "duplicates.delete", row)

    def forget(self, older_than: timedelta) -> int:
        """Delete runs that began longer ago, in every collection; returns how many."""
        if older_than < timedelta(0):
            raise InputError("a time span cannot be negative")
        before = now_us() - int(older_than.total_seconds() * 1e6)
        with self._database.write(erases=True) as connection:
            return connection.execute(runs.delete().where(runs.c.beat_at < before)).rowcount

    def fail(self, collection: str, run_id: str, problem: str) -> None:
        """A run that cannot be worked on at all; ``problem`` in words."""
        with _collections.writing(self._database, collection) as (log, own):
            row = row_of(log.connection, own, run_id)
            if row["state"] == "waiting":
                change(log.connection, row, state="failed", problem=problem)

    def take_up(self) -> None:
        """Let runs wait again that a service worked on and nothing was heard of since."""
        silent = now_us() - int(SILENT_AFTER.total_seconds() * 1e6)
        cut_off = sa.and_(
            runs.c.state == "running", runs.c.beat_at < silent, runs.c.holder.startswith("service")
        )
        with self._database.read() as connection:
            if connection.execute(sa.select(runs.c.id).where(cut_off).limit(1)).first() is None:
                return
        with self._database.write() as connection:
            connection.execute(runs.update().where(cut_off).values(state="waiting", owner=None))

    def waiting(self) -> list[tuple[str, str]]:
        """(collection, run id) of those that wait for somebody to work on them, oldest first."""
        with self._database.read() as connection:
            query = (
                sa.select(collections.c.name, runs.c.uid)
                .join(collections, collections.c.id == runs.c.collection_id)
                .where(runs.c.state == "waiting")
                .order_by(runs.c.id)
            )
            return [(row.name, row.uid) for row in connection.execute(query)]


def row_of(connection: Connection, collection: Row, run_id: str) -> Row:
    """Raises ``NotFound``."""
    query = sa.select(runs).where(
        runs.c.collection_id == collection["id"], runs.c.uid == str(run_id)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(
            f"collection {collection['name']!r} has no search for duplicates with that id"
        )
    return row


def change(connection: Connection, row: Row, **values: Any) -> None:
    """Set columns of a run."""
    connection.execute(runs.update().where(runs.c.id == row["id"]).values(values))


def records(connection: Connection, rows: Sequence[Row]) -> list[Run]:
    """Runs as they are handed out."""
    names = dict(connection.execute(sa.select(collections.c.id, collections.c.name)).all())
    keys = [row["id"] for row in rows]
    count = (
        sa.select(pairs.c.run_id, pairs.c.state, sa.func.count())
        .where(pairs.c.run_id.in_(keys))
        .group_by(pairs.c.run_id, pairs.c.state)
    )
    found: dict[int, dict[str, int]] = {key: {} for key in keys}
    for run, state, number in connection.execute(count):
        found[run][state] = number
    return [
        Run(
            row["uid"], names[row["collection_id"]],
            None if row["other_id"] is None else names[row["other_id"]],
            row["kind"], row["state"], row["contract"], row["calibration"],
            row["false_pairs"], row["comparisons"], row["fmr"], row["cosine"],
            row["false_low"], row["false_high"],
            bool(row["extrapolated"]), bool(row["combined"]), row["templates"],
            row["blocks"], row["done"],
            sum(found[row["id"]].values()), found[row["id"]].get("open", 0),
            row["actor"], row["holder"], from_us(row["started_at"]), from_us(row["beat_at"]),
            _time(row["ended_at"]), row["worked_us"] / 1e6, row["problem"],
        )
        for row in rows
    ]  # fmt: skip


def _note(log: Journal, collection: Row, verb: str, row: Row, **details: Any) -> None:
    audit.append(
        log.connection, verb=verb, subject=f"run:{row['uid']}", collection=collection["uid"],
        details=details,
    )  # fmt: skip


def _time(at: int | None) -> datetime | None:
    return None if at is None else from_us(at)


def _last_change(connection: Connection, own: Row, contract: str) -> int:
    """Where the log stood when the last run began that leaves nobody out."""
    query = (
        sa.select(sa.func.max(runs.c.to_change))
        .where(runs.c.collection_id == own["id"], runs.c.contract == contract)
        .where(runs.c.state == "done", runs.c.kind != "between")
    )
    last = connection.execute(query).scalar()
    if last is None:
        raise UsageError(
            f"everybody in {own['name']!r} was never compared with everybody by this model; do "
            "that first, then what came since can be compared"
        )
    return int(last)


def _no_faces(collection: str, contract: str) -> ContractMismatch:
    return ContractMismatch(
        f"collection {collection!r} has no faces of contract {contract[:12]} to compare; enrol "
        "some, or use the model that enrolled them",
        contract_id=contract,
    )
