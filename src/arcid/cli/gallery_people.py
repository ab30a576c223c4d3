"""``arcid gallery people``, ``person``, ``merge`` …: who is in a collection, and their faces."""

from __future__ import annotations

from typing import Annotated

import typer

from arcid.cli.gallery_words import day, yes_no
from arcid.cli.opening import open_gallery
from arcid.cli.options import After, Collection, Database, Person, Where, metadata_from
from arcid.cli.output import (
    Json,
    done,
    note,
    print_json,
    print_table,
    say,
)


def register(app: typer.Typer) -> None:
    app.command()(people)
    app.command()(person)
    app.command()(rename)
    app.command()(metadata)
    app.command()(external_id)
    app.command()(merge)
    app.command()(split)
    app.command()(delete_person)
    app.command()(move_face)
    app.command()(delete_face)


Face = Annotated[str, typer.Argument(help="Face by its id.", metavar="FACE")]


def people(
    collection: Collection = "default",
    search: Annotated[str | None, typer.Option(help="Only names that contain this.")] = None,
    where: Where = None,
    external_id: Annotated[
        str | None, typer.Option("--external-id", help="Only whoever has this id.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    after: After = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List the people of a collection by name, a page at a time.

    Example: arcid gallery people --collection staff --where site=Berlin
    """
    from arcid.errors import UsageError
    from arcid.gallery import Page
    from arcid.gallery.rules import where_of

    only = where_of(where or ())
    if external_id is not None and (search is not None or only):
        raise UsageError("--external-id names one person; leave --search and --where out")
    with open_gallery(database, collection) as gallery:
        if external_id is None:
            found = gallery.people(collection, search=search, where=only, limit=limit, after=after)
        else:
            one = gallery.person_with(collection, external_id)
            found = Page([] if one is None else [one], None)
    if json:
        print_json({"people": [p.to_dict() for p in found], "next": found.next})
        return
    print_table(
        ("name", "faces", "id", "external id"),
        [(p.name, p.faces, p.id, p.external_id or "") for p in found],
    )
    if found.next:
        note(f"there are more: --after {found.next}")


def person(
    person: Person,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Show one person, their metadata and their faces.

    Example: arcid gallery person "Ann Lee" --collection staff
    """
    with open_gallery(database, collection) as gallery:
        found = gallery.person_called(collection, person)
        faces = gallery.faces(collection, found.id)
    if json:
        print_json({"person": found.to_dict(), "faces": [face.to_dict() for face in faces]})
        return
    say(f"{found.name} ({found.id}), enrolled {day(found.created_at)}")
    if found.external_id is not None:
        say(f"external id: {found.external_id}")
    for key, value in found.metadata.items():
        say(f"{key}: {value}")
    columns = ("face", "source", "score", "crop", "models", "enrolled")
    print_table(
        columns,
        [
            (
                face.id,
                face.source,
                "" if face.score is None else f"{face.score:.2f}",
                yes_no(face.has_crop),
                " ".join(contract[:8] for contract in face.contract_ids),
                day(face.created_at),
            )
            for face in faces
        ],
    )


def rename(
    person: Person,
    name: Annotated[str, typer.Argument(help="The new name.", metavar="NAME")],
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Give a person another name.

    Example: arcid gallery rename "Ann Lee" "Ann Lee-Park" --collection staff
    """
    with open_gallery(database, collection) as gallery:
        found = gallery.person_called(collection, person)
        changed = gallery.update_person(collection, found.id, name=name)
    done(f"{found.name} is now {changed.name}.", json, person=changed.to_dict())


def metadata(
    person: Person,
    pairs: Annotated[
        list[str], typer.Argument(help="KEY=VALUE or KEY:=NUMBER to keep.", metavar="KEY=VALUE")
    ],
    replace: Annotated[bool, typer.Option("--replace", help="Forget what is kept now.")] = False,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Keep notes on a person; keys that are there already get the new value.

    Example: arcid gallery metadata "Ann Lee" badge=17 site=north --collection staff
    """
    added = metadata_from(pairs)
    with open_gallery(database, collection) as gallery:
        found = gallery.person_called(collection, person)
        kept = added if replace else {**found.metadata, **added}
        changed = gallery.update_person(collection, found.id, metadata=kept)
    done(f"Changed the metadata of {changed.name}.", json, person=changed.to_dict())


def external_id(
    person: Person,
    value: Annotated[
        str, typer.Argument(help="Their id in another system; empty takes it away.", metavar="ID")
    ],
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Keep a person's id in another system; nobody else of the collection has it.

    Example: arcid gallery external-id "Ann Lee" hr-117 --collection staff
    """
    with open_gallery(database, collection) as gallery:
        found = gallery.person_called(collection, person)
        changed = gallery.update_person(collection, found.id, external_id=value)
    kept = changed.external_id or "none"
    done(f"The external id of {changed.name}: {kept}.", json, person=changed.to_dict())


def merge(
    keep: Annotated[str, typer.Argument(help="Who stays, by id or name.", metavar="KEEP")],
    other: Annotated[str, typer.Argument(help="Whose faces move over.", metavar="OTHER")],
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Make two entries of one person into one.

    Refused where both are in one photo.

    Example: arcid gallery merge "Ann Lee" "Lee, Ann" --collection staff
    """
    with open_gallery(database, collection) as gallery:
        kept = gallery.person_called(collection, keep)
        gone = gallery.person_called(collection, other)
        merged = gallery.merge_people(collection, kept.id, gone.id)
    done(f"{merged.name} now has {merged.faces} faces.", json, person=merged.to_dict())


def split(
    person: Person,
    name: Annotated[str, typer.Argument(help="Name of the new person.", metavar="NAME")],
    faces: Annotated[list[str], typer.Argument(help="Faces that move over.", metavar="FACE")],
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Move some faces of a person to a new person.

    Example: arcid gallery split "Ann Lee" "Eve Lee" 5f0c41d2 --collection staff
    """
    with open_gallery(database, collection) as gallery:
        found = gallery.person_called(collection, person)
        made = gallery.split_person(collection, found.id, faces, name)
    done(f"{made.name} now has {made.faces} faces.", json, person=made.to_dict())


def delete_person(
    person: Person,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Delete a person with all their faces.

    Does not ask.

    Example: arcid gallery delete-person "Ann Lee" --collection staff
    """
    with open_gallery(database, collection) as gallery:
        found = gallery.person_called(collection, person)
        receipt = gallery.delete_person(collection, found.id)
        erasure = gallery.unscrubbed()
    done(
        f"Deleted {found.name} with {found.faces} faces. Receipt: {receipt}",
        json,
        deleted=found.to_dict(),
        receipt=receipt,
        erasure=erasure,
    )


def move_face(
    face: Face,
    person: Person,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Give a face to another person.

    Refused where that person is in the same photo.

    Example: arcid gallery move-face 5f0c41d2 "Eve Lee" --collection staff
    """
    with open_gallery(database, collection) as gallery:
        target = gallery.person_called(collection, person)
        moved = gallery.move_face(collection, face, target.id)
    done(f"Face {moved.id} now belongs to {target.name}.", json, face=moved.to_dict())


def delete_face(
    face: Face, collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Delete one face.

    Does not ask.

    Example: arcid gallery delete-face 5f0c41d2 --collection staff
    """
    with open_gallery(database, collection) as gallery:
        found = gallery.face(collection, face)
        gallery.delete_face(collection, face)
        erasure = gallery.unscrubbed()
    done(f"Deleted face {face}.", json, deleted=found.to_dict(), erasure=erasure)
