"""``arcid calibrate``: measure what a recogniser's scores mean on labelled photos."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.options import Aligned
from arcid.cli.output import Json, note, print_json, print_table, progress_bar, say
from arcid.types import Selection

if TYPE_CHECKING:
    from arcid.calibration import Calibration
    from arcid.evaluate.calibrate import Measured
    from arcid.pipeline import Faces, Pipeline

BATCH = 16
SUSPECTS = 50


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
    ] = "prominent",
    aligned: Aligned = False,
    review: Annotated[
        Path | None,
        typer.Option(
            help="Write the highest impostor pairs here as pictures, to look for label errors "
            "first; calibrates nothing.",
            metavar="DIR",
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(help="CSV of pairs marked as label errors, as --review writes it."),
    ] = None,
    provisional: Annotated[bool, typer.Option(help="Mark the result provisional.")] = False,
    notes: Annotated[str, typer.Option(help="A sentence kept in the file.")] = "",
    json: Json = False,
) -> None:
    """Measure thresholds, error rates and probabilities on a folder of labelled photos."""
    import numpy as np

    from arcid import pipeline as product
    from arcid.errors import InputError
    from arcid.evaluate import calibrate as measure
    from arcid.evaluate.readers.folder import read_people
    from arcid.evaluate.review import read_exclusions, rows_of
    from arcid.files import require_folder, require_place
    from arcid.models import weights
    from arcid.types import Embeddings

    if output is not None:
        require_place(output)
    if review is not None:
        require_folder(review)
    pairs = [] if exclude is None else read_exclusions(exclude)
    people = read_people(folder, allow_empty=True)
    files = [folder / photo.name for photo in people.photos]
    found = weights.resolve(model) if model else weights.resolve_default("recognition")
    pipeline = product.Pipeline.from_models(detector, found.name)
    read = _Photos()
    with progress_bar("embedding", len(files), quiet=json) as advance:
        for start in range(0, len(files), BATCH):
            part = slice(start, start + BATCH)
            answers = _faces(pipeline, files[part], select, aligned)
            for photo, person, faces in zip(
                people.photos[part], people.people[part], answers, strict=True
            ):
                read.add(photo.name, person, faces)
            advance(len(files[part]))
    if not read.vectors:
        raise InputError(f"no face was found in any of the {len(files)} photos of {folder}")
    embeddings = Embeddings(np.stack(read.vectors), pipeline.embedder.contract_id)
    excluded = rows_of(pairs, read.names)
    if len(excluded) < len(pairs):
        note(f"{len(pairs) - len(excluded)} excluded pairs name photos that are not in {folder}")
    if review is not None:
        measured = measure.Measured(embeddings, read.people, exclude=excluded, bootstraps=2)
        _write_review(review, folder, pipeline, read, measured, select, aligned, json)
        return
    result = measure.calibrate(
        embeddings,
        read.people,
        measure.Provenance(
            model=found.name,
            detector="none (aligned photos)" if aligned else pipeline.detector.name,
            runtime=f"{pipeline.embedder.session.runtime} {pipeline.embedder.session.precision}",
            dataset=dataset or folder.name,
            dataset_sha256=measure.dataset_sha256(folder, files),
            failed_photos=read.failed,
            command=shlex.join(["arcid", *sys.argv[1:]]),
            status="provisional" if provisional else "measured",
            notes=notes,
        ),
        exclude=excluded,
        measures=read.measures(),
        reasons=read.reasons,
    )
    path = output or weights.user_calibration_path(result.contract_id)
    result.save(path)
    _report(result, path, json)


@dataclass
class _Photos:
    """What is kept of every face: no pixels."""

    names: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    vectors: list[Any] = field(default_factory=list)
    quality: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[list[str]] = field(default_factory=list)
    failed: int = 0

    def add(self, name: str, person: str, faces: Faces | None) -> None:
        if faces is None or len(faces) != 1:
            self.failed += 1
            return
        self.names.append(name)
        self.people.append(person)
        self.vectors.append(faces.embeddings.vectors[0])
        if faces.quality:
            found = faces.quality[0].to_dict()
            self.quality.append(found)
            self.reasons.append([reason["code"] for reason in found["reasons"]])

    def measures(self) -> dict[str, list[float]] | None:
        """Values of each photo, higher is better; None for photos that came aligned."""
        if not self.quality:
            return None

        def values(key: str, sign: float = 1.0) -> list[float]:
            found = (q.get(key) for q in self.quality)
            return [float("nan") if v is None else sign * (abs(v) if sign < 0 else v)
                    for v in found]  # fmt: skip

        return {
            "inter_eye_px": values("inter_eye_px"),
            "sharpness": values("sharpness"),
            "contrast": values("contrast"),
            "detection_score": values("detection_score"),
            "frontal_yaw": values("yaw_deg", -1.0),
            "frontal_pitch": values("pitch_deg", -1.0),
        }


def _faces(
    pipeline: Pipeline, files: Sequence[Path], select: Selection, aligned: bool
) -> Iterator[Faces | None]:
    """The faces of each photo, None where it cannot be used."""
    from arcid.errors import InputError

    try:
        yield from pipeline.faces_batch(files, select=select, aligned=aligned)
    except InputError:
        for file in files:
            try:
                yield pipeline.faces(file, select=select, aligned=aligned)
            except InputError:
                yield None


def _write_review(
    review: Path,
    folder: Path,
    pipeline: Pipeline,
    read: _Photos,
    measured: Measured,
    select: Selection,
    aligned: bool,
    json: bool,
) -> None:
    from arcid.evaluate.calibrate import suspects_of
    from arcid.evaluate.review import write_review

    def crop(name: str) -> Any:
        return pipeline.faces(folder / name, select=select, aligned=aligned).crops.pixels[0]

    page, table = write_review(
        review,
        suspects_of(measured, read.names, SUSPECTS),
        crop,
        title=f"Highest impostors of {folder.name}",
        genuine_median=measured.genuine_median,
    )
    if json:
        suspected = len(measured.suspects())
        print_json({"page": str(page), "pairs": str(table), "suspected": suspected})
    else:
        say(f"look at {page}, mark label errors in {table.name}, then calibrate with")
        say(f"  arcid calibrate {shlex.quote(str(folder))} --exclude {shlex.quote(str(table))}")


def _report(result: Calibration, path: Path, json: bool) -> None:
    data = result.data
    shown = ("people", "photos", "failed_photos", "genuine_pairs", "impostor_pairs",
             "label_errors_removed", "label_errors_suspected")  # fmt: skip
    summary = {
        "path": str(path),
        "calibration_id": result.calibration_id,
        **{key: data[key] for key in shown},
        "smallest_supported_fmr": result.smallest_supported_fmr,
    }
    if suspected := data["label_errors_suspected"]:
        note(
            f"warning: {suspected} pairs of two people score above half of the genuine pairs, as "
            "label errors do; look at them with --review DIR, then leave them out with --exclude"
        )
    if json:
        keys = ("thresholds", "gallery_table", "quality", "probability")
        print_json(summary | {key: data[key] for key in keys if key in data})
        return
    for key, value in summary.items():
        say(f"{key.replace('_', ' ')}: {value}")
    say(f"probability: {data['probability']['kind']}")
    say("")
    print_table(
        ("FMR", "cosine", "95 % interval", "FNMR", ""),
        [
            (f"{r['fmr']:g}", f"{r['cosine']:.3f}", f"{r['cosine_low']:.3f}–{r['cosine_high']:.3f}",
             f"{r['fnmr']:.4f}", "extrapolated" if r["extrapolated"] else "")
            for r in data["thresholds"]
        ],
    )  # fmt: skip
    say("")
    print_table(
        ("FPIR", "templates", "cosine", "95 % interval", "FNIR", ""),
        [
            (f"{r['fpir']:g}", f"{r['gallery_size']:,}", f"{r['cosine']:.3f}",
             f"{r['cosine_low']:.3f}–{r['cosine_high']:.3f}", f"{r['fnir']:.4f}",
             "extrapolated" if r["extrapolated"] else "")
            for r in data["gallery_table"]
        ],
    )  # fmt: skip
    if "quality" in data:
        say("")
        _quality(data["quality"])


def _quality(block: dict[str, Any]) -> None:
    say(f"FNMR at FMR {block['fmr']:g} is {block['fnmr']:.4f}; with the worst photos turned away:")
    measures = block["measures"]
    shares = [point["discarded"] for point in measures[0]["curve"]] if measures else []
    print_table(
        ("measure", *(f"{share:.0%}" for share in shares)),
        [(m["measure"], *(f"{p['fnmr']:.4f}" for p in m["curve"])) for m in measures],
    )
    if block["reasons"]:
        say("")
        print_table(
            ("reason", "photos", "pairs", "their FNMR", "FNMR without"),
            [
                (r["reason"], r["photos"], r["genuine_pairs"],
                 f"{r['rejected']['fnmr']:.3f}" if "rejected" in r else "–",
                 f"{r['kept']['fnmr']:.4f}" if "kept" in r else "–")
                for r in block["reasons"]
            ],
        )  # fmt: skip
