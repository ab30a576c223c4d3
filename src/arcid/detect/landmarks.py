"""Landmark refinement: every face found, cut out upright, through a small network.

A detector's points come from cells that see the whole picture coarsely. The same face at one size
and upright shows them better; cascades have long refined theirs so (Sun et al., "Deep Convolutional
Network Cascade for Facial Point Detection", CVPR 2013).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from arcid.errors import ManifestInvalid
from arcid.geometry import undo, upright, warp
from arcid.models.manifest import InputSpec
from arcid.runtime import Session
from arcid.types import Detections, FloatArray, Image

MAX_BATCH = 16  # faces a forward pass


class LandmarkRefiner:
    """Detections in, the same detections with better points out.

    The network takes (N,3,S,S) crops, as ``geometry.upright`` cuts them, and answers ``points``
    (N,10): x and y of the five, from the crop's middle, as shares of its side.
    """

    def __init__(self, session: Session, spec: InputSpec, *, name: str) -> None:
        sides = tuple(session.input_shape[2:4])
        if len(sides) != 2 or sides[0] is None or sides[0] != sides[1]:
            raise ManifestInvalid(
                f"{name}: the landmark refiner must take square crops of one size"
            )
        if "points" not in session.output_names:
            raise ManifestInvalid(f"{name}: the landmark refiner has no output points")
        self.size = sides[0]
        self._name, self._session, self._spec = name, session, spec

    def __call__(self, images: Sequence[Image], found: Sequence[Detections]) -> list[Detections]:
        """(H,W,3) uint8 RGB pictures and what was found in each; faces that cannot be cut out keep
        their points."""
        owner = np.repeat(np.arange(len(found)), [len(one) for one in found])
        if not len(owner):
            return list(found)
        boxes = np.concatenate([one.boxes for one in found])
        points = np.concatenate([_points(one) for one in found])
        matrices, usable = upright(boxes, points, self.size)
        rows = np.flatnonzero(usable)
        for start in range(0, len(rows), MAX_BATCH):
            part = rows[start : start + MAX_BATCH]
            crops = np.stack([warp(images[owner[i]], matrices[i], self.size) for i in part])
            points[part] = undo(self._run(crops), matrices[part])
        ends = np.cumsum([len(one) for one in found])[:-1]
        return [
            Detections(one.boxes, one.scores, mine, one.image_size)
            for one, mine in zip(found, np.split(points, ends), strict=True)
        ]

    def _run(self, crops: Image) -> npt.NDArray[np.float64]:
        """(N,S,S,3) uint8 crops in; (N,5,2) in their pixels out."""
        given = np.asarray(self._session.run(self._spec.prepare(crops))["points"], np.float64)
        if given.shape != (len(crops), 10):
            raise ManifestInvalid(
                f"{self._name}: the landmark refiner answered {given.shape} for {len(crops)} faces"
            )
        placed: npt.NDArray[np.float64] = given.reshape(-1, 5, 2) * self.size + (self.size - 1) / 2
        return placed


def _points(found: Detections) -> FloatArray:
    assert found.points is not None  # the detector that owns a refiner finds points
    return found.points


__all__ = ["LandmarkRefiner"]
