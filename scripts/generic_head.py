"""The generic head of ``arcid.landmarks.pose``, from landmarks alone: structure from motion.

    python scripts/generic_head.py LABELS.jsonl…

Faces of many people in many poses are taken for one rigid head seen by many cameras (Tomasi and
Kanade, IJCV 1992): the 2F × 68 matrix of their landmarks has three directions that matter, and that
rotations have orthonormal rows makes lengths of them. The result is made symmetric, its eyes are
one unit apart, and it is pitched so that the median of those faces looks straight ahead.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.landmarks.points import MIRRORED_68, eye_centres
from arcid.landmarks.pose import fit
from arcid.train.detector.labels import read_labels

Array = npt.NDArray[np.float64]


def landmarks(paths: Sequence[Path]) -> Array:
    """(F,68,2) of all labelled faces and of their mirror images, in eye distances."""
    found = [one.dense for path in paths for one in read_labels(path) if one.dense is not None]
    faces = np.concatenate(found).astype(np.float64)
    left, right = eye_centres(faces.astype(np.float32))
    faces /= np.linalg.norm(left - right, axis=1)[:, None, None]
    mirrored = (faces * [-1, 1])[:, MIRRORED_68]
    both = np.concatenate([faces, mirrored])
    return np.asarray(both - both.mean(axis=1, keepdims=True))


def factorised(faces: Array) -> Array:
    """(68,3) up to a rotation: the rank-3 factor whose cameras have orthonormal rows."""
    seen = faces.transpose(0, 2, 1).reshape(-1, 68)
    _, values, rows = np.linalg.svd(seen.T @ seen)
    shape = rows[:3] * np.sqrt(np.sqrt(values[:3]))[:, None]
    cameras = (seen @ np.linalg.pinv(shape)).reshape(-1, 2, 3)
    i, j = cameras[:, 0], cameras[:, 1]
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]

    def terms(a: Array, b: Array) -> Array:
        return np.stack([a[:, p] * b[:, q] + (p != q) * a[:, q] * b[:, p] for p, q in pairs], 1)

    wanted = np.concatenate([terms(i, i) - terms(j, j), terms(i, j)])
    _, _, null = np.linalg.svd(wanted.T @ wanted)
    metric = np.zeros((3, 3))
    for value, (p, q) in zip(null[-1], pairs, strict=True):
        metric[p, q] = metric[q, p] = value
    lengths, axes = np.linalg.eigh(metric if metric.trace() > 0 else -metric)
    upgrade = axes * np.sqrt(np.clip(lengths, 1e-9, None))
    return np.asarray(np.linalg.solve(upgrade, shape).T)


def upright(head: Array, mean: Array) -> Array:
    """Turned so that x and y are those of the mean face and the nose stands out towards z."""
    centred = head - head.mean(axis=0)
    planar = np.linalg.lstsq(centred, mean, rcond=None)[0]  # (3,2)
    u, _, vt = np.linalg.svd(planar, full_matrices=False)
    across = u @ vt
    turn = np.column_stack([across, np.cross(across[:, 0], across[:, 1])])
    turned = centred @ turn
    if turned[30, 2] < turned[[36, 45], 2].mean():
        turned[:, 2] *= -1
    symmetric = (turned + turned[MIRRORED_68] * [-1, 1, 1]) / 2
    eyes = symmetric[36:42].mean(axis=0), symmetric[42:48].mean(axis=0)
    return np.asarray((symmetric - (eyes[0] + eyes[1]) / 2) / (eyes[1][0] - eyes[0][0]))


def pitched(head: Array, faces: Array) -> Array:
    """Turned about x until the median face measures no pitch."""
    for _ in range(5):
        angle = np.radians(np.median(fit(faces, head)[:, 1]))
        cos, sin = np.cos(angle), np.sin(angle)
        turn: Any = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
        better = [head @ turn, head @ turn.T]
        head = min(better, key=lambda one: abs(np.median(fit(faces, one)[:, 1])))
    return head


def main(argv: Sequence[str]) -> int:
    faces = landmarks([Path(name) for name in argv])
    head = pitched(upright(factorised(faces), faces.mean(axis=0)), faces)
    print(f"# {len(faces) // 2:,} faces and their mirror images")
    for start in range(0, 68, 4):
        row = ", ".join(f"[{x:.3f}, {y:.3f}, {z:.3f}]" for x, y, z in head[start : start + 4])
        print(f"    {row},".replace("-0.000", "0.000"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
