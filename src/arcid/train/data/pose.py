"""An aligned crop as if the head were turned: one generic face stands for the depth of all.

Pixels of the aligned crop are moved as points of a smooth head seen from far away (orthographic);
what turns behind the cheek is hidden, what comes out from behind is stretched from the rim of the
crop. The five points move along, and the view is aligned by them as a detector's would be. After
Masi et al., *Do We Really Need to Collect Millions of Faces for Effective Face Recognition?*
(ECCV 2016), with a formula for the head instead of scanned ones.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from arcid.geometry import TEMPLATE_SIZE, similarity_transform, template_points
from arcid.types import FloatArray, Image

STEP_DEG = 2.5  # turns are rounded to it, so that their maps can be kept
_KEPT = 768  # maps, more than ±60° by ±15° need; 98 kB each for a crop of 128 pixels
Array = npt.NDArray[np.float64]

# the head, in pixels of the 112-pixel template (about 1.8 mm): half its width, its depth, and
# where the nose's tip and its bridge are
_MIDDLE, _WIDTH, _DEPTH = 56.0, 45.0, 48.0
_TIP_Y, _BRIDGE_Y, _NOSE = 72.0, 50.0, 12.0
# detectors leave the points of the far half on its contour once it hides: from 40° on the view is
# aligned as if the head had gone on turning at this share of its speed
_HIDES, _SLOWER = math.radians(40), 0.6


def turned(crop: Image, yaw_deg: float, pitch_deg: float, size: int) -> tuple[Image, FloatArray]:
    """The (C,C,3) crop turned and aligned anew, and its five points in it.

    ``size`` is the template's side in the crop's pixels. Yaw above 0 turns the nose to the right of
    the picture, pitch above 0 downwards; at 60° and more little of the far half is left.
    """
    import cv2

    yaw, pitch = (round(angle / STEP_DEG) for angle in (yaw_deg, pitch_deg))
    fixed, points = _map(yaw, pitch, crop.shape[0], size)
    image = cv2.remap(crop, fixed[0], fixed[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(image, np.uint8), points


def depth(x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """How far the head stands out at template pixels, in template pixels; 0 beside it."""
    across = (np.asarray(x, np.float64) - _MIDDLE) / _WIDTH
    down = np.asarray(y, np.float64)
    round_ = np.clip(1 - np.abs(across) ** 2.2, 0, None) ** (1 / 2.2)
    bowed = np.clip(1 - ((down - 68) / 95) ** 2, 0, None)  # forehead and chin lie farther back
    along = np.clip((down - _BRIDGE_Y) / (_TIP_Y - _BRIDGE_Y), 0, 1) ** 1.3
    below = np.clip((_TIP_Y + 8 - down) / 8, 0, 1)
    wide = 4.0 + 3.5 * along
    nose = _NOSE * along * below * np.exp(-(((across * _WIDTH) / wide) ** 2))
    left, right = template_points(TEMPLATE_SIZE)[:2]
    sockets = sum(
        3.0 * np.exp(-((across * _WIDTH + _MIDDLE - ex) ** 2 + (down - ey) ** 2) / 60)
        for ex, ey in (left, right)
    )
    out: Array = _DEPTH * round_ * bowed + nose - sockets * (round_ > 0)
    return out


@functools.lru_cache(_KEPT)
def _map(
    yaw: int, pitch: int, side: int, size: int
) -> tuple[tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]], FloatArray]:
    """Where each pixel of the turned crop comes from, as ``cv2.remap`` takes it; and the points."""
    import cv2

    scale, rim = size / TEMPLATE_SIZE, (side - size) / 2
    axis: Array = (np.arange(side, dtype=np.float64) - rim) / scale  # template pixels
    x, y = np.meshgrid(axis, axis)
    height = depth(x, y)
    a, b = (math.radians(STEP_DEG * n) for n in (yaw, pitch))
    across = _MIDDLE + (x - _MIDDLE) * math.cos(a) + height * math.sin(a)
    from_x = np.stack([_inverse(axis, row, a) for row in across])
    behind = height * math.cos(a) - (x - _MIDDLE) * math.sin(a)  # depth after the first turn
    there = _looked_up(behind, from_x, y, axis)
    down = _TIP_Y + (y - _TIP_Y) * math.cos(b) + there * math.sin(b)
    from_y = np.stack([_inverse(axis, column, b) for column in down.T], 1)
    five = template_points(TEMPLATE_SIZE).astype(np.float64)
    slower = math.copysign(min(abs(a), _HIDES + _SLOWER * (abs(a) - _HIDES)), a)
    align = similarity_transform(_turned_points(five, slower, b)[None], five)[0]
    back = np.linalg.inv(np.vstack([align, [0, 0, 1]]))
    tx, ty = (row[0] * x + row[1] * y + row[2] for row in back[:2])
    source_y = _looked_up(from_y, tx, ty, axis)
    source_x = _looked_up(from_x, tx, source_y, axis)
    maps = [(source * scale + rim).astype(np.float32) for source in (source_x, source_y)]
    fixed = cv2.convertMaps(maps[0], maps[1], cv2.CV_16SC2)
    points = (_turned_points(five, a, b) @ align[:, :2].T + align[:, 2]) * scale + rim
    return (np.asarray(fixed[0], np.int16), np.asarray(fixed[1], np.uint16)), points.astype(
        np.float32
    )


def _turned_points(points: Array, yaw: float, pitch: float) -> Array:
    """(N,2) points of the head's surface where the turned head has them."""
    across, down = points[:, 0] - _MIDDLE, points[:, 1] - _TIP_Y
    height = depth(points[:, 0], points[:, 1])
    x = across * math.cos(yaw) + height * math.sin(yaw)
    behind = height * math.cos(yaw) - across * math.sin(yaw)
    y = down * math.cos(pitch) + behind * math.sin(pitch)
    return np.stack([_MIDDLE + x, _TIP_Y + y], 1)


def _inverse(axis: Array, moved: Array, angle: float) -> Array:
    """From where on a line each of its pixels is seen; ``moved`` says where each went.

    The nearer surface hides the farther: along the way the head turns, what falls back behind the
    farthest point reached is hidden.
    """
    if angle < 0:
        return -_inverse(-axis[::-1], -moved[::-1], -angle)[::-1]
    reached = np.maximum.accumulate(moved) + 1e-6 * np.arange(len(axis))
    return np.interp(axis, reached, axis)


def _looked_up(values: Array, x: Array, y: Array, axis: Array) -> Array:
    """(C,C) ``values`` on the grid of ``axis``, read at x and y; the rim goes on outside."""
    import cv2

    column, row = (((v - axis[0]) / (axis[1] - axis[0])).astype(np.float32) for v in (x, y))
    found: Array = cv2.remap(
        values.astype(np.float32), column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float64)
    return found


__all__ = ["depth", "turned"]
