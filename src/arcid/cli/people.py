"""``arcid people …``: what a person agreed to, and what is their right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import (
    After,
    AgreedAt,
    AgreedBy,
    Collection,
    Database,
    Evidence,
    Person,
    Yes,
    consent_from,
    when,
)
from arcid.cli.output import Json, clock, confirm, done, note, print_json, print_table

app = typer.Typer(
    help="What people agreed to, and what is their right (docs/concepts/privacy.md).\n\n"
    "Who is enrolled is under arcid gallery people. PERSON is an id or a name, whatever its case.",
    no_args_is_help=True,
)


@app.command()
def consent(
    person: Person,
    text: Annotated[
        str, typer.Argument(help="Version of the text they agreed to.", metavar="TEXT")
    ],
    evidence: Evidence = "",
    agreed_by: AgreedBy = "themselves",
    agreed_at: AgreedAt = None,
    what: Annotated[
        str, typer.Option("--what", help="To what; default: the purpose of the collection.")
    ] = "",
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Record that a person agreed.

    Example: arcid people consent "Ann Lee" 2026-03 --evidence "form 117" --collection staff
    """
    from arcid.errors import UsageError
    from arcid.protection import Consents

    given = consent_from(text, evidence, agreed_by, agreed_at, what)
    if given is None:
        raise UsageError("say which text they agreed to")
    with open_gallery(database, collection) as gallery:
        found = gallery.person_called(collection, person)
        made = Consents(gallery).record(collection, found.id, given)
    done(f"Recorded that {found.name} agreed to {made.text}.", json, consent=made.to_dict())


@app.command()
def consents(
    person: Person,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Show what a person agreed to, newest first.

    Example: arcid people consents "Ann Lee" --collection staff
    """
    from arcid.protection import Consents

    with open_gallery(database, collection) as gallery:
        found = gallery.person_called(collection, person)
        kept = Consents(gallery).of(collection, found.id)
    if json:
        print_json({"person": found.to_dict(), "consents": [one.to_dict() for one in kept]})
        return
    rows = [
        (one.text, one.what, one.by, clock(one.given_at), one.evidence, one.recorded_by,
         "" if one.withdrawn_at is None else clock(one.withdrawn_at))
        for one in kept
    ]  # fmt: skip
    print_table(("text", "to what", "by", "given", "evidence", "recorded by", "withdrawn"), rows)


@app.command()
def withdraw(
    person: Person,
    reason: Annotated[str, typer.Option("--reason", help="Kept in the audit; no name.")] = "",
    collection: Collection = "default",
    yes: Yes = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Take back what a person agreed to.

    The collection's policy says what follows: the person is deleted at once, which cannot be undone
    and is asked for first, or stays until somebody decides.

    Example: arcid people withdraw "Ann Lee" --collection staff --yes
    """
    from arcid.protection import Consents, Policies

    with open_gallery(database, collection) as gallery:
        found = gallery.person_called(collection, person)
        if Policies(gallery).of(collection).on_withdrawal == "erase":
            confirm(f"Delete {found.name}, as the policy of {collection} says?", yes=yes)
        led = Consents(gallery).withdraw(collection, found.id, reason=reason)
        erasure = gallery.unscrubbed()
    words = {
        "erased": f"{found.name} withdrew, and is deleted.",
        "review": f"{found.name} withdrew, is found as before, and waits for a decision: "
        "arcid gallery delete-person, or arcid people consent.",
    }
    done(words[led.outcome], json, withdrawal=led.to_dict(), erasure=erasure)


@app.command()
def export(
    person: Person,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to write.")],
    vectors: Annotated[
        bool, typer.Option("--vectors/--no-vectors", help="With the numbers of their faces.")
    ] = True,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Write all that is held of a person to one zip, JSON and pictures, for themselves.

    Faces, consents, events, stays, lists, identity checks, who looked at them, whom it was told.
    Names of other people are left out. It is noted in the audit and in the disclosures.

    Example: arcid people export "Ann Lee" --collection staff -o ann.zip
    """
    from arcid import files
    from arcid.protection import exported

    files.require_place(output)
    with open_gallery(database, collection) as gallery:
        found = gallery.person_called(collection, person)
        data = exported(gallery, collection, found.id, vectors=vectors)
        files.write_bytes(output, data, private=True)
    done(f"{output}: all that is held of {found.name}", json, file=str(output), person=found.id)


@app.command()
def disclosures(
    person: Annotated[
        str | None,
        typer.Option("--person", help="Only about this person, by id; also of one who is erased."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="From this day or time on, ISO 8601; local time.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this day or time.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="Most shown.")] = 100,
    after: After = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Show who was told what about whom, newest first.

    Receivers of events (webhooks, MQTT, mail), files that were exported, people who asked for
    their own data. Kept for three years.

    Example: arcid people disclosures --since 2026-03-01
    """
    from arcid.protection import Disclosures

    with open_gallery(database) as gallery:
        found = Disclosures(gallery).find(
            person_id=person, since=when(since), until=when(until), limit=limit, after=after
        )
    if json:
        print_json({"disclosures": [one.to_dict() for one in found], "next": found.next})
        return
    rows = [
        (clock(one.at), one.kind, one.recipient, one.actor, one.person_id or "", one.what)
        for one in found
    ]
    print_table(("when", "how", "to", "by", "about", "what"), rows)
    if found.next:
        note(f"there are more: --after {found.next}")
