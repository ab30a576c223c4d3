"""The detectors trained by ``arcid detector train``: anchor-free, strides 8, 16 and 32.

Every cell of three grids answers with a score, the middle of the face relative to its own in cells,
the logarithm of the face's sides in cells, and five points in cells. A bundle may hold a second
network, ``points``, that looks again at the points of each face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arcid.detect._common import Candidates, SingleShot, grid
from arcid.detect.landmarks import LandmarkRefiner
from arcid.errors import ManifestInvalid
from arcid.models.manifest import InputSpec
from arcid.runtime import Session
from arcid.types import Detections, FloatArray, Image

_OUTPUTS = ("scores", "boxes", "points")
_LARGEST = 6.0  # of a side's logarithm; e^6 cells are more than any canvas


class ArcidDetect(SingleShot):
    """(H,W,3) uint8 RGB in; boxes, scores after sigmoid and points out.

    ``strides``: pixels a cell of each grid, finest first; the outputs hold all grids in that order,
    row by row: ``scores`` (B,A), ``boxes`` (B,A,4), ``points`` (B,A,10). ``refine`` False leaves
    the points as these give them, where the bundle has a landmark refiner.
    """

    family: ClassVar[str] = "arcid"
    optional_files: ClassVar[tuple[str, ...]] = ("points",)

    def __init__(
        self,
        sessions: Session | Mapping[str, Session],
        spec: InputSpec,
        *,
        name: str = "arcid-detect",
        threshold: float = 0.5,
        nms_iou: float = 0.4,
        size: int | None = None,
        max_upscale: float = 1.0,
        sure: float | None = 0.9,
        strides: Sequence[int] = (8, 16, 32),
        refine: bool = True,
    ) -> None:
        given = sessions if isinstance(sessions, Mapping) else {"model": sessions}
        session, refiner = given["model"], given.get("points")
        super().__init__(
            session,
            spec,
            name=name,
            threshold=threshold,
            nms_iou=nms_iou,
            size=size,
            max_upscale=max_upscale,
            sure=sure,
        )
        self.strides = tuple(strides)
        if missing := sorted(set(_OUTPUTS) - set(session.output_names)):
            raise ManifestInvalid(f"{name}: the file has no outputs {', '.join(missing)}")
        self._refiner = LandmarkRefiner(refiner, spec, name=name) if refiner and refine else None

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        """``detect`` without the second try."""
        found = super().detect_once(images)
        return self._refiner(images, found) if self._refiner else found

    def decode(
        self, outputs: dict[str, npt.NDArray[Any]], batch: int, canvas: tuple[int, int]
    ) -> Candidates:
        centre, stride = _cells(canvas, self.strides)
        scores = np.asarray(outputs["scores"], np.float32).reshape(batch, -1)
        if scores.shape[1] != len(centre):
            raise ManifestInvalid(
                f"{self.name}: {scores.shape[1]} cells, but a canvas of {canvas[1]}×{canvas[0]} "
                f"pixels has {len(centre)} at strides {self.strides}"
            )
        rows = np.flatnonzero((scores >= self.threshold).any(axis=0))  # few of thousands
        centre, stride = centre[rows], stride[rows]
        raw = np.asarray(outputs["boxes"], np.float32).reshape(batch, -1, 4)[:, rows]
        middle = centre + raw[..., :2] * stride
        half = np.exp(np.minimum(raw[..., 2:], _LARGEST)) * stride / 2
        points = np.asarray(outputs["points"], np.float32).reshape(batch, -1, 5, 2)[:, rows]
        return Candidates(
            np.concatenate([middle - half, middle + half], axis=-1),
            scores[:, rows],
            centre[:, None] + points * stride[:, None],
        )


@lru_cache(maxsize=64)
def _cells(canvas: tuple[int, int], strides: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """(A,2) middles of all cells in canvas pixels, and (A,1) their strides; not writeable."""
    cells = [grid(canvas[0] // s, canvas[1] // s, 1) + np.float32(0.5) for s in strides]
    sides = [np.full((len(c), 1), s, np.float32) for c, s in zip(cells, strides, strict=True)]
    stride = np.concatenate(sides)
    centre = np.concatenate(cells) * stride
    centre.flags.writeable = stride.flags.writeable = False
    return centre, stride
