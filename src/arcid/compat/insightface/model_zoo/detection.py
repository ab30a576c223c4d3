"""SCRFD as insightface runs it: over one or several input sizes, with one NMS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from arcid import detect
from arcid.compat.insightface.model_zoo.network import Array, Network
from arcid.models.manifest import InputSpec
from arcid.runtime import Session

Size = tuple[int, int]
AUTO: list[Size] = [(128, 128), (640, 640)]


class SCRFD(Network):
    """(H,W,3) uint8 BGR in; boxes with scores, and points, in pixels of the picture out."""

    taskname = "detection"

    def __init__(
        self, path: Path, session: Session, norm: tuple[float, float] = (127.5, 128.0)
    ) -> None:
        """``norm``: what is taken off each value, and what it is divided by."""
        super().__init__(path, session)
        mean, std = norm
        self._spec = InputSpec(None, "RGB", (mean,) * 3, (std,) * 3, None)
        self.det_thresh, self.nms_thresh = 0.5, 0.4
        levels = len(session.output_names) // (3 if len(session.output_names) % 3 == 0 else 2)
        self._decoder = detect.SCRFD(
            session, self._spec, strides=tuple(8 << level for level in range(levels))
        )
        self.use_kps = self._decoder.has_points
        height, width = session.input_shape[2:4]
        self._own: Size | None = None if height is None or width is None else (width, height)
        self.input_sizes: list[Size] = [self._own] if self._own else list(AUTO)

    def prepare(
        self,
        ctx_id: int = 0,
        *,
        input_size: Any = None,
        det_thresh: float | None = None,
        nms_thresh: float | None = None,
        **more: Any,
    ) -> None:
        """``input_size``: a pair (width, height), several pairs, or None or (0, 0) for both of
        128 and 640. A file with a size of its own keeps that. ``ValueError`` for sizes below 1."""
        if det_thresh is not None:
            self.det_thresh = det_thresh
        if nms_thresh is not None:
            self.nms_thresh = nms_thresh
        if self._own is None:
            self.input_sizes = sizes(input_size)
            self.input_size = self.input_sizes[-1]

    def detect(
        self, img: Array, input_size: Any = None, max_num: int = 0, metric: str = "default"
    ) -> tuple[Array, Array | None]:
        """(N,5) float32 x1,y1,x2,y2,score, best first, and (N,5,2) float32 points or None.

        ``max_num`` above 0 keeps the largest, by ``metric`` "default" those near the middle first.
        """
        wanted = self.input_sizes if self._own or input_size is None else sizes(input_size)
        parts = [self._candidates(img, size) for size in wanted]
        boxes, points = (np.concatenate(rows) for rows in zip(*parts, strict=True))
        order = boxes[:, 4].argsort(kind="stable")[::-1]
        boxes, points = boxes[order], points[order]
        kept = _nms(boxes, self.nms_thresh)
        boxes, points = boxes[kept], points[kept]
        rows = largest(boxes[:, :4], img.shape, max_num, metric)
        boxes, points = boxes[rows], points[rows]
        return boxes, points if self.use_kps else None

    def _candidates(self, img: Array, size: Size) -> tuple[Array, Array]:
        """(N,5) and (N,5,2) float32 of all faces above the threshold, before NMS."""
        import cv2

        width, height = size
        ratio = img.shape[0] / img.shape[1]
        if ratio > height / width:
            new = (int(height / ratio), height)
        else:
            new = (width, int(width * ratio))
        canvas = np.zeros((height, width, 3), np.uint8)
        canvas[: new[1], : new[0]] = cv2.resize(img, new)
        scale = new[1] / img.shape[0]
        outputs = self.session.run(self._spec.prepare(canvas[None, ..., ::-1]))
        found = self._decoder.decode(outputs, 1, (height, width))
        likely = found.scores[0] >= self.det_thresh
        scores = found.scores[0, likely, None]
        boxes = np.hstack([found.boxes[0, likely] / np.float32(scale), scores])
        if found.points is None:
            return boxes, np.zeros((len(boxes), 5, 2), np.float32)
        return boxes, found.points[0, likely] / np.float32(scale)


def sizes(given: Any) -> list[Size]:
    """What ``input_size`` means, as pairs; ``ValueError`` for a side below 1."""
    if given is None or (np.ndim(given) == 1 and not np.any(given)):
        return list(AUTO)
    pairs = [given] if np.ndim(given) == 1 else list(given)
    if any(len(pair) != 2 or min(pair) <= 0 for pair in pairs):
        raise ValueError(f"input sizes are pairs of a width and a height above 0, got {given}")
    return [(int(width), int(height)) for width, height in pairs]


def largest(boxes: Array, shape: tuple[int, ...], max_num: int, metric: str) -> Any:
    """Which of (N,4) boxes to keep: all where there are few, else ``max_num`` by area, less twice
    the squared distance from the middle unless ``metric`` is "max"."""
    if not 0 < max_num < len(boxes):
        return slice(None)
    worth = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    if metric != "max":
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2 - [shape[1] // 2, shape[0] // 2]
        worth = worth - 2.0 * (middle**2).sum(axis=1)
    return worth.argsort(kind="stable")[::-1][:max_num]


def _nms(boxes: Array, threshold: float) -> list[int]:
    """Rows kept of (N,5) boxes, best first. A box of one pixel has an area of 1 here."""
    x1, y1, x2, y2 = boxes[:, :4].T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    left = np.arange(len(boxes))
    kept = []
    while len(left):
        first, rest = left[0], left[1:]
        kept.append(int(first))
        width = np.minimum(x2[first], x2[rest]) - np.maximum(x1[first], x1[rest]) + 1
        height = np.minimum(y2[first], y2[rest]) - np.maximum(y1[first], y1[rest]) + 1
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        left = rest[shared / (areas[first] + areas[rest] - shared) <= threshold]
    return kept


__all__ = ["AUTO", "SCRFD", "Size", "largest", "sizes"]
