"""Photos that lie on their side or stand on their head: look at them turned, keep for every face
the turn in which it stands upright, and answer in the original picture's coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.detect._common import Detector, check_images, check_share, name_of
from arcid.detect.second_try import TriesTwice, once
from arcid.errors import UsageError
from arcid.geometry import apply_affine, nms, rotate_quarter, rotated_size, rotation_matrix
from arcid.types import Detections, FloatArray, Image

_UPRIGHT_AT_LEAST = 0.5  # cosine between a face's eye→mouth direction and straight down


class RotationSearch(TriesTwice):
    """Wraps any detector; (H,W,3) uint8 RGB in, ``Detections`` in the same picture's pixels out.

    ``angles_deg``: counter-clockwise turns always tried. ``extra_deg``: tried only on pictures in
    which those found nothing, e.g. ``(45, 135, 225, 315)`` or ``(-30, 30)``.

    A face seen under several turns is kept once: the turn with the best score × uprightness wins,
    uprightness being the cosine between straight down and the line from its eyes to its mouth (1
    for detectors without points, so there the score decides alone). The points keep their meaning,
    "viewer's left" as seen with the face upright, so aligning turns the crop; boxes are the
    axis-aligned hull of the turned box.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        angles_deg: Sequence[float] = (0, 90, 180, 270),
        extra_deg: Sequence[float] = (),
        nms_iou: float = 0.4,
    ) -> None:
        if not angles_deg:
            raise UsageError("angles_deg needs at least one turn, usually 0")
        self.angles_deg, self.extra_deg = tuple(angles_deg), tuple(extra_deg)
        self.nms_iou = check_share("nms_iou", nms_iou)
        self._detector = detector
        self.sure = getattr(detector, "sure", 0.0)

    @property
    def name(self) -> str:
        return f"{name_of(self._detector)}+rotated"

    @property
    def has_points(self) -> bool:
        return bool(getattr(self._detector, "has_points", True))

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        """``detect`` without the second try."""
        checked = check_images(images)
        found = [self._search(image, self.angles_deg) for image in checked]
        if self.extra_deg:
            for i, faces in enumerate(found):
                if len(faces) == 0:
                    found[i] = self._search(checked[i], self.extra_deg)
        return found

    def _search(self, image: Image, angles_deg: Sequence[float]) -> Detections:
        size = (image.shape[0], image.shape[1])
        look, parts, weights = once(self._detector), [], []
        for angle in angles_deg:  # one turned copy at a time: it is as large as the picture
            turned, matrix = turn(image, angle)
            (faces,) = look([turned])
            up = uprightness(faces)
            parts.append(_back(faces, matrix, size)[np.flatnonzero(up >= _UPRIGHT_AT_LEAST)])
            weights.append(up[up >= _UPRIGHT_AT_LEAST])
        boxes = np.concatenate([part.boxes for part in parts])
        scores = np.concatenate([part.scores for part in parts])
        kept = nms(boxes, scores * np.concatenate(weights), self.nms_iou)
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        points = [part.points for part in parts if part.points is not None]
        joined = np.concatenate(points)[kept] if points else None
        return Detections(boxes[kept], scores[kept], joined, size)


def turn(image: Image, angle_deg: float) -> tuple[Image, npt.NDArray[np.float64]]:
    """The picture turned counter-clockwise on a canvas that holds all of it, and the (2,3) matrix
    from original to turned pixels. Quarter turns copy pixels, others interpolate."""
    import cv2

    height, width = image.shape[:2]
    quarters, rest = divmod(angle_deg, 90)
    if rest == 0:
        return rotate_quarter(image, int(quarters) % 4), _quarter_matrix(
            height, width, int(quarters) % 4
        )
    matrix = rotation_matrix(height, width, angle_deg)
    new_height, new_width = rotated_size(height, width, angle_deg)
    turned = cv2.warpAffine(image, matrix, (new_width, new_height), flags=cv2.INTER_LINEAR)
    return np.asarray(turned, np.uint8), matrix


def _quarter_matrix(height: int, width: int, quarters: int) -> npt.NDArray[np.float64]:
    rows = (
        ((1, 0, 0), (0, 1, 0)),
        ((0, 1, 0), (-1, 0, width - 1)),
        ((-1, 0, width - 1), (0, -1, height - 1)),
        ((0, -1, height - 1), (1, 0, 0)),
    )
    return np.array(rows[quarters], np.float64)


def uprightness(faces: Detections) -> FloatArray:
    """(N,) cosine between each face's eyes→mouth direction and straight down; 1 without points."""
    if faces.points is None:
        return np.ones(len(faces), np.float32)
    down = faces.points[:, 3:].mean(axis=1) - faces.points[:, :2].mean(axis=1)
    cosine: FloatArray = down[:, 1] / np.maximum(np.linalg.norm(down, axis=1), 1e-6)
    return cosine


def _back(faces: Detections, matrix: npt.NDArray[Any], size: tuple[int, int]) -> Detections:
    """Detections of the turned picture in pixels of the original."""
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    corners = apply_affine(inverse, faces.boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]])
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    points = None if faces.points is None else apply_affine(inverse, faces.points)
    return Detections(boxes, faces.scores, points, size)
