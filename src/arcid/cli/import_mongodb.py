"""``arcid import mongodb``: who people are, kept in MongoDB."""

from __future__ import annotations

from typing import Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Collection, Database, Documents
from arcid.cli.output import Json, note, print_json, say


def register(app: typer.Typer) -> None:
    app.command("mongodb")(fetch)


def fetch(
    documents: Documents,
    collection: Collection = "default",
    name: Annotated[str, typer.Option(help="The field that holds a person's name.")] = "name",
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what changes there, until stopped.")
    ] = False,
    erase: Annotated[
        bool,
        typer.Option("--erase", help="With --follow: who is deleted there is erased here."),
    ] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Add people, or change them, as the documents of MongoDB at ARCID_MONGODB_URL say.

    A document's _id is a person's external id; all fields but the name are metadata. Faces are
    enrolled as ever. --follow needs a replica set, and goes on where it was stopped.

    Example: arcid import mongodb hr.staff --collection staff
    """
    from arcid.apps import mongodb
    from arcid.errors import UsageError

    if erase and not follow:
        raise UsageError("--erase goes with --follow: only a change says that somebody is gone")
    with mongodb.connected(documents) as there, open_gallery(database, collection) as gallery:
        if follow:
            done = mongodb.follow(gallery, collection, there, name=name, erase=erase)
        else:
            done = mongodb.fetch(gallery, collection, there, name=name)
    if json:
        print_json(done.to_dict())
        return
    say(f"{done.written} people added, or as their documents say")
    if done.removed or done.kept:
        say(f"{done.removed} erased; {done.kept} deleted there and kept here")
    for uid, why in done.refused.items():
        note(f"{uid}: {why}")
