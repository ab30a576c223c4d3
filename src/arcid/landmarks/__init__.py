"""68 landmarks a face, and what they tell: pose of the head, openness of eyes and mouth, contour.

A stage of its own, off unless asked for: detections → ``model`` → ``points`` → ``pose``, ``mask``
"""

from __future__ import annotations

from typing import Protocol

from arcid.landmarks.dlib import DlibLandmarks
from arcid.landmarks.model import LandmarkModel
from arcid.landmarks.points import Landmarks
from arcid.types import Detections, Image


class LandmarkFinder(Protocol):
    """Anything that finds 68 landmarks."""

    name: str

    @property
    def tells_openness(self) -> bool:
        """Whether it was measured to tell closed eyes and an open mouth from a face at rest."""
        ...

    def find(self, image: Image, detections: Detections) -> Landmarks:
        """(H,W,3) uint8 RGB and its detections in; their landmarks out."""
        ...


__all__ = ["DlibLandmarks", "LandmarkFinder", "LandmarkModel", "Landmarks"]
