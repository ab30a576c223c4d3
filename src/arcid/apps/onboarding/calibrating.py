"""What a cosine of a document and a selfie means: measured on degraded copies, or on documents.

The calibration lies beside the recogniser's own (``$ARCID_MODELS/calibrations/…-document.json``);
where none was measured here, the one that ships for the packaged recogniser is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from arcid.apps.onboarding.degrading import KINDS, Kind, degraded
from arcid.calibration import Calibration
from arcid.errors import CalibrationError, CalibrationMissing, InputError
from arcid.evaluate.calibrate import Provenance, dataset_sha256
from arcid.evaluate.cross import Cross, calibrate_cross
from arcid.evaluate.readers import PeopleFolder
from arcid.geometry import TEMPLATE_SIZE, template_points
from arcid.image import load_image
from arcid.models import calibrations
from arcid.pipeline import Pipeline
from arcid.results import Faces
from arcid.types import Embeddings, Image

SHIPPED = Path(__file__).parent / "calibrations"
NAME = "-document"
CROP_EYE_PX = float(np.linalg.norm(np.diff(template_points(TEMPLATE_SIZE)[:2], axis=0)))


def find(contract_id: str) -> Calibration:
    """The calibration of documents against selfies in force. Raises ``CalibrationMissing``."""
    for path in (calibrations.in_force(contract_id + NAME), SHIPPED / f"{contract_id}.json"):
        if path.is_file():
            found = Calibration.load(path)
            found.check_contract(contract_id)
            return found
    raise CalibrationMissing(
        "nobody measured what this recogniser's scores of a document and a selfie mean; measure "
        "it with: arcid onboarding calibrate FOLDER"
    )


def install(calibration: Calibration) -> Path:
    """Put a calibration in force; the one before is replaced."""
    path = calibrations.in_force(calibration.contract_id + NAME)
    calibration.save(path, private=True)
    return path


def calibrate(
    pipeline: Pipeline,
    folder: Path,
    people: PeopleFolder,
    *,
    documents: tuple[Path, PeopleFolder] | None = None,
    aligned: bool = False,
    dataset: str | None = None,
    command: str = "",
    notes: str = "",
    seed: int = 0,
    advance: Callable[[int], object] = lambda count: None,
) -> Calibration:
    """Photos of people in, the calibration out; it is not put in force.

    ``documents``: photos of the same people's documents, one folder a person; without them every
    photo is degraded in one of ``KINDS`` in turn and stands for a document. Raises ``InputError``,
    ``InvalidArray`` and ``RateUnsupported`` where there is too little.
    """
    rng = np.random.default_rng(seed)
    vectors: list[list[np.ndarray]] = [[], []]
    labels: list[list[str]] = [[], []]
    one_photo: list[tuple[int, int]] = []
    failed = 0

    def add(side: int, faces: Faces | None, person: str) -> bool:
        nonlocal failed
        if faces is None or len(faces) != 1:
            failed += 1
            return False
        vectors[side].append(faces.embeddings.vectors[0])
        labels[side].append(person)
        return True

    for number, (photo, person) in enumerate(zip(people.photos, people.people, strict=True)):
        image = load_image(folder / photo.name)
        faces = _faces(pipeline, image, aligned)
        seen = add(1, faces, person)
        if documents is None and seen and faces is not None:
            kind = KINDS[number % len(KINDS)]
            if add(0, _document(pipeline, image, faces, kind, aligned, rng), person):
                one_photo.append((len(labels[0]) - 1, len(labels[1]) - 1))
        advance(1)
    files = [folder / photo.name for photo in people.photos]
    if documents is not None:
        root, listed = documents
        for photo, person in zip(listed.photos, listed.people, strict=True):
            add(0, _faces(pipeline, load_image(root / photo.name), aligned), person)
            advance(1)
    if not all(vectors):
        raise InputError(f"no face was found in the photos of {folder}")
    made_with = pipeline.provenance
    sides = [Embeddings(np.stack(v), pipeline.contract_id) for v in vectors]
    found = Cross(sides[0], labels[0], sides[1], labels[1], one_photo=one_photo, seed=seed)
    kinds = "documents" if documents else f"copies degraded as {', '.join(KINDS)}"
    return calibrate_cross(
        found,
        pipeline.contract_id,
        Provenance(
            model=made_with["model"],
            detector="none (aligned photos)" if aligned else made_with["detector"],
            runtime="{runtime} {precision}".format(**made_with),
            dataset=dataset or folder.name,
            dataset_sha256=dataset_sha256(folder, files),
            failed_photos=failed,
            command=command,
            notes=notes or f"document against selfie; {kinds}, seed {seed}",
        ),
        floor=_of_photos(pipeline),
    )


def _of_photos(pipeline: Pipeline) -> Calibration | None:
    try:
        return pipeline.calibration
    except CalibrationError:
        return None


def _faces(pipeline: Pipeline, image: Image, aligned: bool) -> Faces | None:
    try:
        return pipeline.faces(image, select="prominent", aligned=aligned)
    except InputError:
        return None


def _document(
    pipeline: Pipeline,
    image: Image,
    faces: Faces,
    kind: Kind,
    aligned: bool,
    rng: np.random.Generator,
) -> Faces | None:
    """The face of a copy as a document shows it; the points are found anew on it."""
    if aligned:
        copy = degraded(_moved(image, rng), kind, CROP_EYE_PX * len(image) / TEMPLATE_SIZE, rng)
        return _faces(pipeline, copy, True)
    eyes = faces.quality[0].inter_eye_px
    return None if eyes is None else _faces(pipeline, degraded(image, kind, eyes, rng), False)


def _moved(crop: Image, rng: np.random.Generator) -> Image:
    """A crop whose points were found a little elsewhere, as on a bad picture."""
    import cv2

    size = len(crop)
    matrix = cv2.getRotationMatrix2D(
        (size / 2, size / 2), float(rng.normal(0, 1.5)), float(1 + rng.normal(0, 0.02))
    )
    shift = np.hstack([np.zeros((2, 2)), rng.normal(0, size / 112, (2, 1))])
    moved = cv2.warpAffine(crop, matrix + shift, (size, size), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


__all__ = ["calibrate", "find", "install"]
