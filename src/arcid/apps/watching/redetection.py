"""Whether a detection is a face: it is detected again in other views, with its points in place.

A face cut out upright is found again at another size and in a mirror, with its points where they
were. A hand, a sleeve or the back of a head that passed once seldom does. Nothing of it is a score,
so that it means the same behind every detector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arcid.detect import Detector, once
from arcid.geometry import apply_affine, upright, warp
from arcid.types import Detections, FloatArray, Image

SIDE, SHARE = 224, 0.4  # pixels of what is cut out, and the face's share of it
VIEWS = ((224, 0.4, False), (160, 0.5, True), (96, 0.6, False))  # pixels, share, mirrored
MIRRORED = [1, 0, 2, 4, 3]  # which point is which in a mirror
#: Mean distance of the five points, as a share of the face's side, in the worst view. Of the faces
#: in lfw-dev and data/photos that pass the gate 99 % stay below 0.04 (benchmarks/redetection.py).
SAME_POINTS = 0.05


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cutout:
    """A face upright, with what is around it."""

    image: Image  # (SIDE,SIDE,3) uint8 RGB
    points: FloatArray  # (5,2) pixels in it


def cut_out(image: Image, found: Detections) -> Cutout | None:
    """The one face of ``found``; None where it has no points or cannot be cut out."""
    if found.points is None:
        return None
    matrices, usable = upright(found.boxes, found.points, SIDE)
    if not usable[0]:
        return None
    matrix = matrices[0] * SHARE
    matrix[:, 2] += (SIDE - 1) / 2 * (1 - SHARE)
    return Cutout(warp(image, matrix, SIDE), apply_affine(matrix, found.points[0]))


def distance(detector: Detector, face: Cutout) -> float:
    """How far the points are from where they were in the worst of the views, as a share of the
    face's side; infinite where a view shows no face."""
    views = [_view(face, *view) for view in VIEWS]
    worst = 0.0
    answers = once(detector)([image for image, _ in views])
    for (_, points), (side, share, _), again in zip(views, VIEWS, answers, strict=True):
        if not len(again) or again.points is None:
            return float("inf")
        apart = np.linalg.norm(again.points - points, axis=2).mean(axis=1)
        worst = max(worst, float(apart.min()) / (share * side))
    return worst


def _view(face: Cutout, side: int, share: float, mirrored: bool) -> tuple[Image, FloatArray]:
    import cv2

    edge = round((SIDE - SIDE * SHARE / share) / 2)
    middle = face.image[edge : SIDE - edge, edge : SIDE - edge]
    scale = side / len(middle)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = cv2.resize(middle, (side, side), interpolation=method)
    points = (face.points - edge + 0.5) * scale - 0.5
    if mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
        points = points[MIRRORED] * [-1, 1] + [side - 1, 0]
    return np.asarray(image, np.uint8), np.asarray(points, np.float32)
