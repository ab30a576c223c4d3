"""``arcid onboarding evidence``, ``verify``, ``forget``, ``calibrate``: proof, and its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcid.cli.answers import print_checks
from arcid.cli.opening import open_gallery
from arcid.cli.options import (
    Aligned,
    Database,
    Detector,
    Model,
    SessionId,
)
from arcid.cli.output import Json, confirm, done, note, print_json, print_table, say


def register(app: typer.Typer) -> None:
    app.command()(evidence)
    app.command()(verify)
    app.command()(forget)
    app.command()(calibrate)


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
    key = signer.fingerprint
    done(f"{output}: signed by {key}", json, file=str(output), fingerprint=key)


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
    print_checks(session["checks"])
    say("not checked: " + "; ".join(found.payload["not_checked"]))


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
        confirm(f"Erase session {found.id} for good?", yes=yes)
        Cases(gallery).forget(found.id)
    done("erased", json, forgotten=found.id)


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

    from arcid import files
    from arcid.apps.onboarding import calibrating
    from arcid.evaluate.readers import read_people
    from arcid.models.calibrations import in_force
    from arcid.pipeline import Pipeline
    from arcid.progress import progress_bar

    files.require_place(output or in_force("any"))
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
