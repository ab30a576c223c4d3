"""Labelled photos → what a recogniser's scores mean on them, beside what was in force before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from arcid.calibration import Calibration
from arcid.decide import DEFAULT_FMR, DEFAULT_FPIR
from arcid.errors import CalibrationInvalid, CalibrationMissing, InputError, RateUnsupported
from arcid.evaluate import calibrate as measure
from arcid.evaluate.measured import Measured, suspects_of
from arcid.evaluate.readers import PeopleFolder
from arcid.evaluate.review import write_review
from arcid.models import weights
from arcid.models.weights import Bundle
from arcid.pipeline import Pipeline
from arcid.results import Faces
from arcid.types import Embeddings, Image, Selection

SUSPECTS = 50
SIZES = (10, 100, 400, 1000)  # templates; the searches whose thresholds are shown before and after


@dataclass
class Labelled:
    """What is kept of the photos of a folder with one folder per person: no pixels."""

    pipeline: Pipeline
    folder: Path
    files: list[Path]
    select: Selection
    aligned: bool
    names: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    vectors: list[Any] = field(default_factory=list)
    quality: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[list[str]] = field(default_factory=list)
    failed: int = 0

    @property
    def embeddings(self) -> Embeddings:
        return Embeddings(np.stack(self.vectors), self.pipeline.embedder.contract_id)

    def add(self, name: str, person: str, faces: Faces | None) -> None:
        if faces is None or len(faces) != 1:
            self.failed += 1
            return
        self.names.append(name)
        self.people.append(person)
        self.vectors.append(faces.embeddings.vectors[0])
        if faces.quality:
            found = faces.quality[0]
            self.quality.append(found.measured())
            self.reasons.append([reason.code for reason in found.reasons])

    def copies(self) -> int:
        """How many of the photos are another one, byte by byte."""
        made = (hashlib.sha256((self.folder / name).read_bytes()).digest() for name in self.names)
        return len(self.names) - len(set(made))

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


def embed_folder(
    pipeline: Pipeline,
    folder: Path,
    people: PeopleFolder,
    *,
    select: Selection = "prominent",
    aligned: bool = False,
    advance: Callable[[int], object] = lambda count: None,
) -> Labelled:
    """The photos that ``read_people`` found in the folder, embedded.

    Raises ``InputError`` where not one shows a face.
    """
    files = [folder / photo.name for photo in people.photos]
    read = Labelled(pipeline, folder, files, select, aligned)
    batch = pipeline.faces_batch(files, select=select, aligned=aligned)
    for photo, person, item in zip(people.photos, people.people, batch, strict=True):
        if item.error is not None and not isinstance(item.error, InputError):
            raise item.error
        read.add(photo.name, person, item.result)
        advance(1)
    if not read.vectors:
        raise InputError(f"no face was found in any of the {len(files)} photos of {folder}")
    return read


def calibrate(
    read: Labelled,
    bundle: Bundle,
    *,
    exclude: Sequence[tuple[int, int]] = (),
    alone: bool = False,
    dataset: str | None = None,
    status: Literal["measured", "provisional"] = "measured",
    notes: str = "",
    command: str = "",
) -> Calibration:
    """The calibration, combined with the packaged one unless ``alone``; it is not put in force.

    ``exclude``: pairs of rows that are label errors.
    """
    try:
        packaged = None if alone else weights.packaged_calibration(bundle)
    except CalibrationMissing:
        packaged = None
    made_with = read.pipeline.provenance
    return measure.calibrate(
        read.embeddings,
        read.people,
        measure.Provenance(
            model=bundle.name,
            detector="none (aligned photos)" if read.aligned else made_with["detector"],
            runtime="{runtime} {precision}".format(**made_with),
            dataset=dataset or read.folder.name,
            dataset_sha256=measure.dataset_sha256(read.folder, read.files),
            failed_photos=read.failed,
            command=command,
            status=status,
            notes=notes,
        ),
        exclude=exclude,
        measures=read.measures(),
        reasons=read.reasons,
        packaged=packaged,
    )


def review(
    read: Labelled, into: Path, *, exclude: Sequence[tuple[int, int]] = ()
) -> tuple[Path, Path, int]:
    """Write the highest impostor pairs as pictures; the page, its table, and how many are suspect.

    A pair is suspected of a wrong label where it scores above half of the genuine pairs.
    """
    measured = Measured(read.embeddings, read.people, exclude=exclude, bootstraps=2)

    def crop(name: str) -> Image:
        found = read.pipeline.faces(read.folder / name, select=read.select, aligned=read.aligned)
        pixels: Image = found.crops.pixels[0]
        return pixels

    page, table = write_review(
        into,
        suspects_of(measured, read.names, SUSPECTS),
        crop,
        title=f"Highest impostors of {read.folder.name}",
        genuine_median=measured.genuine_median,
    )
    return page, table, len(measured.suspects())


def in_force(bundle: Bundle) -> Calibration | None:
    """The calibration that decides now; None where there is none that can be used."""
    try:
        return weights.find_calibration(bundle)
    except (CalibrationMissing, CalibrationInvalid):
        return None


def changes(now: Calibration | None, new: Calibration) -> list[dict[str, Any]]:
    """Each question's threshold before and after; None where it is not answered.

    FNMR is that of the new calibration's people at both.
    """

    def asked(calibration: Calibration | None, fpir: float | None, rate: float, size: int) -> Any:
        if calibration is None:
            return None
        try:
            if fpir is None:
                return calibration.threshold_at_fmr(rate)
            return calibration.threshold_at_fpir(fpir, size)
        except RateUnsupported:
            return None

    questions: list[tuple[float | None, float, int]] = [
        *((None, rate, 1) for rate in (1e-2, 1e-3, DEFAULT_FMR, 1e-5)),
        *((DEFAULT_FPIR, DEFAULT_FPIR, size) for size in SIZES),
    ]
    rows = []
    for fpir, rate, size in questions:
        before, after = (asked(c, fpir, rate, size) for c in (now, new))
        row: dict[str, Any] = {"kind": "fpir" if fpir else "fmr", "rate": rate}
        if fpir:
            row["gallery_size"] = size
        for name, found in (("before", before), ("after", after)):
            row[name] = None if found is None else round(found.cosine, 6)
            row[f"fnmr_{name}"] = None if found is None else round(new.fnmr(found.cosine), 6)
        row["source"] = (
            "not supported" if after is None else "combined" if after.combined else "measured"
        )
        rows.append(row)
    return rows


__all__ = ["Labelled", "calibrate", "changes", "embed_folder", "in_force", "review"]
