"""``arcid gallery policy``: what a collection is for, who must agree, how long what is kept."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Database
from arcid.cli.output import Json, print_json, say

Name = Annotated[str, typer.Argument(help="Name of the collection.", metavar="COLLECTION")]
Span = str | None
NEVER = "never"


def register(app: typer.Typer) -> None:
    app.command()(policy)


def policy(
    name: Name,
    purpose: Annotated[str | None, typer.Option(help="What the collection is for.")] = None,
    legal_basis: Annotated[
        str | None, typer.Option("--legal-basis", help="By what right, as: consent, Art. 9(2)(a).")
    ] = None,
    consent: Annotated[
        bool | None,
        typer.Option(
            "--consent/--no-consent", help="Whether nobody is enrolled who did not agree."
        ),
    ] = None,
    on_withdrawal: Annotated[
        str | None,
        typer.Option(
            "--on-withdrawal", help="erase: the person is deleted; review: somebody decides."
        ),
    ] = None,
    unseen_days: Annotated[
        Span,
        typer.Option(help="People are deleted so long after they were seen or enrolled; or never."),
    ] = None,
    keep_days: Annotated[
        Span, typer.Option(help="People are deleted so long after they were added; or never.")
    ] = None,
    strangers_hours: Annotated[
        float | None, typer.Option(help="For so long faces of strangers are kept; 720 at most.")
    ] = None,
    event_faces_days: Annotated[
        float | None, typer.Option(help="For so long faces behind events of known people are kept.")
    ] = None,
    refused_days: Annotated[
        Span,
        typer.Option(
            help="For so long faces said not to be somebody are kept, as numbers; or never erased."
        ),
    ] = None,
    crops_for: Annotated[
        str | None,
        typer.Option(
            help="Roles that may see pictures of faces, with commas; key: API keys; all: whoever "
            "may see people; none."
        ),
    ] = None,
    published: Annotated[
        bool | None,
        typer.Option("--published/--not-published", help="On the page for the public, /privacy."),
    ] = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Show what a collection is for and how long what is kept; with options, change that.

    A shorter time erases at the next turn of the service, or of arcid gallery retention.

    Example: arcid gallery policy staff --purpose "Opening doors" --consent --unseen-days 365
    """
    from arcid.protection import Policies

    given: dict[str, Any] = {
        "purpose": purpose, "legal_basis": legal_basis, "consent": consent,
        "on_withdrawal": on_withdrawal, "strangers_hours": strangers_hours,
        "event_faces_days": event_faces_days, "published": published,
    }  # fmt: skip
    changes = {key: value for key, value in given.items() if value is not None}
    spans = {"unseen_days": unseen_days, "keep_days": keep_days, "refused_days": refused_days}
    changes |= {key: _days(text) for key, text in spans.items() if text is not None}
    if crops_for is not None:
        changes["crops_for"] = _roles(crops_for)
    with open_gallery(database) as gallery:
        policies = Policies(gallery)
        found = policies.change(name, **changes) if changes else policies.of(name)
        standing = policies.standing(name)
    if json:
        print_json({"collection": name, "policy": found.to_dict(), "standing": standing.to_dict()})
        return
    say(f"purpose: {found.purpose or 'not stated'}")
    say(f"legal basis: {found.legal_basis or 'not stated'}")
    led_to = "deletes the person" if found.on_withdrawal == "erase" else "is left to somebody"
    if found.consent:
        say(f"consent: demanded; {standing.agreed} of {standing.people} people agreed")
    else:
        say("consent: not demanded")
    say(f"withdrawing consent {led_to}")
    for one in standing.withdrawn:
        say(f"withdrew, and waits for a decision: {one}")
    say(f"people are deleted: {_since(found.unseen_days, found.keep_days)}")
    say(f"faces of strangers are kept for {found.strangers_hours:g} hours")
    say(f"faces behind events of known people are kept for {found.event_faces_days:g} days")
    kept = "as long as the person" if found.refused_days is None else f"{found.refused_days:g} days"
    say(f"faces said not to be somebody are kept for {kept}")
    roles = "whoever may see people" if found.crops_for is None else ", ".join(found.crops_for)
    say(f"pictures of faces are for {roles or 'nobody'}")
    say(f"for the public: {'yes' if found.published else 'no'}")


def _since(unseen: float | None, keep: float | None) -> str:
    said = []
    if unseen is not None:
        said.append(f"{unseen:g} days after they were seen or enrolled last")
    if keep is not None:
        said.append(f"{keep:g} days after they were added")
    return ", or ".join(said) or "by hand only"


def _days(text: str) -> float | None:
    from arcid.errors import UsageError

    if text == NEVER:
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is no number of days; write a number, or {NEVER}") from None


def _roles(text: str) -> tuple[str, ...] | None:
    if text == "all":
        return None
    return () if text == "none" else tuple(word.strip() for word in text.split(",") if word.strip())
