"""Ultra-Light-Fast-Generic-Face-Detector (RFB-320 and slim): boxes only, about a megabyte.

The published ONNX files decode their own anchors: corners come as shares of the input's sides.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arcid.detect._common import Candidates, SingleShot, stack_levels
from arcid.errors import ManifestInvalid
from arcid.models.manifest import InputSpec
from arcid.runtime import Session


class UltraLight(SingleShot):
    """(H,W,3) uint8 RGB in; boxes and softmax scores out, no points."""

    family: ClassVar[str] = "ultralight"
    has_points = False

    def __init__(
        self,
        session: Session,
        spec: InputSpec,
        *,
        name: str = "ultralight",
        threshold: float = 0.7,
        nms_iou: float = 0.4,
        size: int | None = None,
        max_upscale: float = 1.0,
        sure: float | None = 0.9,
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

    def decode(
        self, outputs: dict[str, npt.NDArray[Any]], batch: int, canvas: tuple[int, int]
    ) -> Candidates:
        by_channels = stack_levels(outputs, (2, 4), batch)
        if any(len(levels) != 1 for levels in by_channels.values()):
            raise ManifestInvalid(f"{self.name}: one output each of 2 and 4 channels expected")
        height, width = canvas
        sides = np.array([width, height, width, height], np.float32)
        return Candidates(by_channels[4][0] * sides, by_channels[2][0][..., 1], None)
