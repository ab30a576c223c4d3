"""``arcid import``: people from folders, archives, lists and other systems, into the gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcid.cli.import_words import (
    AllowDuplicate,
    DryRun,
    Quality,
    Report,
    run_import,
)
from arcid.cli.options import (
    AgreedAt,
    AgreedBy,
    Aligned,
    Collection,
    ConsentText,
    Database,
    Detector,
    Evidence,
    Model,
    SelectOne,
    consent_from,
)
from arcid.cli.output import Json

app = typer.Typer(
    help="Bring people in: from folders, archives, lists and other systems.\n\n"
    "Every import is a job: stopped or killed, the same command goes on where it was; what could "
    "not come along is listed with the reason. --dry-run says it before anything is done.",
    no_args_is_help=True,
)

List = Annotated[
    Path | None,
    typer.Option("--list", help="CSV with person and photo; default: people.csv beside them."),
]


@app.command()
def folder(
    photos: Annotated[Path, typer.Argument(help="A folder, or a zip.", metavar="FOLDER")],
    list_: List = None,
    collection: Collection = "default",
    dry_run: DryRun = False,
    report: Report = None,
    quality: Quality = True,
    select: SelectOne = "prominent",
    allow_duplicate: AllowDuplicate = False,
    consent: ConsentText = None,
    evidence: Evidence = "",
    agreed_by: AgreedBy = "themselves",
    agreed_at: AgreedAt = None,
    aligned: Aligned = False,
    detector: Detector = None,
    model: Model = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Import photos from a folder or a zip: one folder per person, or a list that names them.

    A list has the columns person and photo, and may have consent, consent_evidence, consent_by and
    consent_at; every other column is kept as metadata of people who are new. --consent is that of
    everybody of whom the list says none. A zip is read in place.

    Exit code 0 when the import is done, 1 when it took nothing, failed or was stopped.

    Example: arcid import folder people/ --collection staff --dry-run
    """
    from arcid.apps import importing
    from arcid.apps.jobs import consent_spec

    agreed = consent_from(consent, evidence, agreed_by, agreed_at)
    spec = {
        "kind": "folder" if photos.is_dir() else "zip", "folder": str(photos.absolute()),
        "list": None if list_ is None else str(list_.absolute()), "aligned": aligned,
        "consent": consent_spec(agreed),
    }  # fmt: skip
    listed = None if list_ is None else importing.lists.load(list_)
    opened = importing.folder if photos.is_dir() else importing.archive
    source = opened(photos, spec, list_=listed, consent=agreed, aligned=aligned)
    run_import(
        source, collection, dry_run=dry_run, report=report, quality=quality, select=select,
        allow_duplicate=allow_duplicate, detector=detector, model=model, database=database,
        json=json,
    )  # fmt: skip


@app.command("csv")
def csv_(
    list_: Annotated[Path, typer.Argument(help="CSV with person and photo.", metavar="LIST")],
    photos: Annotated[
        Path | None, typer.Option("--photos", help="Folder of the photos; default: the list's.")
    ] = None,
    collection: Collection = "default",
    dry_run: DryRun = False,
    report: Report = None,
    quality: Quality = True,
    select: SelectOne = "prominent",
    allow_duplicate: AllowDuplicate = False,
    aligned: Aligned = False,
    detector: Detector = None,
    model: Model = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Import the photos that a list names, with whose they are, consents and metadata.

    Paths of photos are those below the folder. Columns: see arcid import folder.

    Example: arcid import csv people.csv --photos scans/ --collection staff
    """
    from arcid.apps import importing

    where = photos or list_.absolute().parent
    spec = {
        "kind": "csv", "folder": str(where.absolute()), "list": str(list_.absolute()),
        "aligned": aligned,
    }  # fmt: skip
    source = importing.listed(where, spec, importing.lists.load(list_), aligned=aligned)
    run_import(
        source, collection, dry_run=dry_run, report=report, quality=quality, select=select,
        allow_duplicate=allow_duplicate, detector=detector, model=model, database=database,
        json=json,
    )  # fmt: skip


@app.command()
def deepface(
    photos: Annotated[
        Path, typer.Argument(help="The folder that was DeepFace.find's db_path.", metavar="DB_PATH")
    ],
    collection: Collection = "default",
    dry_run: DryRun = False,
    report: Report = None,
    quality: Quality = True,
    select: SelectOne = "prominent",
    allow_duplicate: AllowDuplicate = False,
    consent: ConsentText = None,
    evidence: Evidence = "",
    agreed_by: AgreedBy = "themselves",
    agreed_at: AgreedAt = None,
    detector: Detector = None,
    model: Model = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Import the photos of a deepface database: one folder per person.

    Its vectors stay behind: they do not say which model file made them, and a pickle can run code,
    so it is never opened.

    Example: arcid import deepface db/ --collection staff --dry-run
    """
    from arcid.apps import importing

    agreed = consent_from(consent, evidence, agreed_by, agreed_at)
    spec = {"kind": "deepface", "folder": str(photos.absolute())}
    run_import(
        importing.folder(photos, spec, consent=agreed), collection, dry_run=dry_run, report=report,
        quality=quality, select=select, allow_duplicate=allow_duplicate, detector=detector,
        model=model, database=database, json=json,
    )  # fmt: skip


@app.command()
def rekognition(
    faces: Annotated[
        Path, typer.Argument(help="What aws rekognition list-faces printed.", metavar="FACES")
    ],
    photos: Annotated[Path, typer.Option("--photos", help="Folder of the photos.")],
    collection: Collection = "default",
    dry_run: DryRun = False,
    report: Report = None,
    quality: Quality = True,
    select: SelectOne = "prominent",
    allow_duplicate: AllowDuplicate = False,
    consent: ConsentText = None,
    evidence: Evidence = "",
    agreed_by: AgreedBy = "themselves",
    agreed_at: AgreedAt = None,
    detector: Detector = None,
    model: Model = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Import your own photos by the faces that Amazon Rekognition lists.

    It hands out neither vectors nor photos. Whose photo is whose comes along: an ExternalImageId
    names a file (with or without its suffix, : for /) or a folder, a UserId the person.

    Example: arcid import rekognition faces.json --photos originals/ --dry-run
    """
    from arcid.apps.importing.rekognition import Rekognition

    agreed = consent_from(consent, evidence, agreed_by, agreed_at)
    run_import(
        Rekognition(faces, photos, consent=agreed), collection, dry_run=dry_run, report=report,
        quality=quality, select=select, allow_duplicate=allow_duplicate, detector=detector,
        model=model, database=database, json=json,
    )  # fmt: skip
