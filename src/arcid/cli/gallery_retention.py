"""``arcid gallery retention``: what is older than its collection keeps it, and erasing that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Database, Yes
from arcid.cli.output import Json, clock, confirm, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.protection import Counts, Run

COLUMNS = ("collection", "people", "strangers' faces", "faces behind events", "refused faces")


def register(app: typer.Typer) -> None:
    app.command()(retention)


def retention(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what is too old, and erase nothing.")
    ] = False,
    runs: Annotated[
        bool, typer.Option("--runs", help="Show what was erased when, and erase nothing.")
    ] = False,
    yes: Yes = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Erase people and faces that are older than their collections keep them.

    Asks, unless --yes is given. The service does it by itself every ten minutes, one process at a
    time; a turn that is ended in the middle is gone on with by the next.

    Example: arcid gallery retention --dry-run
    """
    from arcid.protection import Retention

    with open_gallery(database) as gallery:
        book = Retention(gallery)
        if runs:
            names = {one.id: one.name for one in gallery.collections()}
            _tell_runs(book.runs(), names, json)
            return
        due = book.due()
        total = sum(counts.total for counts in due.values())
        if dry_run:
            if json:
                print_json({"due": {name: one.to_dict() for name, one in due.items()}})
                return
            _tell(due)
            return
        if total:
            people = sum(counts.people for counts in due.values())
            confirm(f"Erase {people} people and {total - people} faces for good?", yes=yes)
        run = book.carry_out()
    if json:
        print_json({"run": run.to_dict()})
    else:
        say(f"Erased {run.total}." if run.total else "Nothing is too old.")


def _tell(due: Mapping[str, Counts]) -> None:
    print_table(COLUMNS, [(name, *one.to_dict().values()) for name, one in due.items()])


def _tell_runs(runs: list[Run], names: Mapping[str, str], json: bool) -> None:
    if json:
        print_json({"runs": [run.to_dict() for run in runs]})
        return
    rows = [
        (clock(run.began_at), "not ended" if run.ended_at is None else clock(run.ended_at),
         names.get(uid, uid), *counts.to_dict().values())
        for run in runs
        for uid, counts in run.erased.items()
    ]  # fmt: skip
    print_table(("began", "ended", *COLUMNS), rows)
    if runs:
        say(f"The last turn began {clock(runs[0].began_at)}, by {runs[0].by}.")
    else:
        say("There was no turn yet.")
