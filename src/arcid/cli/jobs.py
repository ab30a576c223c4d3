"""``arcid jobs``: long work on collections, wherever it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Collection, Database, Yes
from arcid.cli.output import (
    REJECTED,
    SERVICE,
    Exit,
    Json,
    clock,
    confirm,
    note,
    print_json,
    print_table,
    say,
)
from arcid.errors import by_reason, in_words
from arcid.progress import progress_bar

if TYPE_CHECKING:
    from arcid.apps.jobs import Job

app = typer.Typer(
    help="Long work on collections: imports, deletions of many, a change of the model.\n\n"
    "A job that was stopped, failed or killed goes on where it was.",
    no_args_is_help=True,
)
JobId = Annotated[str, typer.Argument(help="Job by its id.", metavar="JOB")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Most jobs shown.")] = 20,
    database: Database = None,
    json: Json = False,
) -> None:
    """List jobs, newest first.

    Example: arcid jobs list
    """
    from arcid.apps.jobs import Jobs

    with open_gallery(database) as gallery:
        found = Jobs(gallery).find(limit=limit)
    if json:
        print_json({"jobs": [job.to_dict() for job in found], "next": found.next})
        return
    rows = [
        (clock(job.created_at), job.kind, job.collection, _state(job), f"{job.share:.0%}",
         job.refused, job.id)
        for job in found
    ]  # fmt: skip
    print_table(("began", "kind", "collection", "state", "done", "refused", "id"), rows)


@app.command()
def show(
    job: JobId,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write what was refused: .json or .csv.")
    ] = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Show how far a job is, and what it refused.

    Example: arcid jobs show 3f2a9c --report refused.csv
    """
    from arcid.apps.importing import report as _report
    from arcid.apps.jobs import Jobs

    with open_gallery(database) as gallery:
        found = Jobs(gallery).get(job)
        left = list(Jobs(gallery).every_refused(job))
    if report is not None:
        _report.write(report, left)
    if json:
        print_json({"job": found.to_dict(), "left": [one.to_dict() for one in left]})
        return
    _say(found)
    if left:
        say(f"{len(left):,} were refused: {in_words(by_reason(one.code for one in left))}")


@app.command()
def stop(job: JobId, database: Database = None, json: Json = False) -> None:
    """Stop a job that another process works on; what is done stays, and it can go on.

    Example: arcid jobs stop 3f2a9c
    """
    from arcid.apps.jobs import Jobs

    with open_gallery(database) as gallery:
        _told(Jobs(gallery).stop(job), json)


@app.command()
def resume(job: JobId, database: Database = None, json: Json = False) -> None:
    """Let the service go on with a job of its own that was stopped or failed.

    An import of the command line goes on with the command that began it.

    Example: arcid jobs resume 3f2a9c
    """
    from arcid.apps.jobs import Jobs
    from arcid.errors import UsageError

    with open_gallery(database) as gallery:
        if Jobs(gallery).get(job).origin == "command":
            raise UsageError("this job was begun here: the same command again goes on with it")
        _told(Jobs(gallery).go_on(job), json)


@app.command()
def cancel(job: JobId, yes: Yes = False, database: Database = None, json: Json = False) -> None:
    """End a job for good: what is done stays done, the rest is forgotten.

    Example: arcid jobs cancel 3f2a9c --yes
    """
    from arcid.apps.jobs import Jobs

    confirm("End this job for good?", yes=yes)
    with open_gallery(database) as gallery:
        _told(Jobs(gallery).cancel(job), json)


@app.command()
def delete_people(
    people: Annotated[
        list[str] | None, typer.Argument(help="Whom, by id or name.", metavar="PERSON")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--from", help="A file with one id or name a line.")
    ] = None,
    collection: Collection = "default",
    yes: Yes = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Delete many people with all that is kept of them; each leaves a receipt.

    Stopped or killed, it is gone on with by naming them again: who is gone is refused. Exit code 1
    where nobody was deleted, 5 where it failed.

    Example: arcid jobs delete-people --from leavers.txt --collection staff --yes
    """
    from arcid.apps.jobs import Held, Jobs, Means, begin_deletion, finish
    from arcid.errors import InputError

    who = list(people or ())
    if file is not None:
        try:
            who += [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError):
            raise InputError(f"{file} cannot be read as text in UTF-8") from None
    who = [one for one in who if one]
    confirm(f"Delete {len(who):,} people of {collection} with all that is kept?", yes=yes)
    with open_gallery(database, collection) as gallery:
        job = begin_deletion(gallery, collection, who, origin="command")
        bar = progress_bar("deleting", job.total, quiet=json)
        with bar as advance, Held(gallery, job.id, "command") as held:
            finish(held, Means(step=advance), left="stopped")
        left = list(Jobs(gallery).every_refused(job.id))
        job = Jobs(gallery).get(job.id)
    if json:
        print_json({"job": job.to_dict(), "left": [one.to_dict() for one in left]})
    else:
        say(f"Deleted {job.done - job.refused:,} of {job.total:,} people of {collection}")
        for one in left:
            note(f"refused: {one.label}: {one.message}")
        if job.problem:
            note(f"error: {job.problem}; then name again whom to delete")
    if job.state == "failed":
        raise Exit(SERVICE)
    if job.done == job.refused:
        raise Exit(REJECTED)


def _told(job: Job, json: bool) -> None:
    if json:
        print_json(job.to_dict())
    else:
        _say(job)


def _state(job: Job) -> str:
    return "cut off" if job.silent else job.state


def _say(job: Job) -> None:
    say(f"{_state(job)}: {job.done:,} of {job.total:,} of {job.kind.replace('_', ' ')} in "
        f"{job.collection}, {job.refused:,} refused")  # fmt: skip
    if job.problem:
        say(f"{'it failed' if job.state == 'failed' else 'why'}: {job.problem}")
