"""RetinaFace: one-stage detector on anchors (Deng et al., "RetinaFace: Single-Shot Multi-Level Face
Localisation in the Wild", CVPR 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arcid.detect._common import Candidates, SingleShot, grid, stack_levels
from arcid.errors import ManifestInvalid
from arcid.models.manifest import InputSpec
from arcid.runtime import Session
from arcid.types import FloatArray


class RetinaFace(SingleShot):
    """(H,W,3) uint8 RGB in (the network itself wants BGR minus a mean); boxes, points and softmax
    scores out.

    ``anchors_px``: sides of the square anchors of each level, which differ between published
    weights (16 to 512 in most ports, 10 to 256 in the 1 MB variant); ``strides``: pixels a cell of
    each level; ``variances``: scale of the offsets and of the log sizes.
    """

    family: ClassVar[str] = "retinaface"

    def __init__(
        self,
        session: Session,
        spec: InputSpec,
        *,
        name: str = "retinaface",
        threshold: float = 0.6,
        nms_iou: float = 0.4,
        size: int | None = None,
        max_upscale: float = 1.0,
        sure: float | None = 0.999,
        anchors_px: Sequence[Sequence[float]] = ((16, 32), (64, 128), (256, 512)),
        strides: Sequence[int] = (8, 16, 32),
        variances: Sequence[float] = (0.1, 0.2),
    ) -> None:
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
        if len(anchors_px) != len(strides) or len(variances) != 2:
            raise ManifestInvalid(f"{name}: one list of anchors a stride and two variances needed")
        self.strides, self.variances = tuple(strides), tuple(variances)
        self.anchors_px = tuple(tuple(sides) for sides in anchors_px)

    def decode(
        self, outputs: dict[str, npt.NDArray[Any]], batch: int, canvas: tuple[int, int]
    ) -> Candidates:
        by_channels = stack_levels(outputs, (2, 4, 10), batch)
        if any(len(levels) != 1 for levels in by_channels.values()):
            raise ManifestInvalid(f"{self.name}: one output each of 2, 4 and 10 channels expected")
        offsets, certain = by_channels[4][0], by_channels[2][0]
        centre, side = self._anchors(canvas)
        if offsets.shape[1] != len(centre):
            raise ManifestInvalid(
                f"{self.name}: {offsets.shape[1]} boxes, but the manifest's anchors make "
                f"{len(centre)} on {canvas[1]}×{canvas[0]} pixels"
            )
        shift, growth = self.variances
        middle = centre + offsets[..., :2] * shift * side
        half = side * np.exp(offsets[..., 2:] * growth) / 2
        points = by_channels[10][0].reshape(batch, -1, 5, 2) * shift * side[:, None]
        return Candidates(
            np.concatenate([middle - half, middle + half], axis=-1),
            certain[..., 1],
            points + centre[:, None],
        )

    def _anchors(self, canvas: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
        """(A,2) centres and (A,1) sides in canvas pixels."""
        centres, sides = [], []
        for stride, anchor_sides in zip(self.strides, self.anchors_px, strict=True):
            height, width = -(-canvas[0] // stride), -(-canvas[1] // stride)
            centres.append((grid(height, width, len(anchor_sides)) + 0.5) * np.float32(stride))
            sides.append(np.tile(np.asarray(anchor_sides, np.float32), height * width)[:, None])
        return np.concatenate(centres), np.concatenate(sides)
