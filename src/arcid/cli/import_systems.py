"""``arcid import compreface``, ``insightface``: people of services that hand them out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from arcid.cli.import_words import AllowDuplicate, DryRun, Quality, Report, run_import
from arcid.cli.options import (
    AgreedAt,
    AgreedBy,
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

KEY = "ARCID_IMPORT_KEY"


def register(app: typer.Typer) -> None:
    app.command()(compreface)
    app.command()(insightface)


def compreface(
    address: Annotated[
        str, typer.Argument(help="Where it is: http://HOST:8000.", metavar="ADDRESS")
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
    """Import the photos of a face collection of CompreFace, over its REST interface.

    ARCID_IMPORT_KEY is the API key of the recognition service whose collection is meant. Its
    vectors are of another model and stay behind; photos come along where it keeps them.

    Example: arcid import compreface http://localhost:8000 --collection staff --dry-run
    """
    from arcid.apps.importing.compreface import CompreFace
    from arcid.errors import UsageError

    key = os.environ.get(KEY)
    if not key:
        raise UsageError(f"{KEY} is the API key of CompreFace's recognition service; set it")
    agreed = consent_from(consent, evidence, agreed_by, agreed_at)
    run_import(
        CompreFace(address, key, consent=agreed), collection, dry_run=dry_run, report=report,
        quality=quality, select=select, allow_duplicate=allow_duplicate, detector=detector,
        model=model, database=database, json=json,
    )  # fmt: skip


def insightface(
    source: Annotated[
        str,
        typer.Argument(
            help="An .npz with names and embeddings, or an InsightFace Server: http://HOST:PORT.",
            metavar="SOURCE",
        ),
    ],
    made_by: Annotated[
        Path | None, typer.Option("--made-by", help="The ONNX file that made the vectors.")
    ] = None,
    theirs: Annotated[
        str, typer.Option("--from-collection", help="Collection of the InsightFace Server.")
    ] = "_default",
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
    """Import people of insightface: vectors of a file, or crops of an InsightFace Server.

    Vectors come along only where the very model file that made them is arcid's recogniser
    (--model); an .npz has the arrays names (N) and embeddings (N,D), and may have model_sha256. A
    server hands out no vectors, but crops where its collection keeps them; ARCID_IMPORT_KEY is its
    API key.

    Example: arcid import insightface faces.npz --made-by w600k_r50.onnx --model w600k_r50
    """
    from arcid.apps.importing.insightface import Server, Vectors
    from arcid.models import weights

    agreed = consent_from(consent, evidence, agreed_by, agreed_at)
    found: Server | Vectors
    if source.startswith(("http://", "https://")):
        found = Server(source, theirs, os.environ.get(KEY) or None, consent=agreed)
    else:
        bundle = weights.resolve(model) if model else weights.resolve_default("recognition")
        found = Vectors(Path(source), bundle.manifest, made_by=made_by, consent=agreed)
    run_import(
        found, collection, dry_run=dry_run, report=report, quality=quality, select=select,
        allow_duplicate=allow_duplicate, detector=detector, model=model, database=database,
        json=json,
    )  # fmt: skip
