"""Faces in CompreFace's words."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from arcid.calibration import Calibration
from arcid.errors import NoFaceFound
from arcid.quality import Quality
from arcid.results import Face, Faces
from arcid.server.compat.adapter import likeness
from arcid.server.compat.compreface.asking import Options
from arcid.server.compat.compreface.refusals import refusal
from arcid.server.deps import Services
from arcid.types import Detections

DECIMALS, STEPS = 5, 100_000


def image_id(face_id: str) -> str:
    """The id of a face, as a UUID is usually written."""
    return str(uuid.UUID(face_id))


def face_id(image_id: str) -> str:
    """The other way. Raises ``HttpError``: nothing else is the id of a face."""
    try:
        return uuid.UUID(image_id).hex
    except ValueError:
        raise refusal(44, f"Image {image_id[:64]} not found", 404) from None


def rows_of(found: Detections | None, options: Options) -> list[int]:
    """Which faces are meant, the largest first. Raises ``NoFaceFound``."""
    if found is None:
        return [0]
    by_area = np.argsort(-found.sizes.prod(axis=1), kind="stable")
    rows = [int(row) for row in by_area if found.scores[row] >= options.least_score]
    if not rows:
        raise NoFaceFound("no face was found in the photo")
    return rows[: options.limit or None]


def chosen(faces: Faces, options: Options) -> Faces:
    """As ``rows_of``."""
    return faces[rows_of(faces.detections, options)]


def only(faces: Faces, options: Options) -> Face:
    """The one face that a photo shows. Raises ``NoFaceFound``, ``SeveralFacesFound``."""
    meant = chosen(faces, replace(options, limit=0))
    return meant[0 if meant.detections is None else meant.detections.choose("one")]


def similarity(calibration: Calibration, cosine: float, among: int = 1) -> float:
    """0–1, rounded down to five digits."""
    return math.floor(likeness(calibration, cosine, among) * STEPS) / STEPS


def told(face: Face, size: tuple[int, int], options: Options) -> dict[str, Any]:
    """``size``: (height, width) pixels of the photo."""
    said = found(face.box, face.score, face.points, face.quality, size, options)
    if "calculator" in options.plugins:
        said["embedding"] = face.embedding.vectors[0].tolist()
    return said


def found(
    box: Sequence[float] | None,
    score: float | None,
    points: Any,
    quality: Quality | None,
    size: tuple[int, int],
    options: Options,
) -> dict[str, Any]:
    """A face that was found; of an aligned crop, which nobody looked for, the whole of it."""
    height, width = size
    x1, y1, x2, y2 = (0, 0, width, height) if box is None else map(round, map(float, box))
    said: dict[str, Any] = {
        "box": {
            "x_max": min(x2, width), "y_max": min(y2, height),
            "x_min": max(x1, 0), "y_min": max(y1, 0),
        }
    }  # fmt: skip
    if score is not None:
        said["box"]["probability"] = round(float(score), DECIMALS)
    if "landmarks" in options.plugins and points is not None:
        said["landmarks"] = [[round(float(x)), round(float(y))] for x, y in points]
    if "pose" in options.plugins and quality is not None and quality.yaw_deg is not None:
        angles = {"pitch": quality.pitch_deg, "roll": quality.roll_deg, "yaw": quality.yaw_deg}
        said["pose"] = {name: round(float(v), 3) for name, v in angles.items() if v is not None}
    return said


def size_of(faces: Faces) -> tuple[int, int]:
    """(height, width) pixels."""
    return (faces.crops.size,) * 2 if faces.detections is None else faces.detections.image_size


def result(rows: list[dict[str, Any]], running: Services, options: Options) -> dict[str, Any]:
    """The answer about a photo."""
    said: dict[str, Any] = {"result": rows}
    if options.status:
        said["plugins_versions"] = versions(running)
    return said


def versions(running: Services) -> dict[str, str]:
    origin = running.pipeline.provenance
    return {"detector": origin["detector"], "calculator": origin["model"]}
