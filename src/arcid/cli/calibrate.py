"""``arcid calibrate``: measure what a recogniser's scores mean on labelled photos."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from arcid.cli.output import Json, print_json, tracked
from arcid.types import Selection


def register(app: typer.Typer) -> None:
    app.command()(calibrate)


def calibrate(
    folder: Annotated[Path, typer.Argument(help="One folder per person, photos inside.")],
    model: Annotated[str | None, typer.Option(help="Recogniser; default: the default.")] = None,
    detector: Annotated[str | None, typer.Option(help="Detector; default: the default.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write; default: beside your own models."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the photographs.")] = None,
    select: Annotated[
        Selection, typer.Option(help="Which face of a photo is the labelled one.")
    ] = "center",
    provisional: Annotated[bool, typer.Option(help="Mark the result provisional.")] = False,
    notes: Annotated[str, typer.Option(help="A sentence kept in the file.")] = "",
    json: Json = False,
) -> None:
    """Measure thresholds, error rates and probabilities on a folder of labelled photos."""
    import numpy as np

    from arcid import pipeline as product
    from arcid.errors import InputError
    from arcid.evaluate import calibrate as measure
    from arcid.image import SUFFIXES
    from arcid.models import weights
    from arcid.types import Embeddings

    files = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{folder} has no photos; it needs one folder per person, photos inside")
    found = weights.resolve(model) if model else weights.resolve_default("recognition")
    pipeline = product.Pipeline.from_models(detector, found.name)
    vectors, people, failed = [], [], 0
    for file in tracked(files, "embedding", len(files), quiet=json):
        try:
            faces = pipeline.faces(file, select=select)
        except InputError:
            failed += 1
            continue
        failed += len(faces) == 0
        for row in faces.embeddings.vectors:
            vectors.append(row)
            people.append(file.parent.name)
    if not vectors:
        raise InputError(f"no face was found in any of the {len(files)} photos of {folder}")
    result = measure.calibrate(
        Embeddings(np.stack(vectors), pipeline.embedder.contract_id),
        people,
        measure.Provenance(
            model=found.name,
            detector=pipeline.detector.name,
            runtime=f"{pipeline.embedder.session.runtime} {pipeline.embedder.session.precision}",
            dataset=dataset or folder.name,
            dataset_sha256=measure.dataset_sha256(folder, files),
            failed_photos=failed,
            command=shlex.join(["arcid", *sys.argv[1:]]),
            status="provisional" if provisional else "measured",
            notes=notes,
        ),
    )
    path = output or weights.user_calibration_path(result.contract_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    result.save(path)
    summary = {
        "path": str(path),
        "calibration_id": result.calibration_id,
        "people": result.data["people"],
        "photos": result.data["photos"],
        "failed_photos": failed,
        "impostor_pairs": result.data["impostor_pairs"],
        "smallest_supported_fmr": result.smallest_supported_fmr,
    }
    if json:
        print_json(summary)
    else:
        for key, value in summary.items():
            sys.stdout.write(f"{key.replace('_', ' ')}: {value}\n")
