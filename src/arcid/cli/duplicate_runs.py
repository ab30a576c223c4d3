"""``arcid duplicates run``, ``status``, ``stop``: everybody compared with everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.answers import calibration_of, note_provisional
from arcid.cli.duplicate_pairs import print_pairs
from arcid.cli.opening import open_gallery
from arcid.cli.options import Actor, Collection, Database, Ray, Workers, operator
from arcid.cli.output import REJECTED, Exit, Json, clock, note, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.duplicates import Run
    from arcid.gallery import Gallery


def register(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(status)
    app.command()(stop)


def run(
    with_: Annotated[
        str | None,
        typer.Option("--with", help="Compare with the people of that collection instead."),
    ] = None,
    false_pairs: Annotated[
        float,
        typer.Option(
            "--false-pairs", help="At most so many false pairs are expected in this run.", min=0
        ),
    ] = 5.0,
    allow_extrapolation: Annotated[
        bool,
        typer.Option(
            "--allow-extrapolation", help="Use the calibration beyond its data, and say so."
        ),
    ] = False,
    since_last: Annotated[
        bool,
        typer.Option("--since-last", help="Compare only who came since the last whole run."),
    ] = False,
    resume: Annotated[
        str | None, typer.Option("--resume", help="Go on with a run, by its id.", metavar="RUN")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=256, help="Default: every core.")
    ] = None,
    workers: Workers = 1,
    ray: Ray = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Whose vectors; default: the default recogniser's, or those there are."
        ),
    ] = None,
    actor: Actor = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Compare everybody with everybody, and list who may be one person.

    The threshold follows from the number of comparisons and from how many false pairs are expected
    at most. Ctrl-C stops a run after its last whole block; --resume goes on from there, after a
    kill or a power cut too. Exit code 1 where arcid duplicates stop ended it. With --workers or
    --ray, processes compare and this one writes; each opens the gallery by its own keys.

    Example: arcid duplicates run --collection staff --false-pairs 5
    """
    from arcid import sharding
    from arcid.apps.duplicates import Duplicates, work
    from arcid.errors import WorkerLost
    from arcid.progress import progress_bar

    with (
        sharding.workers(workers, ray, threads=threads) as over,
        open_gallery(database, collection) as gallery,
    ):
        found = Duplicates(gallery)
        if resume is not None:
            asked = found.runs.get(collection, resume)
            calibration = calibration_of(asked.contract_id)
        else:
            calibration = calibration_of(_contract(gallery, collection, model))
            asked = found.runs.begin(
                collection, calibration, other=with_, since_last=since_last,
                false_pairs=false_pairs, allow_extrapolation=allow_extrapolation,
                actor=operator(actor),
            )  # fmt: skip
        if not json:
            note(f"run {asked.id}: {asked.promise}")
            note_provisional(calibration, False)
        with progress_bar("comparing", asked.blocks, quiet=json) as advance:
            advance(asked.done)
            try:
                done = work(
                    gallery, collection, asked.id, calibration, threads=threads, over=over,
                    progress=lambda done, blocks: advance(1),
                )  # fmt: skip
            except (KeyboardInterrupt, WorkerLost):
                note(
                    f"stopped; go on with: arcid duplicates run --collection {collection} "
                    f"--resume {asked.id}"
                )
                raise
        best = found.find(collection, run_id=done.id, limit=20)
    if json:
        print_json({"run": done.to_dict(), "pairs": [pair.to_dict() for pair in best]})
    else:
        print_pairs(best)
        _say_run(done)
    if done.state != "done":
        raise Exit(REJECTED)


def status(
    run: Annotated[str | None, typer.Argument(help="Run by its id; default: all.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Most runs shown.")] = 20,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Show runs: how far they are, what their threshold means, what they found.

    Example: arcid duplicates status --collection staff
    """
    from arcid.apps.duplicates import Runs

    with open_gallery(database, collection) as gallery:
        runs = Runs(gallery)
        found = [runs.get(collection, run)] if run else list(runs.find(collection, limit=limit))
    if json:
        print_json({"collection": collection, "runs": [one.to_dict() for one in found]})
        return
    rows = [
        (clock(one.started_at), _state(one), f"{one.share:.0%}", one.pairs, one.open, one.id)
        for one in found
    ]
    print_table(("began", "state", "done", "pairs", "open", "id"), rows)
    if run:
        say(found[0].promise)


def stop(
    run: Annotated[str, typer.Argument(help="Run by its id.", metavar="RUN")],
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Stop a run that another process works on; what it found so far stays.

    Example: arcid duplicates stop 3f2a9c --collection staff
    """
    from arcid.apps.duplicates import Runs

    with open_gallery(database, collection) as gallery:
        done = Runs(gallery).stop(collection, run)
    if json:
        print_json(done.to_dict())
    else:
        _say_run(done)


def _contract(gallery: Gallery, collection: str, model: str | None) -> str:
    """The model asked for, else the default where it embedded anybody, else the one that did."""
    from arcid.models import weights

    bundle = weights.resolve(model) if model else weights.resolve_default("recognition")
    contract = bundle.manifest.contract_id
    known = sorted(gallery.contracts(collection), key=lambda usage: usage.faces)
    if model or not known or contract in {usage.contract_id for usage in known}:
        return contract
    return known[-1].contract_id


def _state(run: Run) -> str:
    return "cut off" if run.silent else run.state


def _say_run(run: Run) -> None:
    say(f"{_state(run)}: {run.done:,} of {run.blocks:,} blocks, {run.pairs:,} pairs, {run.open:,} "
        f"wait for an answer; {run.promise}")  # fmt: skip
    if run.problem:
        say(f"it failed: {run.problem}")
