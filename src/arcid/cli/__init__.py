"""The ``arcid`` command. Thin: each command parses, calls the library, prints.

Exit codes: 0 ok · 1 no match, or rejected · 2 usage · 3 bad input · 4 model problem · 5 gallery
or service problem. ``--json`` prints one JSON object on standard output, errors included;
progress and messages go to standard error.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from arcid.cli import (
    access,
    accounts,
    align,
    attend,
    audit,
    audit_inversion,
    bench,
    calibrate,
    clean,
    compare,
    demo,
    detector,
    detector_landmarks,
    distil,
    doctor,
    duplicate_runs,
    duplicates,
    enrol,
    evaluate,
    evaluate_fusion,
    evaluate_groups,
    evaluate_searches,
    evaluate_seeds,
    events,
    export,
    faces,
    finetune,
    gallery,
    gallery_backup,
    gallery_index,
    gallery_people,
    gallery_policy,
    gallery_retention,
    gallery_upkeep,
    import_systems,
    importing,
    invert,
    jobs,
    keys,
    liveness,
    mcp,
    models,
    models_choice,
    models_import,
    mongodb,
    onboarding,
    onboarding_evidence,
    people,
    receipts,
    review,
    search,
    serve,
    study,
    train,
    verify,
    watchlist,
    watchlist_alerts,
    watchlist_budget,
    webhooks,
)
from arcid.cli.output import OK, Exit, run_command, say

app = typer.Typer(
    name="arcid",
    help="Self-hosted face identity: detect, verify, enrol and search faces, offline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from arcid import __version__

        say(f"arcid {__version__}")
        raise Exit(OK)


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """What concerns no single command."""


faces.register(app)
verify.register(app)
search.register(app)
enrol.register(app)
calibrate.register(app)
compare.register(app)
serve.register(app)
demo.register(app)
mcp.register(app)
attend.register(app)
doctor.register(app)
bench.register(app)
liveness.register(app)
align.register(app)
train.register(app)
study.register(app)
clean.register(app)
distil.register(app)
finetune.register(app)
invert.register(app)
export.register(app)
for part in (evaluate_searches, evaluate_groups, evaluate_seeds, evaluate_fusion):
    part.register(evaluate.app)
for part in (
    gallery_people,
    gallery_policy,
    gallery_retention,
    gallery_upkeep,
    gallery_index,
    gallery_backup,
):
    part.register(gallery.app)
onboarding_evidence.register(onboarding.app)
models_import.register(models.app)
models_choice.register(models.app)
detector_landmarks.register(detector.app)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(events.app, name="events")
app.add_typer(gallery.app, name="gallery")
app.add_typer(people.app, name="people")
app.add_typer(receipts.app, name="receipts")
app.add_typer(review.app, name="review")
duplicate_runs.register(duplicates.app)
app.add_typer(duplicates.app, name="duplicates")
watchlist_budget.register(watchlist.app)
watchlist_alerts.register(watchlist.app)
app.add_typer(watchlist.app, name="watchlist")
audit_inversion.register(audit.app)
app.add_typer(audit.app, name="audit")
app.add_typer(onboarding.app, name="onboarding")
app.add_typer(access.app, name="access")
app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.add_typer(webhooks.app, name="webhooks")
import_systems.register(importing.app)
mongodb.register(importing.app, gallery.app)
app.add_typer(importing.app, name="import")
app.add_typer(jobs.app, name="jobs")
app.add_typer(models.app, name="models")
app.add_typer(detector.app, name="detector")


def _unwrap(group: typer.Typer) -> None:
    """Let the terminal wrap help texts, not the source file."""
    for command in group.registered_commands:
        text = inspect.cleandoc(command.help or getattr(command.callback, "__doc__", "") or "")
        command.help = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _unwrap(inner.typer_instance)


_unwrap(app)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    sys.exit(run_command(app, sys.argv[1:] if argv is None else list(argv)))
