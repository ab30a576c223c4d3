"""``arcid gallery mongodb``: who people are, written to MongoDB."""

from __future__ import annotations

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Collection, Database, Documents
from arcid.cli.output import Json, print_json, say


def register(app: typer.Typer) -> None:
    app.command("mongodb")(write)


def write(
    documents: Documents,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Write who the people of a collection are to MongoDB at ARCID_MONGODB_URL; no face, no vector.

    The first time all of them, then what changed; who was erased here is deleted there.

    Example: arcid gallery mongodb arcid.people --collection staff
    """
    from arcid.apps import mongodb

    with mongodb.connected(documents) as there, open_gallery(database, collection) as gallery:
        done = mongodb.write(gallery, collection, there)
    if json:
        print_json(done.to_dict())
        return
    say(f"{done.written} documents written, {done.removed} deleted")
