"""MTCNN: three small networks in cascade (Zhang et al., "Joint Face Detection and Alignment using
Multitask Cascaded Convolutional Networks", IEEE SPL 2016).

P-Net proposes over an image pyramid, R-Net refines the proposals' crops, O-Net refines again and
finds the points. Crops of all pictures of a call share the forward passes of R-Net and O-Net.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arcid.detect._common import check_images, check_input_name, check_share, check_side, finish
from arcid.detect.second_try import TriesTwice, check_sure
from arcid.errors import UsageError
from arcid.geometry import nms
from arcid.models.manifest import InputSpec
from arcid.runtime import Session
from arcid.types import Detections, FloatArray, Image

_CELL_PX, _STRIDE_PX = 12, 2  # field of one P-Net cell and the step between cells
_CROPS_A_PASS = 256


class MTCNN(TriesTwice):
    """(H,W,3) uint8 RGB in; boxes, points and O-Net scores out.

    ``threshold``: lowest O-Net score kept; ``stage_thresholds``: of P-Net and R-Net. ``size``: the
    pyramid's first level sees the picture with at most this longer side. ``min_face_px``: smallest
    face looked for on that level. ``factor``: step between levels. ``sure``: as in ``TriesTwice``.
    """

    family: ClassVar[str] = "mtcnn"
    files: ClassVar[tuple[str, ...]] = ("pnet", "rnet", "onet")
    has_points: bool = True

    def __init__(
        self,
        sessions: Mapping[str, Session],
        spec: InputSpec,
        *,
        name: str = "mtcnn",
        threshold: float = 0.7,
        nms_iou: float = 0.4,
        size: int | None = None,
        stage_thresholds: Sequence[float] = (0.6, 0.7),
        min_face_px: int = 20,
        factor: float = 0.709,
        sure: float | None = 0.9,
    ) -> None:
        for net in self.files:
            check_input_name(name, spec, sessions[net])
        if not 0.2 <= factor <= 0.95:
            raise UsageError(f"factor must lie between 0.2 and 0.95, got {factor}")
        if min_face_px < _CELL_PX:
            raise UsageError(f"min_face_px must be at least {_CELL_PX}, got {min_face_px}")
        if len(stage_thresholds) != 2:
            raise UsageError("stage_thresholds takes two values, for P-Net and R-Net")
        self.name = name
        self.threshold = check_share("threshold", threshold)
        self.nms_iou = check_share("nms_iou", nms_iou)
        self.size = check_side("size", size or 1024)
        self.stage_thresholds = tuple(check_share("stage_thresholds", t) for t in stage_thresholds)
        self.min_face_px, self.factor = min_face_px, factor
        self.sure = check_sure(sure)
        self._nets, self._spec = dict(sessions), spec

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        """``detect`` without the second try."""
        checked = check_images(images)
        proposals = [self._propose(image) for image in checked]
        owner = np.repeat(np.arange(len(checked)), [len(p) for p in proposals])
        boxes = np.concatenate([*proposals, np.zeros((0, 4), np.float32)])

        boxes, scores, _ = self._refine("rnet", 24, checked, owner, boxes)
        keep = scores >= self.stage_thresholds[1]
        owner, boxes, scores = owner[keep], boxes[keep], scores[keep]
        kept = self._nms_each(owner, boxes, scores, len(checked))

        owner = owner[kept]
        boxes, scores, points = self._refine("onet", 48, checked, owner, _squared(boxes[kept]))
        return [
            finish(
                boxes[owner == i],
                scores[owner == i],
                points[owner == i],
                image_size=(image.shape[0], image.shape[1]),
                threshold=self.threshold,
                nms_iou=self.nms_iou,
            )
            for i, image in enumerate(checked)
        ]

    def _propose(self, image: Image) -> FloatArray:
        """P-Net over the pyramid: (K,4) square boxes in image pixels."""
        import cv2

        height, width = image.shape[:2]
        scale = min(1.0, self.size / max(height, width)) * _CELL_PX / self.min_face_px
        all_boxes, all_scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
        while min(height, width) * scale >= _CELL_PX:
            new = (round(width * scale), round(height * scale))
            level = np.asarray(cv2.resize(image, new, interpolation=cv2.INTER_AREA), np.uint8)
            outputs = self._nets["pnet"].run(self._spec.prepare(level[None]))
            offsets, certain = outputs["boxes"][0], outputs["scores"][0, 1]
            rows, columns = np.nonzero(certain >= self.stage_thresholds[0])
            corner = np.stack([columns, rows], axis=1) * _STRIDE_PX
            boxes = (np.hstack([corner, corner + _CELL_PX]) / scale).astype(np.float32)
            boxes = _shifted(boxes, offsets[:, rows, columns].T)
            scores = certain[rows, columns]
            kept = nms(boxes, scores, 0.5)
            all_boxes.append(boxes[kept])
            all_scores.append(scores[kept])
            scale *= self.factor
        boxes, scores = np.concatenate(all_boxes), np.concatenate(all_scores)
        return _squared(boxes[nms(boxes, scores, 0.7)])

    def _refine(
        self,
        net: str,
        side: int,
        images: list[Image],
        owner: npt.NDArray[np.intp],
        boxes: FloatArray,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """R-Net or O-Net over the crops of ``boxes``: moved boxes, scores, points (O-Net)."""
        moved, scores = np.zeros((len(boxes), 4), np.float32), np.zeros(len(boxes), np.float32)
        points = np.zeros((len(boxes), 5, 2), np.float32)
        for start in range(0, len(boxes), _CROPS_A_PASS):
            rows = slice(start, start + _CROPS_A_PASS)
            crops = [
                _crop(images[i], b, side) for i, b in zip(owner[rows], boxes[rows], strict=True)
            ]
            outputs = self._nets[net].run(self._spec.prepare(np.stack(crops)))
            moved[rows] = _shifted(boxes[rows], outputs["boxes"])
            scores[rows] = outputs["scores"][:, 1]
            if "points" in outputs:
                share = outputs["points"].reshape(-1, 2, 5).transpose(0, 2, 1)
                extent = boxes[rows, None, 2:] - boxes[rows, None, :2]
                points[rows] = boxes[rows, None, :2] + share * extent
        return moved, scores, points

    def _nms_each(
        self, owner: npt.NDArray[Any], boxes: FloatArray, scores: FloatArray, count: int
    ) -> npt.NDArray[np.intp]:
        kept = [np.zeros(0, np.intp)]
        for i in range(count):
            mine = np.flatnonzero(owner == i)
            kept.append(mine[nms(boxes[mine], scores[mine], 0.7)])
        return np.concatenate(kept)


def _shifted(boxes: FloatArray, offsets: npt.NDArray[Any]) -> FloatArray:
    """Move each corner by its offset, a share of the box's sides."""
    moved: FloatArray = boxes + offsets * np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return moved


def _squared(boxes: FloatArray) -> FloatArray:
    """Squares of the longer side around the same centres."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0, keepdims=True) / 2
    return np.hstack([centre - half, centre + half])


def _crop(image: Image, box: FloatArray, side: int) -> Image:
    """The box resized to (side,side,3); black outside the picture."""
    import cv2

    left, top = (round(float(v)) for v in box[:2])
    extent = max(1, round(float(box[2] - box[0])))
    inside = image[max(top, 0) : max(top + extent, 0), max(left, 0) : max(left + extent, 0)]
    if inside.shape[:2] != (extent, extent):
        canvas = np.zeros((extent, extent, 3), np.uint8)
        y, x = max(-top, 0), max(-left, 0)
        canvas[y : y + inside.shape[0], x : x + inside.shape[1]] = inside[
            : max(extent - y, 0), : max(extent - x, 0)
        ]
        inside = canvas
    method = cv2.INTER_AREA if extent > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(inside, (side, side), interpolation=method), np.uint8)
