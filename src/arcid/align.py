"""(image, Detections) → Crops: every face brought onto the template of its recogniser."""

from __future__ import annotations

from typing import get_args

import numpy as np

from arcid.errors import LandmarksRequired, UsageError
from arcid.geometry import similarity_transform, template_points, warp
from arcid.types import Crops, Detections, Image, Template

BOX_MARGIN = 0.1  # of the longer side, on each side


def align(
    image: Image,
    detections: Detections,
    *,
    size: int = 112,
    template: Template = "arcface",
    margin: int = 0,
) -> Crops:
    """(H,W,3) uint8 RGB and its detections in; (N,S,S,3) uint8 RGB out, S = size + 2 · margin.

    ``arcface`` maps the five points onto the ArcFace template by a similarity transform and needs
    them (``LandmarksRequired``); ``omz`` onto those of Open Model Zoo's recogniser. ``box`` cuts
    the square around the box with a margin, upright, as FaceNet-style recognisers were trained.
    ``margin``: pixels of the photo that are kept beyond the template's ``size`` on every side.
    """
    if template not in get_args(Template):
        known = ", ".join(get_args(Template))
        raise UsageError(f"template {template!r} is unknown; known: {known}")
    if template != "box" and detections.points is None:
        raise LandmarksRequired(
            "these detections are boxes only; aligning needs the five points: "
            "use a detector that finds them (scrfd, yunet, retinaface, mtcnn)"
        )
    if len(detections) == 0:
        return Crops.empty(size + 2 * margin)
    if template == "box":
        matrices = _box_transform(detections, size)
    else:
        assert detections.points is not None
        matrices = similarity_transform(detections.points, template_points(size, template))
    matrices[:, :, 2] += margin
    return Crops(np.stack([warp(image, matrix, size + 2 * margin) for matrix in matrices]))


def _box_transform(detections: Detections, size: int) -> np.ndarray:
    centre = (detections.boxes[:, :2] + detections.boxes[:, 2:]) / 2
    side = np.maximum(detections.sizes.max(axis=1), 1.0) * (1 + 2 * BOX_MARGIN)
    scale = size / side
    matrices = np.zeros((len(detections), 2, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = scale
    matrices[:, :, 2] = size / 2 - centre * scale[:, None]
    return matrices
