"""``arcid onboarding …``: who somebody is, by their document and their face."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import (
    Actor,
    After,
    Aligned,
    Collection,
    Database,
    Detector,
    Model,
    Note,
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
SessionId = Annotated[str, typer.Argument(help="Session by its id.", metavar="SESSION")]


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


@app.command()
def evidence(
    session: SessionId,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    database: Database = None,
    json: Json = False,
) -> None:
    """Write the signed evidence of a decided case.

    Example: arcid onboarding evidence 3f2a9c -o case.json
    """
    from arcid import files, paths
    from arcid.apps.onboarding.cases import Cases
    from arcid.apps.onboarding.evidence import Signer

    files.require_place(output)
    signer = Signer(paths.home_dir())
    with open_gallery(database) as gallery:
        files.write_bytes(output, Cases(gallery).evidence(session, signer), private=True)
    if json:
        print_json({"file": str(output), "fingerprint": signer.fingerprint})
        return
    say(f"{output}: signed by {signer.fingerprint}")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="An evidence file.", metavar="FILE")],
    fingerprint: Annotated[
        str | None,
        typer.Option(
            "--fingerprint",
            help="Of the key that must have signed it; at least its first 16 hex digits. Without "
            "it anybody's key passes.",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", help="Write the pictures in it here.", metavar="DIR"),
    ] = None,
    json: Json = False,
) -> None:
    """Verify an evidence file, offline: that no byte was changed, and who signed it.

    Example: arcid onboarding verify case.json --fingerprint 5f0c6b1d2e3f4a5b
    """
    from arcid import files
    from arcid.apps.onboarding.evidence import verify as check
    from arcid.errors import EvidenceInvalid

    try:
        data = file.read_bytes()
    except OSError as error:
        raise EvidenceInvalid(f"{file} cannot be read: {error.strerror or error}") from None
    found = check(data, fingerprint=fingerprint)
    session = found.payload["session"]
    if pictures is not None:
        for role in found.payload["pictures"]:
            picture = found.picture(role)
            if picture is not None:
                files.write_bytes(pictures / f"{role}.jpg", picture, private=True)
    if json:
        told = {k: v for k, v in found.payload.items() if k != "pictures"}
        told["pictures"] = sorted(found.payload["pictures"])
        print_json({"valid": True, "fingerprint": found.fingerprint, **told})
        return
    say(f"valid: {session['state']}, session {session['id']}, signed by {found.fingerprint}")
    if fingerprint is None:
        note("whose key that is was not checked: --fingerprint")
    _print_checks(session["checks"])
    say("not checked: " + "; ".join(found.payload["not_checked"]))


@app.command()
def forget(
    session: SessionId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Erase a session with everything of it; who was enrolled by it stays.

    Example: arcid onboarding forget 3f2a9c --yes
    """
    from arcid.apps.onboarding.cases import Cases

    with open_gallery(database) as gallery:
        found = Cases(gallery).get(session)
        if not yes:
            typer.confirm(f"erase session {found.id} for good?", abort=True, err=True)
        Cases(gallery).forget(found.id)
    if json:
        print_json({"forgotten": found.id})
    else:
        say("erased")


@app.command()
def calibrate(
    folder: Annotated[Path, typer.Argument(help="One folder per person, photos of faces inside.")],
    documents: Annotated[
        Path | None,
        typer.Option(
            "--documents",
            help="The same people's documents, one folder per person; without them copies of the "
            "photos are degraded as documents are.",
            metavar="DIR",
        ),
    ] = None,
    aligned: Aligned = False,
    model: Model = None,
    detector: Detector = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write; default: put in force here."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the photographs.")] = None,
    json: Json = False,
) -> None:
    """Measure what scores of a document and a face mean, and decide by it from then on.

    Example: arcid onboarding calibrate people --documents papers
    """
    import shlex
    import sys

    from arcid.apps.onboarding import calibrating
    from arcid.evaluate.readers import read_people
    from arcid.pipeline import Pipeline
    from arcid.progress import progress_bar

    people = read_people(folder)
    papers = None if documents is None else (documents, read_people(documents))
    total = len(people.photos) + (0 if papers is None else len(papers[1].photos))
    with progress_bar("faces", total) as advance:
        found = calibrating.calibrate(
            Pipeline.from_models(detector, model),
            folder,
            people,
            documents=papers,
            aligned=aligned,
            dataset=dataset,
            command="arcid " + shlex.join(sys.argv[1:]),
            advance=advance,
        )
    used = "a running service decides by it from the next session step on"
    if output is None:
        output = calibrating.install(found)
    else:
        found.save(output)
        used = "written; nothing decides by it (without --output it is put in force)"
    if json:
        print_json({"file": str(output), "thresholds": found.data["thresholds"]})
        return
    print_table(
        ("FMR", "cosine", "FNMR", ""),
        [
            (f"{row['fmr']:g}", row["cosine"], f"{row['fnmr']:.1%}",
             "extrapolated" if row["extrapolated"] else "")
            for row in found.data["thresholds"]
        ],
    )  # fmt: skip
    say(f"{output}: {used}")


def _print(session: Session, json: bool) -> None:
    if json:
        print_json(session.to_dict())
        return
    until = clock(session.keep_until)
    say(f"{session.state}, begun {clock(session.created_at)}, kept until {until}")
    if session.name:
        say(f"{session.name}{f', born {session.birth_date}' if session.birth_date else ''}")
    _print_checks([check.to_dict() for check in session.checks])
    for one in session.answers:
        undone = "" if one.undone_at is None else f", taken back by {one.undone_by}"
        say(f"{clock(one.at)}: {one.outcome} by {one.actor}{undone} {one.note}".rstrip())


def _print_checks(checks: list[dict[str, Any]]) -> None:
    if checks:
        print_table(("check", "", "why"), [(c["code"], c["effect"], c["message"]) for c in checks])
