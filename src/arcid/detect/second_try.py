"""A second try at pictures that show no sure face: small, with a black border.

Detectors learn from faces with something around them. Where a face fills the picture or leaves it,
as in ID photos, avatars and crops of other systems, they find nothing or, worse, a small face
inside the real one. The same picture made small, with room around it, looks as they expect. Half
of the profiles that are missed even so, hardly below the threshold, show at another size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import UsageError
from arcid.types import Detections, FloatArray, Image


@dataclass(frozen=True, slots=True)
class View:
    """How a picture is shown again."""

    side: int  # pixels of its longer side
    border: float  # of black, as a share of each side, on both ends
    mirrored: bool = False


AGAIN = View(160, 0.5)
#: Where neither the picture nor ``AGAIN`` shows anybody.
LARGER = View(224, 0.5)
#: Least longer side of a face found so, as a share of the picture's shorter side. Smaller faces are
#: the first try's to find: here they would only be false ones.
LEAST_SHARE = 0.4
SAME_FACE = 0.5  # of the smaller box that lies in the other

Look = Callable[[Sequence[Image]], list[Detections]]


class TriesTwice(ABC):
    """Detectors whose ``detect`` tries pictures without a sure face a second time.

    ``sure``: pictures whose best face scores less, and those without any, are tried again; None
    tries no picture again.
    """

    sure: float | None

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """(H,W,3) uint8 RGB pictures of any sizes in; one ``Detections`` each out, in order.

        Pictures without a sure face are tried again, all in one batch. Boxes and points of faces
        that leave the picture reach past its border. Raises ``InvalidArray``.
        """
        found = self.detect_once(images)
        return found if self.sure is None else _again(self.detect_once, images, found, self.sure)

    @abstractmethod
    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        """``detect`` without the second try: for video, where most frames may show nobody."""


def once(detector: Any) -> Look:
    """``detector.detect`` without a second try. Detectors of others that have none answer as
    always."""
    look: Look = getattr(detector, "detect_once", detector.detect)
    return look


def check_sure(value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 1:
        raise UsageError(f"sure must lie between 0 and 1 or be None, got {value}")
    return None if value is None else float(value)


def bordered(image: Image, view: View = AGAIN) -> tuple[Image, npt.NDArray[np.float64]]:
    """The picture amid black, and the (2,) width and height of one of its pixels in pixels of
    ``image``. Its upper left corner is ``view.border`` of its own sides in."""
    import cv2

    height, width = image.shape[:2]
    scale = view.side / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = round(rows * view.border), round(columns * view.border)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (columns, rows), interpolation=method)
    canvas = np.zeros((rows + 2 * top, columns + 2 * left, 3), np.uint8)
    canvas[top : top + rows, left : left + columns] = small[:, ::-1] if view.mirrored else small
    return canvas, np.array([width / columns, height / rows])


def _again(
    look: Look, images: Sequence[Image], found: list[Detections], sure: float
) -> list[Detections]:
    """``found``, with what further tries at its pictures without a sure face add."""
    joined = list(found)
    rows = [i for i, one in enumerate(found) if not len(one) or one.scores.max() < sure]
    for view in (AGAIN, LARGER):
        for i, seen in _believed(look, images, rows, view, sure).items():
            joined[i] = _joined(joined[i], seen)
        rows = [i for i in rows if not len(joined[i])]
    return joined


def _believed(
    look: Look, images: Sequence[Image], rows: Sequence[int], view: View, sure: float
) -> dict[int, Detections]:
    """What is shown in a view, by row. A face that scores less than ``sure`` must be seen once more
    in the mirror image: what is none seldom is."""
    seen = _shown(look, images, rows, view)
    doubtful = [i for i in rows if (seen[i].scores < sure).any()]
    for i, check in _shown(look, images, doubtful, replace(view, mirrored=True)).items():
        again = (_overlap(seen[i].boxes, check.boxes) > SAME_FACE).any(axis=1)
        seen[i] = seen[i][np.flatnonzero(again | (seen[i].scores >= sure))]
    return seen


def _shown(
    look: Look, images: Sequence[Image], rows: Sequence[int], view: View
) -> dict[int, Detections]:
    """Large faces that these pictures show in a view, in pixels of the pictures, by row."""
    if not rows:
        return {}
    pictures = [np.asarray(images[i]) for i in rows]
    canvases, factors = zip(*(bordered(picture, view) for picture in pictures), strict=True)
    return {
        i: _back(seen, factor, (picture.shape[0], picture.shape[1]), view)
        for i, seen, factor, picture in zip(rows, look(canvases), factors, pictures, strict=True)
    }


def _back(
    seen: Detections, factor: npt.NDArray[np.float64], image_size: tuple[int, int], view: View
) -> Detections:
    """Large faces on a bordered picture, in pixels of the original; a mirrored one's boxes only."""
    height, width = image_size
    sides = np.round(np.array([width, height]) / factor)
    corner = np.array([round(float(side) * view.border) for side in sides])
    boxes, points = (seen.boxes - np.tile(corner, 2)) * np.tile(factor, 2), None
    if view.mirrored:
        boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    elif seen.points is not None:  # pixel centres, half a pixel from the corner
        points = (seen.points - corner + 0.5) * factor - 0.5
    moved = Detections(boxes, seen.scores, points, image_size)
    return moved[np.flatnonzero(moved.sizes.max(axis=1) >= LEAST_SHARE * min(image_size))]


def _joined(first: Detections, again: Detections) -> Detections:
    """Both tries of one picture; of two boxes of one face the better score stays."""
    if not len(again):
        return first
    if not len(first):
        return again
    same = _overlap(first.boxes, again.boxes) > SAME_FACE
    better = again.scores[None] > first.scores[:, None]
    old = first[np.flatnonzero(~(same & better).any(axis=1))]
    new = again[np.flatnonzero(~(same & ~better).any(axis=0))]
    scores = np.concatenate([old.scores, new.scores])
    order = np.argsort(-scores, kind="stable")
    points = None
    if old.points is not None and new.points is not None:
        points = np.concatenate([old.points, new.points])[order]
    boxes = np.concatenate([old.boxes, new.boxes])[order]
    return Detections(boxes, scores[order], points, first.image_size)


def _overlap(a: FloatArray, b: FloatArray) -> FloatArray:
    """(N,4) and (M,4) in; (N,M) intersection as a share of the smaller box."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    least = np.minimum(_area(a)[:, None], _area(b)[None])
    overlap: FloatArray = shared / np.maximum(least, 1e-9)
    return overlap


def _area(boxes: FloatArray) -> FloatArray:
    area: FloatArray = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return area


__all__ = ["TriesTwice", "bordered", "check_sure", "once"]
