"""``arcid audit …``: who looked at or decided about people, and whether the record is whole."""

from __future__ import annotations

import json as json_
from typing import Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import After, Database, when
from arcid.cli.output import SERVICE, Exit, Json, clock, note, print_json, print_table, say

app = typer.Typer(
    help="Who looked at or decided about people, when and why.\n\n"
    "Rows are written once, hold ids and no names, and form a chain over the whole database.",
    no_args_is_help=True,
)


@app.command("list")
def list_(
    actor: Annotated[
        str | None, typer.Option("--actor", help="Only by these: account:ID, key:ID, os:1000, …")
    ] = None,
    verb: Annotated[
        str | None,
        typer.Option("--verb", help="Only this: person.delete, or person for all about people."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="Only about this: person:ID, face:ID, event:ID.")
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option("--collection", help="Only of this collection, by name, or by id if deleted."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="From this day or time on, ISO 8601; local time.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this day or time.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="Most rows shown.")
    ] = 100,
    after: After = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List what was done, newest first.

    Example: arcid audit list --verb person --since 2026-03-01
    """
    from arcid.events import Audit

    with open_gallery(database) as gallery:
        found = Audit(gallery).find(
            actor=actor, verb=verb, subject=subject, collection=collection, since=when(since),
            until=when(until), limit=limit, after=after,
        )  # fmt: skip
    if json:
        print_json({"entries": [one.to_dict() for one in found], "next": found.next})
        return
    rows = [
        (one.seq, clock(one.at), one.actor, one.address or "", one.verb, one.subject, one.reason,
         json_.dumps(dict(one.details)) if one.details else "")
        for one in found
    ]  # fmt: skip
    print_table(("", "when", "who", "from", "what", "about", "why", "details"), rows)
    if found.next:
        note(f"there are more: --after {found.next}")


@app.command()
def verify(
    fingerprint: Annotated[
        list[str] | None,
        typer.Option(
            "--fingerprint",
            help="Of a key that seals may be signed by, whole; may be repeated; default: that of "
            "signing.key in ARCID_HOME.",
        ),
    ] = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Check that no row was altered, removed or moved, and every seal; exit code 5 where one was.

    Names the first such row, and prints the digest of the newest: kept elsewhere, it shows
    later that everything up to it is still as it was. Days that nobody sealed are said.

    Example: arcid audit verify
    """
    from arcid import paths
    from arcid.events import Audit
    from arcid.events.seals import own_keys

    with open_gallery(database) as gallery:
        found = Audit(gallery).verify(set(fingerprint or ()) or own_keys(paths.home_dir()))
    if json:
        print_json(found.to_dict())
    elif found.problem is None:
        say(f"{found.rows} rows, each as it was written; the newest is {found.digest}")
        say(
            f"sealed up to row {found.sealed}, seals: {found.seals}"
            if found.seals
            else "no day is sealed"
        )
    else:
        say(f"{found.problem}; the {found.rows} rows before it are as they were written")
    for day in found.unsealed_days:
        note(f"nobody sealed {day}")
    if found.problem is not None:
        raise Exit(SERVICE)


@app.command()
def seal(database: Database = None, json: Json = False) -> None:
    """Seal the day before, where that is not done; the service does it every day.

    Prints the newest seal, for keeping elsewhere.

    Example: arcid audit seal
    """
    from arcid import paths
    from arcid.events.seals import Seals

    with open_gallery(database) as gallery:
        seals = Seals(gallery, paths.home_dir())
        seals.seal()
        every = seals.all()
    if json:
        print_json({"seals": [one.to_dict() for one in every]})
        return
    say(every[0].file.strip() if every else "nothing was written yet")
