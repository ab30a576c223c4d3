"""``arcid onboarding …``: who somebody is, by their document and their face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from arcid.cli.answers import print_checks
from arcid.cli.opening import open_gallery
from arcid.cli.options import (
    Actor,
    After,
    Collection,
    Database,
    Note,
    SessionId,
    operator,
)
from arcid.cli.output import Json, clock, note, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.onboarding.records import Session

app = typer.Typer(
    help="Who somebody is, by document and face: sessions, cases for a human, evidence.\n\n"
    "Applicants go through a session on the page of the service that their link opens.",
    no_args_is_help=True,
)


@app.command()
def start(
    reference: Annotated[
        str, typer.Option("--reference", help="Your own, kept with it; no names.")
    ] = "",
    hours: Annotated[float, typer.Option(min=0.1, help="Until the session expires.")] = 24.0,
    keep_days: Annotated[
        float, typer.Option("--keep-days", min=0.1, help="Until all of it is erased.")
    ] = 30.0,
    fmr: Annotated[
        float, typer.Option(help="Accepted at this false match rate of document and face.")
    ] = 1e-4,
    enrol: Annotated[bool, typer.Option("--enrol", help="Enrol whoever is accepted.")] = False,
    live: Annotated[
        bool, typer.Option("--live/--selfie", help="A head that turns as asked, or a picture.")
    ] = True,
    keep_pictures: Annotated[
        bool, typer.Option("--keep-pictures/--no-pictures", help="Of decided cases.")
    ] = True,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Begin a session, and print the token of its link, which is told once.

    Example: arcid onboarding start --reference "case 7" --collection members
    """
    from arcid.apps.onboarding.cases import Cases
    from arcid.apps.onboarding.records import Rules

    rules = Rules(
        fmr=fmr, review_fmr=max(fmr, 1e-2), hours=hours, keep_days=max(keep_days, hours / 24),
        enrol=enrol, live=live, keep_pictures=keep_pictures,
    )  # fmt: skip
    with open_gallery(database, collection) as gallery:
        session, token = Cases(gallery).start(collection, reference=reference, rules=rules)
    if json:
        print_json({"session": session.to_dict(), "token": token, "path": f"/onboarding/#{token}"})
        return
    say(f"session {session.id}, until {clock(session.expires_at)}")
    say(f"the applicant's link on the service: /onboarding/#{token}")


@app.command("list")
def list_(
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            help="started, consented, documented, review, accepted, rejected, expired or "
            "withdrawn; may be repeated; default: all.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="Most sessions shown.")
    ] = 100,
    after: After = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """List sessions, newest first.

    Example: arcid onboarding list --state review --collection members
    """
    from arcid.apps.onboarding.cases import Cases
    from arcid.apps.onboarding.records import STATES
    from arcid.errors import UsageError

    if unknown := set(state or ()) - set(STATES):
        raise UsageError(f"state {unknown.pop()!r} is unknown; use {', '.join(STATES)}")
    with open_gallery(database, collection) as gallery:
        found = Cases(gallery).find(collection, states=state or (), limit=limit, after=after)
        waiting = Cases(gallery).waiting(collection)
    if json:
        rows = [one.to_dict() for one in found]
        page = {"sessions": rows, "next": found.next}
        print_json({"collection": collection, "waiting": waiting, **page})
        return
    print_table(
        ("begun", "reference", "name", "state", "why", "id"),
        [
            (
                clock(one.created_at), one.reference, one.name, one.state,
                ", ".join(check.code for check in one.reasons), one.id,
            )
            for one in found
        ],
    )  # fmt: skip
    if found.next:
        note(f"there are more: --after {found.next}")
    say(f"{waiting} wait for a human: `arcid onboarding show ID`, then answer ID accepted|rejected")


@app.command()
def show(session: SessionId, database: Database = None, json: Json = False) -> None:
    """Show one: what was looked at, what was measured, who decided.

    Example: arcid onboarding show 3f2a9c
    """
    from arcid.apps.onboarding.cases import Cases

    with open_gallery(database) as gallery:
        found = Cases(gallery).look(session)
    _print(found, json)


@app.command()
def answer(
    session: SessionId,
    outcome: Annotated[str, typer.Argument(help="accepted, rejected, or undo.")],
    note: Note = "",
    actor: Actor = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Decide a case, also over what arcid decided by itself; undo takes the newest word back.

    Example: arcid onboarding answer 3f2a9c accepted --note "compared by hand"
    """
    from arcid.apps.onboarding.cases import Cases, Verdict
    from arcid.errors import UsageError

    with open_gallery(database) as gallery:
        cases = Cases(gallery)
        if outcome == "undo":
            done = cases.undo(session, actor=operator(actor))
        elif outcome in get_args(Verdict):
            done = cases.answer(session, cast("Verdict", outcome), actor=operator(actor), note=note)
        else:
            raise UsageError(f"outcome {outcome!r} is unknown; use accepted, rejected or undo")
    _print(done, json)


def _print(session: Session, json: bool) -> None:
    if json:
        print_json(session.to_dict())
        return
    until = clock(session.keep_until)
    say(f"{session.state}, begun {clock(session.created_at)}, kept until {until}")
    if session.name:
        say(f"{session.name}{f', born {session.birth_date}' if session.birth_date else ''}")
    print_checks([check.to_dict() for check in session.checks])
    for one in session.answers:
        undone = "" if one.undone_at is None else f", taken back by {one.undone_by}"
        say(f"{clock(one.at)}: {one.outcome} by {one.actor}{undone} {one.note}".rstrip())
