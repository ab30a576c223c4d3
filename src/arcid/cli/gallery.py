"""``arcid gallery …``: look after collections, people and their faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.gallery_words import day, print_contracts, yes_no
from arcid.cli.opening import open_gallery
from arcid.cli.options import Database, Metadata, Yes, metadata_from
from arcid.cli.output import (
    Json,
    confirm,
    done,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from arcid import gallery as store

app = typer.Typer(
    help="Look after collections, people and faces.\n\n"
    "People live in collections; each has any number of faces. PERSON is an id or a name, whatever "
    "its case; FACE is an id that arcid gallery person shows. All of these work while the service "
    "is running on the same gallery.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Name of the collection.", metavar="COLLECTION")]


# collections


@app.command("list")
def list_(database: Database = None, json: Json = False) -> None:
    """List the collections.

    Example: arcid gallery list
    """
    with open_gallery(database) as gallery:
        found = gallery.collections()
        if json:
            print_json({"gallery": gallery.url, "collections": [c.to_dict() for c in found]})
            return
    columns = ("collection", "people", "faces", "keeps crops", "created")
    print_table(
        columns,
        [(c.name, c.people, c.faces, yes_no(c.keep_crops), day(c.created_at)) for c in found],
    )


@app.command()
def create(
    name: Name,
    keep_crops: Annotated[
        bool, typer.Option("--keep-crops", help="Keep aligned crops, so models can be changed.")
    ] = False,
    metadata: Metadata = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a collection.

    Keeping crops makes a change of models painless, and keeps pictures of faces.

    Example: arcid gallery create staff --keep-crops
    """
    kept = metadata_from(metadata)
    with open_gallery(database, create=True) as gallery:
        made = gallery.create_collection(name, keep_crops=keep_crops, metadata=kept)
    done(f"Made collection {made.name}.", json, collection=made.to_dict())


@app.command()
def show(name: Name, database: Database = None, json: Json = False) -> None:
    """Show one collection: its size, settings and models.

    Example: arcid gallery show staff
    """
    with open_gallery(database) as gallery:
        found = gallery.collection(name)
        contracts = [usage.to_dict() for usage in gallery.contracts(name)]
    if json:
        print_json({"collection": found.to_dict(), "contracts": contracts})
        return
    say(f"{found.name}: {_count(found)}, made {day(found.created_at)}")
    say(f"keeps crops: {yes_no(found.keep_crops)}")
    for key, value in found.metadata.items():
        say(f"{key}: {value}")
    print_contracts(contracts)


@app.command()
def update(
    name: Name,
    new_name: Annotated[str | None, typer.Option("--name", help="New name.")] = None,
    keep_crops: Annotated[
        bool | None,
        typer.Option("--keep-crops/--no-keep-crops", help="Off erases the crops that are kept."),
    ] = None,
    metadata: Metadata = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Change a collection's name, metadata or whether it keeps aligned crops.

    Example: arcid gallery update staff --name crew --no-keep-crops
    """
    from arcid.errors import UsageError

    if new_name is None and keep_crops is None and not metadata:
        raise UsageError(
            "nothing to change: give --name, --keep-crops, --no-keep-crops, --metadata"
        )
    added = metadata_from(metadata)
    with open_gallery(database) as gallery:
        merged = {**gallery.collection(name).metadata, **added} if added else None
        changed = gallery.update_collection(
            name, new_name=new_name, keep_crops=keep_crops, metadata=merged
        )
    done(f"Changed collection {changed.name}.", json, collection=changed.to_dict())


@app.command()
def delete_collection(
    name: Name, yes: Yes = False, database: Database = None, json: Json = False
) -> None:
    """Delete a collection with everybody in it.

    Asks, unless --yes is given.

    Example: arcid gallery delete-collection staff --yes
    """
    with open_gallery(database) as gallery:
        found = gallery.collection(name)
        confirm(f"Delete collection {name} with {_count(found)}?", yes=yes)
        receipt = gallery.delete_collection(name)
        erasure = gallery.unscrubbed()
    words = f"Deleted collection {name}. Receipt: {receipt}"
    done(words, json, deleted=found.to_dict(), receipt=receipt, erasure=erasure)


def _count(found: store.Collection) -> str:
    people = "1 person" if found.people == 1 else f"{found.people} people"
    return f"{people} and " + ("1 face" if found.faces == 1 else f"{found.faces} faces")
