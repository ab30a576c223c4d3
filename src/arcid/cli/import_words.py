"""What every import of the command line shares: its options, its run and its words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.output import REJECTED, Exit, led, note, print_json, say
from arcid.errors import by_reason, in_words
from arcid.progress import progress_bar
from arcid.types import Selection

if TYPE_CHECKING:
    from arcid.apps.importing import Left, Listing, Source
    from arcid.apps.jobs import Job

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would come along and what not; do nothing.")
]
Report = Annotated[
    Path | None,
    typer.Option("--report", help="Write what did not come along and why: .json or .csv."),
]
Quality = Annotated[
    bool, typer.Option("--quality/--no-quality", help="Refuse photos of poor quality.")
]
AllowDuplicate = Annotated[
    bool, typer.Option("--allow-duplicate", help="Enrol faces that are somebody else already.")
]
SHOWN = 20  # reasons on the screen


def run_import(
    source: Source,
    collection: str,
    *,
    dry_run: bool,
    report: Path | None,
    quality: bool,
    select: Selection,
    allow_duplicate: bool,
    detector: str | None,
    model: str | None,
    database: str | None,
    json: bool,
) -> None:
    """Import a source as a job that the same command goes on with, and say what became of it."""
    from arcid.apps.importing import report as _report
    from arcid.apps.jobs import Held, Jobs, Means, Options, begin_import, finish, unfinished
    from arcid.errors import UsageError
    from arcid.gallery.opening import require_place
    from arcid.pipeline import Pipeline

    if select == "all":
        raise UsageError("a photo enrols one person: --select prominent, one, largest or center")
    if report is not None:
        _report.require(report)
    if dry_run:
        with open_gallery(database, collection) as gallery:
            _say_preview(gallery, collection, source, report, json)
        return
    source.listing()
    require_place(database)
    pipeline = Pipeline.from_models(detector, model, many=True)
    with open_gallery(database, create=True) as gallery:
        gallery.ensure_collection(collection)
        jobs = Jobs(gallery)
        options = Options(select, quality, allow_duplicate)
        job = unfinished(gallery, collection, source, options)
        if job is None:
            job = begin_import(gallery, collection, source, options, origin="command")
        elif not json:
            note(f"going on with job {job.id}: {job.done:,} of {job.total:,} are done")
        with progress_bar("importing", job.total, quiet=json) as advance:
            advance(job.done)
            with Held(gallery, job.id, "command") as held:
                finish(held, Means(pipeline, lambda spec: source, step=advance), left="stopped")
        job = jobs.get(job.id)
        left = list(jobs.every_refused(job.id))
    if report is not None:
        _report.write(report, left)
    _say_done(job, left, json)


def _say_preview(
    gallery: Any, collection: str, source: Source, report: Path | None, json: bool
) -> None:
    from contextlib import suppress

    from arcid.apps.importing import report as _report
    from arcid.apps.jobs import preview
    from arcid.errors import CollectionNotFound

    found: Listing = source.listing()
    with suppress(CollectionNotFound):  # it is made by the import
        found = preview(gallery, collection, source)
    source.close()
    if report is not None:
        _report.write(report, found.left)
    if json:
        print_json({"collection": collection, "dry_run": True, **found.to_dict()})
        return
    what = "vectors" if source.vectors else "photos"
    people = "1 person" if found.people == 1 else f"{found.people:,} people"
    say(f"Would import {len(found.items):,} {what} of {people} into {collection}")
    _say_left(found.left, "would stay behind")


def _say_done(job: Job, left: list[Left], json: bool) -> None:
    taken = job.done - job.refused
    if json:
        reasons = by_reason(one.code for one in left)
        told = {"imported": taken, "left_by_reason": reasons, "left": [o.to_dict() for o in left]}
        print_json({"job": job.to_dict(), **told})
    else:
        words = {"done": "Imported", "stopped": "Stopped:", "failed": "Failed:"}
        say(f"{words.get(job.state, job.state)} {taken:,} of {job.total:,} into {job.collection}")
        _say_left(left, "stayed behind")
        if job.problem:
            note(f"error: {job.problem}; the same command goes on")
    if job.state != "done" or taken == 0:
        raise Exit(REJECTED)


def _say_left(left: list[Left] | Any, how: str) -> None:
    if not left:
        return
    say(f"{len(left):,} {how}: {in_words(by_reason(one.code for one in left))}")
    for one in left[:SHOWN]:
        note(f"left: {led(one.message, one.label)}")
    if len(left) > SHOWN:
        note(f"and {len(left) - SHOWN:,} more: --report FILE.csv lists them all")
