"""Crops of faces as insightface makes them: one bilinear warp, black outside the picture.

arcid's own ``align`` shrinks large faces by area first; these do not, so that vectors agree with
those made by insightface.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.geometry import ARCFACE_TEMPLATE, similarity_transform

Array = npt.NDArray[Any]

#: The five points on a canvas of 112 pixels, float32.
arcface_dst = ARCFACE_TEMPLATE.copy()


def estimate_norm(lmk: Array, image_size: int = 112, mode: str = "arcface") -> Array:
    """(2,3) matrix from the picture onto the canvas; ``lmk`` (5,2), ``image_size`` a multiple of
    112 or 128."""
    if np.shape(lmk) != (5, 2) or (image_size % 112 and image_size % 128):
        raise AssertionError(
            f"five points and a multiple of 112 or 128 are needed, got {np.shape(lmk)} and "
            f"{image_size}"
        )
    if image_size % 112 == 0:
        target = arcface_dst * (image_size / 112)
    else:
        ratio = image_size / 128
        target = arcface_dst * ratio + [8.0 * ratio, 0.0]
    return np.asarray(similarity_transform(np.asarray(lmk)[None], target)[0])


def norm_crop(img: Array, landmark: Array, image_size: int = 112, mode: str = "arcface") -> Array:
    """(image_size,image_size,3) crop of one face."""
    return norm_crop2(img, landmark, image_size, mode)[0]


def norm_crop2(
    img: Array, landmark: Array, image_size: int = 112, mode: str = "arcface"
) -> tuple[Array, Array]:
    """The crop, and the (2,3) matrix that made it."""
    import cv2

    matrix = estimate_norm(landmark, image_size, mode)
    return cv2.warpAffine(img, matrix, (image_size, image_size), borderValue=0.0), matrix


def square_crop(im: Array, S: int) -> tuple[Array, float]:
    """The picture fitted into an S × S canvas from the top left, and its scale."""
    import cv2

    height, width = im.shape[:2]
    new = (int(S * (width / height)), S) if height > width else (S, int(S * (height / width)))
    canvas = np.zeros((S, S, 3), np.uint8)
    canvas[: new[1], : new[0]] = cv2.resize(im, new)
    return canvas, new[1] / height


def transform(
    data: Array, center: Any, output_size: int, scale: float, rotation: float
) -> tuple[Array, Array]:
    """A square of ``output_size`` about ``center``, scaled and turned (degrees); its matrix."""
    import cv2

    angle = math.radians(rotation)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    x, y = center
    half = output_size / 2
    matrix = np.array(
        [[cos, -sin, half - (cos * x - sin * y)], [sin, cos, half - (sin * x + cos * y)]]
    )
    return cv2.warpAffine(data, matrix, (output_size, output_size), borderValue=0.0), matrix


def trans_points(pts: Array, M: Array) -> Array:
    """(N,2) points, or (N,3) whose depth is scaled, under a (2,3) matrix; float32."""
    moved = np.asarray(pts, np.float64)[:, :2] @ M[:, :2].T + M[:, 2]
    if np.shape(pts)[1] == 3:
        depth = np.asarray(pts)[:, 2:] * math.hypot(M[0, 0], M[0, 1])
        moved = np.hstack([moved, depth])
    return moved.astype(np.float32)


__all__ = [
    "arcface_dst",
    "estimate_norm",
    "norm_crop",
    "norm_crop2",
    "square_crop",
    "trans_points",
    "transform",
]
