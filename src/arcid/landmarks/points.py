"""The 68 landmarks of iBUG 300-W (Sagonas et al., ICCV Workshops 2013): which is which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from arcid.types import FloatArray, Rows, _checked, counted

COUNT = 68
#: The viewer's left first, each group from there to the right or clockwise.
JAW, BROWS, NOSE = slice(0, 17), slice(17, 27), slice(27, 36)
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)
LIPS, MOUTH = slice(48, 60), slice(60, 68)
_LIDS_APART, _LIPS_APART = ((1, 5), (2, 4)), ((1, 7), (2, 6), (3, 5))
#: Points of an upper lid or the upper lip, and the one below each.
FACING = tuple(
    (ring.start + above, ring.start + below)
    for ring, pairs in ((LEFT_EYE, _LIDS_APART), (RIGHT_EYE, _LIDS_APART), (MOUTH, _LIPS_APART))
    for above, below in pairs
)
#: The points of a mirrored face, in order.
MIRRORED_68 = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Landmarks(Rows):
    """68 points a face, in pixels of the photo; row i is detection i."""

    points: FloatArray  # (N,68,2)

    def __post_init__(self) -> None:
        points = _checked("landmarks", self.points, np.float32, (None, COUNT, 2))
        object.__setattr__(self, "points", points)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return f"Landmarks({counted(len(self), 'face')}, {COUNT} points each)"

    def _take(self, rows: Any) -> Landmarks:
        return Landmarks(self.points[rows])

    @property
    def five(self) -> FloatArray:
        """(N,5,2) as in ``Detections``: middles of the eyes, tip of the nose, mouth corners."""
        found = self.points
        five: FloatArray = np.stack([*eye_centres(found), found[:, 30], found[:, 48], found[:, 54]],
                                    axis=1)  # fmt: skip
        return five

    @property
    def contour(self) -> FloatArray:
        """(N,27,2): along the jaw, and back over the brows."""
        contour: FloatArray = np.concatenate(
            [self.points[:, JAW], self.points[:, BROWS][:, ::-1]], axis=1
        )
        return contour

    def openness(self, what: Literal["eyes", "mouth"]) -> FloatArray:
        """(N,) height over width; of the eyes, the mean of both (the eye aspect ratio of Soukupová
        and Čech, CVWW 2016), of the mouth, the gap between the lips."""
        if what == "mouth":
            return _gap(self.points[:, MOUTH], _LIPS_APART, 4)
        sides = [_gap(self.points[:, eye], _LIDS_APART, 3) for eye in (LEFT_EYE, RIGHT_EYE)]
        mean: FloatArray = (sides[0] + sides[1]) / np.float32(2)
        return mean


def eye_centres(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(N,5,2) or (N,68,2) in; (N,2) the eye on the viewer's left, and the other."""
    if points.shape[1] == COUNT:
        return points[:, LEFT_EYE].mean(axis=1), points[:, RIGHT_EYE].mean(axis=1)
    return points[:, 0], points[:, 1]


def _gap(ring: npt.NDArray[Any], pairs: tuple[tuple[int, int], ...], end: int) -> FloatArray:
    """Mean distance of the pairs over that of the corners."""
    width = np.linalg.norm(ring[:, 0] - ring[:, end], axis=1)
    heights = [np.linalg.norm(ring[:, a] - ring[:, b], axis=1) for a, b in pairs]
    gap: FloatArray = np.float32(1 / len(pairs)) * sum(heights) / np.maximum(width, 1e-6)
    return gap.astype(np.float32)


__all__ = [
    "BROWS",
    "COUNT",
    "FACING",
    "JAW",
    "LEFT_EYE",
    "LIPS",
    "MIRRORED_68",
    "MOUTH",
    "NOSE",
    "RIGHT_EYE",
    "Landmarks",
    "eye_centres",
]
