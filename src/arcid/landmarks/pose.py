"""How a head is turned, from 68 landmarks: Perspective-n-Point with a generic head."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.landmarks.points import Landmarks

Array = npt.NDArray[np.float64]
FOCAL = 1.2  # of the longer side of the photo: a lens of about 45°, where nothing is known of it
#: (68,3) in eye distances, between the eyes the origin: x to the viewer's right, y down, z towards
#: the camera. Made of 4,876 labelled faces by scripts/generic_head.py.
HEAD_68: Array = np.array([
    [-1.141, 0.010, -1.010], [-1.131, 0.306, -0.954], [-1.098, 0.602, -0.922],
    [-1.042, 0.894, -0.893], [-0.931, 1.166, -0.781], [-0.755, 1.406, -0.595],
    [-0.538, 1.606, -0.369], [-0.289, 1.762, -0.127], [0.000, 1.801, -0.039],
    [0.289, 1.762, -0.127], [0.538, 1.606, -0.369], [0.755, 1.406, -0.595],
    [0.931, 1.166, -0.781], [1.042, 0.894, -0.893], [1.098, 0.602, -0.922],
    [1.131, 0.306, -0.954], [1.141, 0.010, -1.010], [-0.924, -0.214, -0.216],
    [-0.779, -0.329, -0.027], [-0.584, -0.360, 0.134], [-0.383, -0.330, 0.266],
    [-0.193, -0.252, 0.369], [0.193, -0.252, 0.369], [0.383, -0.330, 0.266],
    [0.584, -0.360, 0.134], [0.779, -0.329, -0.027], [0.924, -0.214, -0.216],
    [0.000, -0.024, 0.370], [0.000, 0.170, 0.487], [0.000, 0.364, 0.622],
    [0.000, 0.561, 0.749], [-0.221, 0.684, 0.383], [-0.115, 0.724, 0.450],
    [0.000, 0.759, 0.492], [0.115, 0.724, 0.450], [0.221, 0.684, 0.383],
    [-0.696, 0.002, -0.080], [-0.572, -0.070, -0.005], [-0.423, -0.066, 0.024],
    [-0.295, 0.029, 0.037], [-0.434, 0.053, 0.027], [-0.580, 0.052, -0.003],
    [0.295, 0.029, 0.037], [0.423, -0.066, 0.024], [0.572, -0.070, -0.005],
    [0.696, 0.002, -0.080], [0.580, 0.052, -0.003], [0.434, 0.053, 0.027],
    [-0.459, 1.019, -0.080], [-0.291, 0.958, 0.184], [-0.123, 0.930, 0.340],
    [0.000, 0.957, 0.370], [0.123, 0.930, 0.340], [0.291, 0.958, 0.184],
    [0.459, 1.019, -0.080], [0.298, 1.190, 0.111], [0.132, 1.265, 0.249],
    [0.000, 1.279, 0.277], [-0.132, 1.265, 0.249], [-0.298, 1.190, 0.111],
    [-0.391, 1.031, -0.047], [-0.124, 1.024, 0.307], [0.000, 1.037, 0.341],
    [0.124, 1.024, 0.307], [0.391, 1.031, -0.047], [0.126, 1.119, 0.258],
    [0.000, 1.134, 0.288], [-0.126, 1.119, 0.258],
])  # fmt: skip
_FLIP = np.diag([1.0, 1.0, -1.0])  # OpenCV looks along z, this head's z comes towards the camera
#: Variance of a face's points, in focal lengths, from which its perspective is looked at: a face
#: about a sixtieth as wide as the photo's longer side. The solver refuses less than 1e-5.
NEAR = 2e-5


def head_pose(landmarks: Landmarks, image_size: tuple[int, int]) -> Array:
    """(N,3) yaw, pitch and roll in degrees, signs as in ``Quality``.

    ``image_size``: (height, width) of the photo, whose middle is taken for that of the camera. One
    head for everybody: how far a face looks up is known within some degrees, changes of it better.
    """
    import cv2

    height, width = image_size
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    rays = (landmarks.points - middle) / (FOCAL * max(height, width))  # (N,68,2) focal lengths
    turns = np.empty((len(rays), 3, 3))
    for row, points in enumerate(rays):
        if points.var(axis=0).sum() > NEAR:
            _, turn, _ = cv2.solvePnP(
                HEAD_68 @ _FLIP, points, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP
            )
            turns[row] = _FLIP @ cv2.Rodrigues(turn)[0] @ _FLIP
        else:  # no perspective: as if looked straight at, then turned by where it stands
            x, y = points.mean(axis=0)
            off = max(np.hypot(x, y), 1e-12)
            aside, _ = cv2.Rodrigues(np.array([-y, x, 0.0]) * np.arctan(off) / off)
            turns[row] = _FLIP @ aside @ _FLIP @ _far_away(points[None], HEAD_68)[0]
    return angles(turns)


def fit(points: npt.ArrayLike, head: Array = HEAD_68) -> Array:
    """(N,68,2) in; (N,3) as ``head_pose`` by a camera far away, which needs no photo around."""
    return angles(_far_away(points, head))


def _far_away(points: npt.ArrayLike, head: Array) -> Array:
    """(N,68,2) in; (N,3,3) rotations from head to camera out."""
    found = np.asarray(points, np.float64)
    centred, own = found - found.mean(axis=1, keepdims=True), head - head.mean(axis=0)
    affine = np.einsum("nki,kj->nij", centred, own) @ np.linalg.inv(own.T @ own)
    u, _, vt = np.linalg.svd(affine, full_matrices=False)
    turn = u @ vt
    return np.asarray(np.concatenate([turn, np.cross(turn[:, 0], turn[:, 1])[:, None]], axis=1))


def angles(turns: npt.NDArray[Any]) -> Array:
    """(N,3,3) rotations from head to camera in; (N,3) yaw, pitch, roll in degrees of
    Rz(roll) · Ry(yaw) · Rx(pitch) out."""
    roll = np.arctan2(turns[:, 1, 0], turns[:, 0, 0])
    cos, sin = np.cos(roll), np.sin(roll)
    x, y, z = turns[:, 0, 2], turns[:, 1, 2], turns[:, 2, 2]
    yaw = np.arctan2(cos * x + sin * y, z)
    pitch = np.arcsin(np.clip(sin * x - cos * y, -1, 1))
    return np.asarray(np.degrees(np.stack([yaw, pitch, roll], axis=1)))


__all__ = ["HEAD_68", "angles", "fit", "head_pose"]
