"""``arcid people …``: what a person agreed to, and what is their right."""

from __future__ import annotations

from typing import Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import (
    AgreedAt,
    AgreedBy,
    Collection,
    Database,
    Evidence,
    Person,
    Yes,
    consent_from,
)
from arcid.cli.output import Json, clock, confirm, done, print_json, print_table

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
