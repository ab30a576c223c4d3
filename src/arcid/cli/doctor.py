"""``arcid doctor``: what is in use on this machine, what is wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from arcid.cli.options import Database
from arcid.cli.output import MODEL, OK, SERVICE, Exit, Json, print_json, say, say_facts

if TYPE_CHECKING:
    from arcid.apps.doctor import Report
    from arcid.gallery import Gallery


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(database: Database = None, json: Json = False) -> None:
    """Say which runtime, instruction sets, models and database are in use and what is wrong.

    A calibration that does not support comparing two photos at the default rate is a problem (exit
    code 4), and so is a collection nobody of which the recogniser in use can find; a collection too
    large for the calibration at the default rate is a note, since its searches end in review.

    Example: arcid doctor
    """
    from arcid.apps.doctor import examine

    report = examine(database, _console_key)
    code = _exit_code(report)
    if json:
        problems = [asdict(problem) for problem in report.problems]
        print_json({"ok": code == OK, **report.facts, "problems": problems})
    else:
        _print(report)
    if code != OK:
        raise Exit(code)


def _console_key(gallery: Gallery, report: Report) -> None:
    from arcid import paths
    from arcid.server.console.auth.copies import doubt

    if found := doubt(gallery.database, paths.home_dir()):
        report.warn("system", found.message, found.advice)


def _exit_code(report: Report) -> int:
    areas = {problem.area for problem in report.problems if problem.serious}
    if areas & {"models", "runtime", "system"}:
        return MODEL
    return SERVICE if "database" in areas else OK


def _print(report: Report) -> None:
    from arcid.types import counted

    for section, facts in report.facts.items():
        say(f"{section}:")
        say_facts(facts, none="not installed", indent="  ")
        if not facts:
            say("  nothing set")
    say("")
    for problem in report.problems:
        kind = "PROBLEM" if problem.serious else "note"
        say(f"{kind} ({problem.area}): {problem.message}\n  → {problem.advice}")
    serious = sum(problem.serious for problem in report.problems)
    notes = len(report.problems) - serious
    if serious:
        say(f"{counted(serious, 'problem')} to solve")
    else:
        say(
            "everything that is needed works"
            + (f"; {counted(notes, 'note')} above" if notes else "")
        )
