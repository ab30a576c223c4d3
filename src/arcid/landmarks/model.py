"""(image, Detections) → Landmarks: every face cut out upright, through a small network."""

from __future__ import annotations

import numpy as np

from arcid.errors import LandmarksRequired, ManifestInvalid, ModelUnsupported
from arcid.geometry import undo, upright, warp
from arcid.landmarks.points import COUNT, Landmarks
from arcid.models.manifest import Manifest
from arcid.runtime import Session
from arcid.types import Detections, FloatArray, Image

MAX_BATCH = 16  # faces a forward pass


class LandmarkModel:
    """(H,W,3) uint8 RGB and its detections in; 68 points a face out, in pixels of the photo.

    The network takes (N,3,S,S) crops, as ``geometry.upright`` cuts them, and answers ``points``
    (N,136): x and y of each, from the crop's middle, as shares of its side. A manifest whose model
    was measured to tell closed eyes and open mouths says so: ``options: {"openness": true}``.
    """

    def __init__(self, session: Session, manifest: Manifest) -> None:
        if manifest.task != "landmarks":
            raise ModelUnsupported(f"{manifest.name} is a {manifest.task} model, not of landmarks")
        size = manifest.input.size
        if size is None or size[0] != size[1] or "points" not in session.output_names:
            raise ManifestInvalid(
                f"{manifest.name}: a landmark model takes square crops and answers points"
            )
        self.name, self.size = manifest.name, size[0]
        self.tells_openness = bool(manifest.options.get("openness"))
        self._session, self._spec = session, manifest.input

    def find(self, image: Image, detections: Detections) -> Landmarks:
        """The landmarks of every detection. Raises ``LandmarksRequired`` where the detector gives
        no five points, and where those of a face coincide."""
        if not len(detections):
            return Landmarks(np.zeros((0, COUNT, 2), np.float32))
        if detections.points is None:
            raise LandmarksRequired(
                "a face is turned upright by its five points first; use a detector that finds them"
            )
        matrices, usable = upright(detections.boxes, detections.points, self.size)
        if not usable.all():
            raise LandmarksRequired("the five points of a face coincide, or its box has no area")
        crops = np.stack([warp(image, matrix, self.size) for matrix in matrices])
        parts = [self._run(crops[i : i + MAX_BATCH]) for i in range(0, len(crops), MAX_BATCH)]
        return Landmarks(undo(np.concatenate(parts), matrices))

    def _run(self, crops: Image) -> FloatArray:
        """(N,S,S,3) uint8 crops in; (N,68,2) in their pixels out."""
        given = self._session.run(self._spec.prepare(crops))["points"]
        if given.shape != (len(crops), 2 * COUNT):
            raise ManifestInvalid(f"{self.name} answered {given.shape} for {len(crops)} faces")
        placed: FloatArray = np.asarray(given, np.float32).reshape(-1, COUNT, 2) * self.size
        return placed + np.float32((self.size - 1) / 2)


__all__ = ["LandmarkModel"]
