"""Aligned crops without what is around the face: inside an ellipse, or inside its outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.geometry import template_points
from arcid.landmarks import LandmarkFinder
from arcid.landmarks.points import Landmarks, eye_centres
from arcid.types import Crops, Detections, FloatArray

GREY = 127  # of what is masked: near zero for a network
#: Of the 112-pixel template. Box: the median of arcid-detect-s on 250 aligned crops of CelebA.
MIDDLE, RADII, BOX = (56.0, 64.0), (42.0, 56.0), (16.7, 9.1, 95.4, 117.5)
FOREHEAD = 0.6  # of the distance of the eyes, that the outline lies above the brows


@dataclass(frozen=True, slots=True)
class EllipseMask:
    """Keeps an ellipse from forehead to chin, the same for every face."""

    name: str = "ellipse"

    def __call__(self, crops: Crops) -> Crops:
        """(N,S,S,3) aligned crops in, the same with grey around the ellipse out."""
        scale = crops.size / 112
        at = np.arange(crops.size) + 0.5
        across, down = ((at - m * scale) / (r * scale) for m, r in zip(MIDDLE, RADII, strict=True))
        return _grey(crops, across[None, :] ** 2 + down[:, None] ** 2 < 1)


@dataclass(frozen=True, slots=True, repr=False)
class ContourMask:
    """Keeps what lies within jaw and raised brows, as a landmark model finds them in the crop."""

    model: LandmarkFinder

    @property
    def name(self) -> str:
        return f"contour of {self.model.name}"

    def __call__(self, crops: Crops) -> Crops:
        """(N,S,S,3) aligned crops in, the same with grey around each face out."""
        size = crops.size
        box = np.array([BOX], np.float32) * np.float32(size / 112)
        five = template_points(size)[None]
        found = [
            self.model.find(pixels, Detections(box, np.ones(1, np.float32), five, (size, size)))
            for pixels in crops.pixels
        ]
        return _grey(crops, np.stack([inside(one, size) for one in found]) if found else [])


def inside(landmarks: Landmarks, size: int) -> npt.NDArray[np.bool_]:
    """(S,S) of one face: within the hull of its jaw, and of its brows raised along the face."""
    import cv2

    left, right = (side[0] for side in eye_centres(landmarks.points))
    across = right - left
    up = np.array([across[1], -across[0]], np.float32) * np.float32(FOREHEAD)
    outline: FloatArray = landmarks.contour[0] + np.where(np.arange(27)[:, None] < 17, 0, up)
    hull = cv2.convexHull(outline.round().astype(np.int32))
    filled = cv2.fillConvexPoly(np.zeros((size, size), np.uint8), hull, 1)
    return np.asarray(filled, bool)


def _grey(crops: Crops, kept: Any) -> Crops:
    if not len(crops):
        return crops
    shown = np.broadcast_to(kept, crops.pixels.shape[:3])[..., None]
    return Crops(np.where(shown, crops.pixels, np.uint8(GREY)))


__all__ = ["ContourMask", "EllipseMask", "inside"]
