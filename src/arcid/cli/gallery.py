"""``arcid gallery …``: look after collections, people and their faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import After, Collection, Database, Metadata, Person, Yes, metadata_from
from arcid.cli.output import (
    SERVICE,
    Exit,
    Json,
    confirm,
    done,
    note,
    print_json,
    print_table,
    say,
    say_facts,
)
from arcid.progress import progress_bar

if TYPE_CHECKING:
    from arcid import gallery as store
    from arcid.models.weights import Bundle

app = typer.Typer(
    help="Look after collections, people and faces.\n\n"
    "People live in collections; each has any number of faces. PERSON is an id or a name, whatever "
    "its case; FACE is an id that arcid gallery person shows. All of these work while the service "
    "is running on the same gallery.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Name of the collection.", metavar="COLLECTION")]
Face = Annotated[str, typer.Argument(help="Face by its id.", metavar="FACE")]


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
        [(c.name, c.people, c.faces, _yes_no(c.keep_crops), _day(c.created_at)) for c in found],
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
    say(f"{found.name}: {_count(found)}, made {_day(found.created_at)}")
    say(f"keeps crops: {_yes_no(found.keep_crops)}")
    for key, value in found.metadata.items():
        say(f"{key}: {value}")
    _print_contracts(contracts)


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
        gallery.delete_collection(name)
        erasure = gallery.unscrubbed()
    done(f"Deleted collection {name}.", json, deleted=found.to_dict(), erasure=erasure)


# people


@app.command()
def people(
    collection: Collection = "default",
    search: Annotated[str | None, typer.Option(help="Only names that contain this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    after: After = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List the people of a collection by name, a page at a time.

    Example: arcid gallery people --collection staff --search ann
    """
    with open_gallery(database, collection) as gallery:
        found = gallery.people(collection, search=search, limit=limit, after=after)
    if json:
        print_json({"people": [p.to_dict() for p in found], "next": found.next})
        return
    print_table(("name", "faces", "id"), [(p.name, p.faces, p.id) for p in found])
    if found.next:
        note(f"there are more: --after {found.next}")


@app.command()
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
    say(f"{found.name} ({found.id}), enrolled {_day(found.created_at)}")
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
                _yes_no(face.has_crop),
                " ".join(contract[:8] for contract in face.contract_ids),
                _day(face.created_at),
            )
            for face in faces
        ],
    )


@app.command()
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


@app.command()
def metadata(
    person: Person,
    pairs: Annotated[list[str], typer.Argument(help="KEY=VALUE to keep.", metavar="KEY=VALUE")],
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


@app.command()
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


@app.command()
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


@app.command()
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
        gallery.delete_person(collection, found.id)
        erasure = gallery.unscrubbed()
    done(
        f"Deleted {found.name} with {found.faces} faces.",
        json,
        deleted=found.to_dict(),
        erasure=erasure,
    )


# faces


@app.command()
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


@app.command()
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


# models


@app.command()
def status(
    collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Show how far a collection has come with each model.

    Its faces and people, and how many people it cannot find yet.

    Example: arcid gallery status --collection staff
    """
    with open_gallery(database, collection) as gallery:
        contracts = [usage.to_dict() for usage in gallery.contracts(collection)]
    if json:
        print_json({"collection": collection, "contracts": contracts})
        return
    _print_contracts(contracts)
    for usage in contracts:
        if usage["missing_people"]:
            say(
                f"{usage['missing_people']} people cannot be found by {usage['model_name']} yet: "
                "re-embed them, or enrol them again where no crop is kept"
            )


@app.command()
def reembed(
    collection: Collection = "default",
    to: Annotated[
        str | None,
        typer.Option(
            "--to", help="Recogniser to change to; default: ARCID_RECOGNISER, else arcid's own."
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1024, help="Crops embedded at a time.")] = 64,
    database: Database = None,
    json: Json = False,
) -> None:
    """Embed the kept crops with another model, beside the vectors that are there.

    Both models find people until the old one's vectors are dropped. May be stopped and started
    again. Faces without a crop stay with the old model: enrol those people again.

    Example: arcid gallery reembed --collection staff --to w600k_r50
    """
    from arcid import pipeline
    from arcid.models import weights

    with open_gallery(database, collection) as gallery:
        total = gallery.collection(collection).faces
        bundle = weights.resolve(to) if to else weights.resolve_default("recognition")
        _check_template(bundle, [usage.contract_id for usage in gallery.contracts(collection)])
        embedder = pipeline.load_embedder(bundle)
        with progress_bar("embedding", total, quiet=json) as advance:
            report = gallery.reembed(
                collection,
                embedder.embed,
                embedder.contract_id,
                batch=batch,
                progress=_steps(advance),
                model_name=bundle.name,
            )
    values = {"model": bundle.name, "contract_id": embedder.contract_id, **asdict(report)}
    words = f"{report.done} faces embedded by {bundle.name}, {report.already} were already."
    if report.without_crop:
        words += (
            f" {report.without_crop} have no crop to embed: enrol those people again; "
            "until then the old model finds them (arcid gallery status)."
        )
    done(words, json, **values)


@app.command()
def drop_contract(
    contract: Annotated[
        str, typer.Argument(help="Contract id, or how it begins.", metavar="CONTRACT")
    ],
    collection: Collection = "default",
    force: Annotated[
        bool, typer.Option("--force", help="Even where people are left without any vector.")
    ] = False,
    yes: Yes = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Erase the vectors of a model that is no longer used.

    Asks, unless --yes is given; refused while somebody would be left without a vector, unless
    --force is given.

    Example: arcid gallery drop-contract 277947407cfc --collection staff --yes
    """
    from arcid.errors import UsageError

    with open_gallery(database, collection) as gallery:
        usages = [u for u in gallery.contracts(collection) if u.contract_id.startswith(contract)]
        if len(usages) != 1:
            raise UsageError(
                f"{len(usages)} models of collection {collection!r} have a contract id that "
                f"begins with {contract!r}; see: arcid gallery status --collection {collection}"
            )
        usage = usages[0]
        confirm(f"Erase {usage.faces} vectors of {usage.model_name}?", yes=yes)
        erased = gallery.drop_contract(collection, usage.contract_id, force=force)
    done(f"Erased {erased} vectors.", json, contract_id=usage.contract_id, erased=erased)


# health


@app.command()
def check(
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="Acknowledged writes that are gone are known and dealt with."
        ),
    ] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Check that the gallery is sound and whole; exit code 5 when it is not.

    Example: arcid gallery check
    """
    with open_gallery(database) as gallery:
        if accept_loss:
            gallery.accept_losses()
        findings = gallery.check()
        if json:
            print_json({"gallery": gallery.url, "sound": not findings, "findings": findings})
        else:
            say("\n".join(findings) if findings else f"{gallery.url} is sound")
    if findings:
        raise Exit(SERVICE)


@app.command()
def scrub(database: Database = None, json: Json = False) -> None:
    """Write the database anew, so that nothing deleted is left in unused parts of it.

    It happens by itself in galleries of up to 64 MiB. Needs as much free disk, and on SQLite
    memory, as the database is large.

    Example: arcid gallery scrub
    """
    with open_gallery(database) as gallery:
        gallery.scrub()
        erasure = gallery.unscrubbed()
    done("Nothing deleted is left in the database.", json, erasure=erasure)


@app.command()
def stats(database: Database = None, json: Json = False) -> None:
    """Show the database behind the gallery: schema, journal, size, rows.

    Example: arcid gallery stats
    """
    with open_gallery(database) as gallery:
        values = {"gallery": gallery.url, **gallery.stats()}
    if json:
        print_json(values)
        return
    say_facts(values)


def _count(found: store.Collection) -> str:
    people = "1 person" if found.people == 1 else f"{found.people} people"
    return f"{people} and " + ("1 face" if found.faces == 1 else f"{found.faces} faces")


def _check_template(bundle: Bundle, contracts: Sequence[str]) -> None:
    """Kept crops are cut for the recogniser they were enrolled with; refuse another cut."""
    from arcid.errors import ModelUnsupported
    from arcid.models import weights

    for contract in contracts:
        old = weights.of_contract(contract)
        if old and old.manifest.template != bundle.manifest.template:
            raise ModelUnsupported(
                f"{bundle.name} wants faces cut by {bundle.manifest.template!r}, the kept crops "
                f"were cut by {old.manifest.template!r} for {old.name}: enrol people again"
            )


def _steps(advance: Callable[[int], None]) -> Callable[[int, int], None]:
    """A progress callback (done, total) over one that takes increments."""
    last = 0

    def progress(done: int, total: int) -> None:
        nonlocal last
        advance(done - last)
        last = done

    return progress


def _print_contracts(contracts: Sequence[dict[str, Any]]) -> None:
    columns = ("model", "contract", "faces", "people", "people missing")
    print_table(
        columns,
        [
            (u["model_name"], u["contract_id"][:12], u["faces"], u["people"], u["missing_people"])
            for u in contracts
        ],
    )


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _day(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%d %H:%M"))
