"""YuNet: a very small anchor-free detector (Wu et al., "YuNet: A Tiny Millisecond-level Face
Detector", Machine Intelligence Research 2023).

Files with a fixed 320 or 640 pixel input and files with an open one are taken alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arcid.detect._common import Candidates, SingleShot, grid
from arcid.errors import ManifestInvalid
from arcid.models.manifest import InputSpec
from arcid.runtime import Session
from arcid.types import FloatArray


class YuNet(SingleShot):
    """(H,W,3) uint8 RGB in (the network itself wants BGR 0–255); boxes, points and
    score = √(class · objectness) out."""

    family: ClassVar[str] = "yunet"

    def __init__(
        self,
        session: Session,
        spec: InputSpec,
        *,
        name: str = "yunet",
        threshold: float = 0.6,
        nms_iou: float = 0.4,
        size: int | None = None,
        max_upscale: float = 1.5,
        sure: float | None = 0.85,
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
        wanted = {f"{kind}_{s}" for kind in ("cls", "obj", "bbox", "kps") for s in self.strides}
        missing = sorted(wanted - set(session.output_names))
        if missing:
            raise ManifestInvalid(f"{name}: the file has no outputs {', '.join(missing)}")

    def decode(
        self, outputs: dict[str, npt.NDArray[Any]], batch: int, canvas: tuple[int, int]
    ) -> Candidates:
        boxes, scores, points = [], [], []
        for stride in self.strides:
            cells = grid(canvas[0] // stride, canvas[1] // stride, 1)

            def level(kind: str, shape: tuple[int, ...], s: int = stride) -> FloatArray:
                return np.asarray(outputs[f"{kind}_{s}"], np.float32).reshape(batch, -1, *shape)

            box, certain = level("bbox", (4,)), level("cls", ()) * level("obj", ())
            if box.shape[1] != len(cells):
                raise ManifestInvalid(
                    f"{self.name}: {box.shape[1]} boxes at stride {stride}, but a canvas of "
                    f"{canvas[1]}×{canvas[0]} pixels has {len(cells)} cells"
                )
            centre, half = cells + box[..., :2], np.exp(box[..., 2:]) / 2
            boxes.append(np.concatenate([centre - half, centre + half], axis=-1) * stride)
            scores.append(np.sqrt(np.clip(certain, 0, 1)))
            points.append((level("kps", (5, 2)) + cells[:, None]) * stride)
        return Candidates(
            np.concatenate(boxes, axis=1),
            np.concatenate(scores, axis=1),
            np.concatenate(points, axis=1),
        )
