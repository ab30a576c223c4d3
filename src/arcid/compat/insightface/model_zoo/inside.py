"""What is read off the square about a face's box: landmarks, sex and age."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from arcid.compat.insightface.face import Face
from arcid.compat.insightface.model_zoo.network import Array, Network
from arcid.compat.insightface.utils.face_align import trans_points, transform
from arcid.runtime import Session

_ROOM = 1.5  # sides of the square, in longer sides of the box


class _Square(Network):
    def look(self, img: Array, face: Face) -> tuple[Array, Array]:
        """The first output's only row, and the matrix from the picture onto what was looked at."""
        import cv2

        x1, y1, x2, y2 = face.bbox
        size = self.input_size[0]
        scale = size / (max(x2 - x1, y2 - y1) * _ROOM)
        square, matrix = transform(img, ((x1 + x2) / 2, (y1 + y2) / 2), size, scale, 0)
        return self.run(self.blob([square]))[0][0], cv2.invertAffineTransform(matrix)


class Landmark(_Square):
    """106 points of the picture, or 68 points in space; sets ``landmark_2d_106`` or
    ``landmark_3d_68``. The pose that insightface derives from the latter is not set."""

    def __init__(self, path: Path, session: Session, width: int) -> None:
        super().__init__(path, session)
        self.lmk_dim, self.lmk_num = (3, 68) if width == 3309 else (2, width // 2)
        self.taskname = f"landmark_{self.lmk_dim}d_{self.lmk_num}"

    def get(self, img: Array, face: Face) -> Array:
        """(106,2) or (68,3) float32, in pixels of the picture."""
        row, back = self.look(img, face)
        points = row.reshape(-1, self.lmk_dim)[-self.lmk_num :].copy()
        half = self.input_size[0] // 2
        points[:, :2] += 1
        points *= half
        found = trans_points(points, back)
        face[self.taskname] = found
        return found


class Attribute(_Square):
    """Sex and age: sets ``gender`` (1: male) and ``age`` in years."""

    def __init__(self, path: Path, session: Session, width: int) -> None:
        super().__init__(path, session)
        self.taskname = "genderage" if width == 3 else f"attribute_{width}"

    def get(self, img: Array, face: Face) -> Any:
        """(gender, age); for other attributes the numbers as they are."""
        row = self.look(img, face)[0]
        if self.taskname != "genderage":
            return row
        face.gender, face.age = np.argmax(row[:2]), round(float(row[2]) * 100)
        return face.gender, face.age


__all__ = ["Attribute", "Landmark"]
