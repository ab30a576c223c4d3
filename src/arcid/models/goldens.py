"""Answers a recogniser or detector gave when its bundle was made: ``goldens.json``.

Crops and picture are made up by a formula, so every machine has the same and no photograph is
stored. A runtime, driver or quantised file that computes something else is found by
``models verify``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from arcid import files
from arcid.errors import ManifestInvalid, ModelUnsupported
from arcid.geometry import box_iou
from arcid.models.manifest import Manifest
from arcid.types import Crops, Detections, Embeddings, FloatArray, Image

FILE = "goldens.json"
SCHEMA_VERSION = 1
COUNT = 4
DIGITS = 6
MINIMUM_COSINE = 0.999  # of fp32 models; kernels of other processors round otherwise
MINIMUM_COSINE_INT8 = 0.97
MINIMUM_IOU = 0.95  # of a detector's boxes …
SCORE_APART = 0.03  # … scores …
POINTS_APART = 0.03  # … and points, in sides of the box
MOST_FACES = 8  # the surest finds that are kept
#: Of the synthetic picture: size of an oval, which one, and its left and upper edge.
_OVALS = (
    (160, 0, 20, 20),
    (112, 1, 220, 40),
    (80, 2, 380, 60),
    (56, 3, 60, 260),
    (128, 0, 300, 230),
)
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
Array = npt.NDArray[np.float64]
Embed = Callable[[Crops], Embeddings]
Detect = Callable[[Sequence[Image]], Sequence[Detections]]


def synthetic_crops(size: int, count: int = COUNT) -> Crops:
    """(count,size,size,3) uint8 RGB: face-like ovals, different in every channel and crop."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    crops = []
    for k in range(count):
        oval = np.exp(-((x * (2.6 + 0.2 * k)) ** 2 + (y * 2.1) ** 2) * 2)
        eyes = np.exp(-(((np.abs(x) - 0.16) ** 2) + (y + 0.1 - 0.02 * k) ** 2) * (90 + 30 * k))
        mouth = np.exp(-((x * 1.2) ** 2 + ((y - 0.22) * 4) ** 2) * (40 - 5 * k))
        base = 40 + 150 * oval - 90 * eyes - 50 * mouth + 30 * x * np.cos(k)
        waves = 12 * np.sin((k + 2) * 6 * x + 3 * y)
        crops.append(np.stack([base + 25, base + waves, 0.7 * base - waves], axis=-1))
    return Crops(np.clip(np.stack(crops), 0, 255).astype(np.uint8))


def synthetic_picture() -> Image:
    """(384,512,3) uint8 RGB: five of the ovals before a waved ground; detectors take them for
    faces."""
    y, x = np.mgrid[0:384, 0:512]
    waves = 90 + 30 * np.sin(x / 37) + 20 * np.cos(y / 23)
    picture: Image = (waves[..., None] * [1, 0.9, 0.8]).astype(np.uint8)
    for size, which, left, top in _OVALS:
        oval = synthetic_crops(size).pixels[which]
        picture[top : top + size, left : left + size] = oval
    return picture


def write(folder: Path, manifest: Manifest, embed: Embed) -> None:
    """Measure and store the goldens of a bundle."""
    vectors = embed(synthetic_crops(_size(manifest))).vectors
    content = {
        "schema_version": SCHEMA_VERSION,
        "crops": "synthetic",
        "contract_id": manifest.contract_id,
        "minimum_cosine": MINIMUM_COSINE_INT8 if manifest.precision == "int8" else MINIMUM_COSINE,
        "vectors": [[round(float(v), DIGITS) for v in row] for row in vectors],
    }
    files.write_text(folder / FILE, json.dumps(content) + "\n")


def check(manifest: Manifest, embed: Embed, folder: Path | None) -> float | None:
    """Run a recogniser on the synthetic crops; the lowest cosine to its goldens, None without any.

    Raises ``ModelUnsupported`` where vectors are not what the manifest says, are all alike, or
    differ from the goldens; ``ManifestInvalid`` where goldens.json cannot be used.
    """
    found = embed(synthetic_crops(_size(manifest))).vectors
    dim = manifest.output.dim if manifest.output else 0
    if found.shape != (COUNT, dim):
        raise ModelUnsupported(f"{manifest.name} gave vectors {found.shape}, not ({COUNT}, {dim})")
    if all_alike(found):
        raise ModelUnsupported(
            f"{manifest.name} gives every face the same vector: its input contract is wrong, or "
            "the file is damaged"
        )
    path = folder / FILE if folder else None
    if path is None or not path.is_file():
        return None
    stored = _load(path, manifest)
    wanted, least = stored
    if wanted.shape != found.shape:
        raise ManifestInvalid(f"{path.name} of {manifest.name} has vectors {wanted.shape}")
    norms = np.linalg.norm(wanted, axis=1)
    cosine = float(((wanted * found).sum(axis=1) / norms).min())
    if not cosine >= least:
        raise ModelUnsupported(
            f"{manifest.name} answers otherwise than when its bundle was made (cosine "
            f"{cosine:.4f}, at least {least} expected); try another runtime "
            "(ARCID_RUNTIME=onnxruntime) or get the model again",
            cosine=cosine,
        )
    return cosine


def all_alike(vectors: FloatArray) -> bool:
    """Whether (N,D) unit vectors of different faces are one and the same."""
    return float((vectors[:1] @ vectors[1:].T).min()) > 0.99999


def write_finds(folder: Path, manifest: Manifest, detect: Detect) -> None:
    """Measure and store the goldens of a detector's bundle."""
    (found,) = detect([synthetic_picture()])
    faces = [
        {
            "score": round(float(found.scores[i]), 4),
            "box": np.round(found.boxes[i].astype(np.float64), 2).tolist(),
            "points": None
            if found.points is None
            else np.round(found.points[i].astype(np.float64), 2).tolist(),
        }
        for i in range(min(len(found), MOST_FACES))
    ]
    content = {
        "schema_version": SCHEMA_VERSION,
        "picture": "synthetic",
        "sha256": manifest.sha256,
        "faces": faces,
    }
    files.write_text(folder / FILE, json.dumps(content) + "\n")


def check_finds(manifest: Manifest, detect: Detect, folder: Path | None) -> float | None:
    """Run a detector on the synthetic picture; the lowest IoU to its goldens, None without any.

    Raises ``ModelUnsupported`` where a face of the goldens is not found again, with its score and
    points; ``ManifestInvalid`` where goldens.json cannot be used.
    """
    (found,) = detect([synthetic_picture()])
    path = folder / FILE if folder else None
    if path is None or not path.is_file():
        return None
    lowest = 1.0
    for face in _load_finds(path, manifest):
        overlap = box_iou(face.box[None], found.boxes)[0]
        best = int(overlap.argmax()) if len(overlap) else -1
        same = best >= 0 and overlap[best] >= MINIMUM_IOU and _same(face, found, best)
        if not same:
            raise ModelUnsupported(
                f"{manifest.name} answers otherwise than when its bundle was made (a face of its "
                "goldens is not found as it was); try another runtime "
                "(ARCID_RUNTIME=onnxruntime) or get the model again"
            )
        lowest = min(lowest, float(overlap[best]))
    return lowest


def _same(face: _Face, found: Detections, row: int) -> bool:
    if not abs(float(found.scores[row]) - face.score) <= SCORE_APART:
        return False
    if face.points is None or found.points is None:
        return face.points is None and found.points is None
    apart = np.linalg.norm(found.points[row] - face.points, axis=1).max()
    return bool(apart <= POINTS_APART * max(1.0, float(found.sizes[row].max())))


class _Face(NamedTuple):
    score: float
    box: Array  # (4,) xyxy
    points: Array | None  # (5,2)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> _Face:
        points = stored["points"]
        return cls(
            float(stored["score"]),
            np.array(stored["box"], np.float64).reshape(4),
            None if points is None else np.array(points, np.float64).reshape(5, 2),
        )


def _load_finds(path: Path, manifest: Manifest) -> list[_Face]:
    try:
        stored = json.loads(path.read_text("utf-8"))
        usable = stored["schema_version"] == SCHEMA_VERSION and stored["picture"] == "synthetic"
        sha256 = stored["sha256"]
        faces = [_Face.of(face) for face in stored["faces"]]
    except _UNREADABLE as error:
        raise ManifestInvalid(f"{path} cannot be read: {error}") from None
    if not usable:
        raise ManifestInvalid(f"{path} is of a kind that this arcid does not read")
    if sha256 != manifest.sha256:
        raise ManifestInvalid(f"{path} belongs to another model file than the manifest names")
    return faces


def _load(path: Path, manifest: Manifest) -> tuple[Array, float]:
    """Vectors, and the lowest cosine to them."""
    try:
        stored = json.loads(path.read_text("utf-8"))
        usable = stored["schema_version"] == SCHEMA_VERSION and stored["crops"] == "synthetic"
        contract_id = str(stored["contract_id"])
        vectors = np.array(stored["vectors"], np.float64)
        least = float(stored["minimum_cosine"])
    except _UNREADABLE as error:
        raise ManifestInvalid(f"{path} cannot be read: {error}") from None
    if not usable:
        raise ManifestInvalid(f"{path} is of a kind that this arcid does not read")
    if contract_id != manifest.contract_id:
        raise ManifestInvalid(
            f"{path} belongs to contract {contract_id[:12]}, the manifest says "
            f"{manifest.contract_id[:12]}: the manifest was edited, or the file is another model's"
        )
    return vectors, least


def _size(manifest: Manifest) -> int:
    if manifest.input.size is None:
        raise ManifestInvalid(f"{manifest.name} has no input size")
    return manifest.input.size[0]
