"""SCRFD: one-stage detector with distance boxes (Guo et al., "Sample and Computation Redistribution
for Efficient Face Detection", ICLR 2022).

Every published size (500M to 34G) fits: with or without points, one or two anchors a cell, outputs
with or without a batch axis and under any name: they are told apart by channel count and length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arcid.detect._common import Candidates, SingleShot, grid, stack_levels
from arcid.errors import ManifestInvalid
from arcid.models.manifest import InputSpec
from arcid.runtime import Session


class SCRFD(SingleShot):
    """(H,W,3) uint8 RGB in; boxes, scores after sigmoid and, where the file has them, points.

    ``strides``: pixels a cell of each output level, finest first; five levels are
    ``(8, 16, 32, 64, 128)``.
    """

    family: ClassVar[str] = "scrfd"

    def __init__(
        self,
        session: Session,
        spec: InputSpec,
        *,
        name: str = "scrfd",
        threshold: float = 0.5,
        nms_iou: float = 0.4,
        size: int | None = None,
        max_upscale: float = 1.0,
        sure: float | None = 0.7,
        strides: Sequence[int] = (8, 16, 32),
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
        self.strides = tuple(strides)
        levels, count = len(self.strides), len(session.output_names)
        if count not in (2 * levels, 3 * levels):
            raise ManifestInvalid(
                f"{name}: {count} outputs; {levels} strides need {2 * levels} (boxes) or "
                f"{3 * levels} (boxes and points)"
            )
        self.has_points = count == 3 * levels

    def decode(
        self, outputs: dict[str, npt.NDArray[Any]], batch: int, canvas: tuple[int, int]
    ) -> Candidates:
        by_channels = stack_levels(outputs, (1, 4, 10), batch)
        boxes, points = [], []
        for level, stride in enumerate(self.strides):
            distances = by_channels[4][level] * stride
            height, width = -(-canvas[0] // stride), -(-canvas[1] // stride)
            anchors, rest = divmod(distances.shape[1], height * width)
            if rest or not anchors:
                raise ManifestInvalid(
                    f"{self.name}: {distances.shape[1]} boxes at stride {stride} do not fit a "
                    f"{width}×{height} grid; check the manifest's strides"
                )
            centre = grid(height, width, anchors) * np.float32(stride)
            boxes.append(np.concatenate([-distances[..., :2], distances[..., 2:]], axis=-1))
            boxes[-1] += np.tile(centre, 2)
            if self.has_points:
                offsets = by_channels[10][level].reshape(batch, -1, 5, 2) * stride
                points.append(offsets + centre[:, None])
        return Candidates(
            np.concatenate(boxes, axis=1),
            np.concatenate(by_channels[1], axis=1)[..., 0],
            np.concatenate(points, axis=1) if points else None,
        )
