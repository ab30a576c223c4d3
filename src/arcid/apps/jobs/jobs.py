"""Jobs of a gallery: begun, looked at, stopped, gone on with, ended. ``held`` is who works on one.

A job of kind ``duplicates`` stands for a run of ``apps.duplicates``, which is worked on there; how
far it is, is read from the run.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection as Some
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.duplicates import Runs
from arcid.apps.importing import Item, Left
from arcid.apps.jobs.records import ENDED, Job, Kind, Origin, State
from arcid.apps.jobs.tables import items, jobs
from arcid.errors import InputError, JobNotFound, NotFound, UsageError
from arcid.events.store.log import clock_us
from arcid.gallery import Gallery, Page, pages
from arcid.gallery import rules as _rules
from arcid.gallery.paging import Order, check_limit
from arcid.gallery.schema import Row, collections
from arcid.gallery.store import audit
from arcid.gallery.store import collections as _collections
from arcid.gallery.store.journal import from_us, now_us

JOBS = Order("jobs", (int,))  # key
REFUSED = Order("refused", (int,))  # key
MAX_ITEMS = 200_000
OPEN: tuple[State, ...] = ("waiting", "running", "stopped", "failed")


class Jobs:
    """Thread-safe; every method that writes is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._database = gallery.database

    def begin(
        self,
        collection: str,
        kind: Kind,
        *,
        items_: Sequence[Item] = (),
        left: Sequence[Left] = (),
        total: int | None = None,
        source: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        origin: Origin = "service",
    ) -> Job:
        """A job that waits. ``left``: what is refused from the start. ``total``: of a kind that
        counts by itself. Raises ``CollectionNotFound``, ``InputError``."""
        if len(items_) + len(left) > MAX_ITEMS:
            raise InputError(
                f"a job has at most {MAX_ITEMS:,} items, and this one {len(items_) + len(left):,}: "
                "split it"
            )
        with _collections.writing(self._database, collection) as (log, own):
            row = log.insert(jobs, {
                "uid": uuid.uuid4().hex, "collection_id": own["id"], "kind": kind,
                "state": "waiting", "origin": origin, "actor": audit.actor_now(),
                "source": json.dumps(dict(source or {})),
                "options": json.dumps(dict(options or {})), "run_uid": run_id,
                "total": (len(items_) if total is None else total) + len(left),
                "done": len(left), "refused": len(left), "owner": None, "until": 0, "holder": "",
                "created_at": log.now, "beat_at": log.now, "ended_at": None, "problem": None,
            })  # fmt: skip
            rows = [_item(row, item.label, item.person) for item in items_]
            rows += [_item(row, o.label, o.person, o.code, o.message) for o in left]
            if rows:
                log.connection.execute(items.insert(), rows)
            _note(log.connection, own, "job.begin", row, kind=kind, items=row["total"])
            return _record(log.connection, row)

    def find(
        self,
        *,
        collections_: Some[str] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Job]:
        """Newest first; ``collections_``: ids, None: of all."""
        query = sa.select(jobs).order_by(jobs.c.id.desc()).limit(check_limit(limit))
        if collections_ is not None:
            own = sa.select(collections.c.id).where(collections.c.uid.in_(list(collections_)))
            query = query.where(jobs.c.collection_id.in_(own))
        if after is not None:
            query = query.where(jobs.c.id < JOBS.place("", after)[0])
        with self._database.read() as connection:
            rows: list[Row] = list(connection.execute(query).mappings())
            found = JOBS.page("", rows, limit, lambda row: (row["id"],))
            records = [_record(connection, row) for row in found]
        return Page([self._with_run(record) for record in records], found.next)

    def get(self, job_id: str) -> Job:
        """Raises ``JobNotFound``."""
        with self._database.read() as connection:
            record = _record(connection, row_of(connection, job_id))
        return self._with_run(record)

    def refused(self, job_id: str, *, limit: int = 100, after: str | None = None) -> Page[Left]:
        """What was refused, in its order. Raises ``JobNotFound``, ``CursorInvalid``."""
        with self._database.read() as connection:
            job = row_of(connection, job_id)
            query = sa.select(items).where(items.c.job_id == job["id"], items.c.code.is_not(None))
            if after is not None:
                query = query.where(items.c.id > REFUSED.place(job["uid"], after)[0])
            query = query.order_by(items.c.id).limit(check_limit(limit))
            rows: list[Row] = list(connection.execute(query).mappings())
        found = REFUSED.page(job["uid"], rows, limit, lambda row: (row["id"],))
        left = [Left(r["label"], r["person"], r["code"], r["message"]) for r in found]
        return Page(left, found.next)

    def every_refused(self, job_id: str) -> Iterator[Left]:
        """All of it, read page by page."""
        return pages(lambda after: self.refused(job_id, limit=1000, after=after))

    def stop(self, job_id: str) -> Job:
        """What is done stays; it goes on from there with ``go_on``."""
        return self._change(job_id, "job.stop", ("waiting", "running"), "stopped", Runs.stop)

    def go_on(self, job_id: str, *, origin: Origin | None = None) -> Job:
        """Let one that was stopped, failed or cut off wait again. Raises ``UsageError`` where it
        ended for good."""
        job = self.get(job_id)
        if job.state in ENDED:
            raise UsageError(f"this job is {job.state}; begin another")
        if job.state in ("waiting", "running") and not job.silent:
            return job
        states = ("running", "stopped", "failed")
        return self._change(job_id, "job.resume", states, "waiting", Runs.go_on, origin=origin)

    def cancel(
        self, job_id: str, problem: str | None = None, *, states: Sequence[State] = OPEN
    ) -> Job:
        """End it for good where it is in one of ``states``; what is done stays done. ``problem``:
        why, where nobody asked for it."""
        return self._change(job_id, "job.cancel", states, "cancelled", Runs.stop, problem=problem)

    def forget(self, older_than: timedelta) -> int:
        """Delete jobs whose last change is longer ago, with what they refused; how many."""
        before = now_us() - int(older_than.total_seconds() * 1e6)
        over = sa.or_(  # a run of duplicates is kept where runs are
            jobs.c.state.not_in(("waiting", "running")), jobs.c.run_uid.is_not(None)
        )
        old = sa.and_(jobs.c.beat_at < before, over)
        with self._database.read() as connection:
            if connection.execute(sa.select(jobs.c.id).where(old).limit(1)).first() is None:
                return 0
        with self._database.write(erases=True) as connection:
            return connection.execute(jobs.delete().where(old)).rowcount

    def ready(self) -> list[Job]:
        """Those a service may work on now, oldest first."""
        with self._database.read() as connection:
            now = clock_us(connection)
            free = sa.or_(
                jobs.c.state == "waiting",
                sa.and_(jobs.c.state == "running", jobs.c.until < now),
            )
            query = sa.select(jobs).where(
                free, jobs.c.origin == "service", jobs.c.run_uid.is_(None)
            )
            rows = connection.execute(query.order_by(jobs.c.id)).mappings().all()
            return [_record(connection, row) for row in rows]

    def every(self, *, ended: bool) -> list[Job]:
        """Those that ended for good, or those that did not, oldest first."""
        with self._database.read() as connection:
            of = jobs.c.state.in_(ENDED) if ended else jobs.c.state.not_in(ENDED)
            rows = connection.execute(sa.select(jobs).where(of).order_by(jobs.c.id)).mappings()
            return [_record(connection, row) for row in rows.all()]

    def _change(
        self,
        job_id: str,
        verb: str,
        states: Sequence[str],
        state: str,
        on_run: Any,
        *,
        origin: Origin | None = None,
        problem: str | None = None,
    ) -> Job:
        job = self.get(job_id)
        if job.run_id is not None and job.state in states:
            on_run(Runs(self._gallery), job.collection, job.run_id)
        with self._database.write(erases=state in ENDED) as connection:
            row = row_of(connection, job_id)
            if row["state"] in states:
                own = _collections.by_id(connection, row["collection_id"])
                values: dict[str, Any] = {
                    "state": state, "owner": None, "beat_at": now_us(), "problem": problem,
                    "ended_at": now_us() if state in ENDED else None,
                }  # fmt: skip
                if origin is not None:
                    values["origin"] = origin
                connection.execute(jobs.update().where(jobs.c.id == row["id"]).values(values))
                if state in ENDED:  # who was not looked at yet is not kept
                    waiting = sa.and_(items.c.job_id == row["id"], items.c.code.is_(None))
                    connection.execute(items.delete().where(waiting))
                _note(connection, own, verb, row)
        return self.get(job_id)

    def _with_run(self, job: Job) -> Job:
        """A job that stands for a run, as far as that is."""
        if job.run_id is None or job.state == "cancelled":
            return job
        try:
            run = Runs(self._gallery).get(job.collection, job.run_id)
        except NotFound:
            return replace(job, state="failed", problem="the run it stands for was deleted")
        return replace(
            job, state=run.state, silent=run.silent, total=run.blocks, done=run.done,
            holder=run.holder, beat_at=run.beat_at, ended_at=run.ended_at, problem=run.problem,
        )  # fmt: skip


def row_of(connection: Connection, job_id: str) -> Row:
    """Raises ``JobNotFound``."""
    query = sa.select(jobs).where(jobs.c.uid == str(job_id))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise JobNotFound("there is no job of that id")
    return cast("Row", row)


def _item(
    job: Row, label: str, person: str, code: str | None = None, message: str = ""
) -> dict[str, Any]:
    return {
        "job_id": job["id"], "label": _plain(label), "person": _plain(person),
        "person_key": _rules.name_key(_plain(person)), "code": code, "message": _plain(message),
    }  # fmt: skip


def _plain(text: str) -> str:
    """File names may hold undecodable bytes; PostgreSQL stores no NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _record(connection: Connection, row: Row) -> Job:
    collection = _collections.by_id(connection, row["collection_id"])
    running = row["state"] == "running"
    return Job(
        row["uid"], row["kind"], collection["name"], row["state"],
        running and row["run_uid"] is None and row["until"] < clock_us(connection),
        row["origin"], json.loads(row["source"]), json.loads(row["options"]),
        row["total"], row["done"], row["refused"], row["run_uid"], row["actor"], row["holder"],
        from_us(row["created_at"]), from_us(row["beat_at"]),
        None if row["ended_at"] is None else from_us(row["ended_at"]), row["problem"],
    )  # fmt: skip


def _note(connection: Connection, collection: Row, verb: str, row: Row, **details: Any) -> None:
    audit.append(
        connection, verb=verb, subject=f"job:{row['uid']}", collection=collection["uid"],
        details=details,
    )  # fmt: skip
