"""Crops of single faces, cut as the product cuts them by a box and points that are a little wrong.

Every draw comes from (seed, step, row). What a crop shows beyond its picture's border is black or,
more often, part of a picture without faces: an aligned crop's border would tell where its face is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arcid.errors import DatasetInvalid
from arcid.geometry import apply_affine, upright, warp
from arcid.landmarks.points import COUNT, MIRRORED_68, Landmarks
from arcid.train.data.augment import Augment, draw_mask
from arcid.train.detector.labels import PictureLabels
from arcid.train.detector.landmarks.config import PointsConfig
from arcid.train.detector.scenes import Scenes
from arcid.train.detector.views import MIRRORED, cumulated, spread, without_faces
from arcid.types import FloatArray, Image

_RARE = 0.1  # of all faces, of each kind
_FILLED = 0.7  # of the crops that reach past their picture
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FaceView:
    """One crop."""

    image: Image  # (S,S,3) uint8 RGB
    points: FloatArray  # (P,2) from its middle, in shares of its side


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FaceBatch:
    """B crops."""

    images: npt.NDArray[np.uint8]  # (B,S,S,3) RGB
    points: FloatArray  # (B,P,2)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class _Wrong:
    """What is wrong with a crop's box and turn."""

    shift: tuple[float, float] = (0.0, 0.0)  # shares of the side
    scale: float = 1.0
    angle: float = 0.0  # radians
    mirrored: bool = False


class FaceViews:
    """Draws crops of the labelled faces; the same (step, row) is the same crop."""

    def __init__(self, scenes: Scenes, config: PointsConfig) -> None:
        self.scenes, self.config, self.seed = scenes, config.views, config.seed
        self._side, self._points = config.network.side, config.network.points
        least_px = config.views.least_px
        found = ((row, learnable(scenes.labels(row), least_px)) for row in range(len(scenes)))
        self._faces = {row: faces for row, faces in found if len(faces)}
        if not self._faces:
            raise DatasetInvalid(
                f"no training picture has a labelled face of {least_px:g} px; look at scenes.labels"
            )
        self._rows = np.array(list(self._faces))
        self._until = cumulated(scenes, self._rows.tolist(), config.scenes)
        self._rare = self._expressive() if config.views.rare else np.empty(0, np.int64)
        self._empty = [row for row in range(len(scenes)) if without_faces(scenes.labels(row))]
        self._photo = Augment(config.views.photo, config.seed, self._side)

    def __call__(self, step: int, row: int) -> FaceView:
        """Crop ``row`` of a step's batch."""
        rng, c = np.random.default_rng([self.seed, step, row]), self.config
        if c.rare and rng.random() < c.rare:
            picture = int(rng.choice(self._rare))
        else:
            picture = int(self._rows[np.searchsorted(self._until, rng.random(), side="right")])
        face = int(rng.choice(self._faces[picture]))
        turned = rng.random() < c.turned
        most = math.radians(c.turned_deg)
        turn = rng.uniform(-most, most) if turned else rng.normal(0, math.radians(c.turn_deg))
        x, y = np.clip(rng.normal(0, c.shift, 2), -c.shift_most, c.shift_most)
        scale = math.exp(rng.normal(0, c.scale))
        wrong = _Wrong((x, y), scale, turn, bool(rng.random() < c.flip))
        image, five, points = self._cut(picture, face, wrong, rng)
        draws = rng.random(9)
        if draws[8] < c.mask:
            image = draw_mask(image, five.astype(np.float64), draws)
        image = self._photo(image, epoch=step, index=row)
        middle = (self._side - 1) / 2
        return FaceView(image, ((points - middle) / self._side).astype(np.float32))

    def _expressive(self) -> npt.NDArray[np.int64]:
        """Rows whose (first) face is among the tenth with the eyes closed farthest, or with the
        mouth open widest."""
        dense = [targets(self.scenes.labels(r), COUNT)[of[0]] for r, of in self._faces.items()]
        found = Landmarks(np.stack(dense))
        eyes, mouth = found.openness("eyes"), found.openness("mouth")
        rare = (eyes <= np.quantile(eyes, _RARE)) | (mouth > np.quantile(mouth, 1 - _RARE))
        return np.array(self._rows[rare], np.int64)

    def _cut(
        self, picture: int, face: int, wrong: _Wrong, rng: np.random.Generator
    ) -> tuple[Image, FloatArray, FloatArray]:
        """The crop, its (5,2) points and the (P,2) to be learned, in its pixels."""
        labels, whole = self.scenes.labels(picture), self.scenes.image(picture)
        matrix = crop_matrix(labels.boxes[face], labels.points[face], self._side, wrong)
        image = warp(whole, matrix, self._side)
        outside = _outside(matrix, whole.shape[:2], self._side)
        if outside.any() and self._empty and rng.random() < _FILLED:
            filling = np.zeros_like(image)
            spread(self.scenes, int(rng.choice(self._empty)), filling, rng)
            image = np.where(outside[..., None], filling, image)
        five = apply_affine(matrix, labels.points[face])
        points = apply_affine(matrix, targets(labels, self._points)[face])
        if wrong.mirrored:
            five, points = five[MIRRORED], points[MIRRORED if len(points) == 5 else MIRRORED_68]
        return image, five, points


def targets(labels: PictureLabels, count: int) -> FloatArray:
    """(N,5,2) or (N,68,2) of a picture's faces. Raises ``DatasetInvalid`` where 68 are asked for
    and the labels have five."""
    if count == 5:
        return labels.points
    if labels.dense is None:
        raise DatasetInvalid(
            f"{labels.picture} has no 68 points; label with scripts/label_landmarks.py",
            picture=labels.picture,
        )
    return labels.dense


def cut(scenes: Scenes, config: PointsConfig) -> tuple[Image, FloatArray, list[str]]:
    """(N,S,S,3) crops of all faces by their own boxes and points, their (N,P,2) from the middle in
    shares of the side, and the folder of each. Raises ``DatasetInvalid`` where there is no face."""
    side = config.network.side
    crops, wanted, folders = [], [], []
    for row in range(len(scenes)):
        labels = scenes.labels(row)
        for face in learnable(labels, config.views.least_px):
            matrix = crop_matrix(labels.boxes[face], labels.points[face], side)
            crops.append(warp(scenes.image(row), matrix, side))
            placed = apply_affine(matrix, targets(labels, config.network.points)[face])
            wanted.append((placed - (side - 1) / 2) / side)
            folders.append(labels.folder)
    if not crops:
        raise DatasetInvalid("no reserved picture has a labelled face to measure on")
    return np.stack(crops), np.stack(wanted).astype(np.float32), folders


def learnable(labels: PictureLabels, least_px: float) -> npt.NDArray[np.intp]:
    """Faces of a picture that can be cut and are large enough."""
    side = np.sqrt((labels.boxes[:, 2:] - labels.boxes[:, :2]).prod(axis=1))
    usable = upright(labels.boxes, labels.points, 1)[1]
    return np.flatnonzero(usable & (side >= least_px))


def crop_matrix(
    box: FloatArray, points: FloatArray, side: int, wrong: _Wrong | None = None
) -> Matrix:
    """(2,3) from the picture onto a crop by a (4,) box and (5,2) points, wrong by so much."""
    matrix: Matrix = upright(box[None], points[None], side)[0][0]
    middle = (side - 1) / 2
    if wrong is None:
        return matrix
    cos, sin = wrong.scale * math.cos(wrong.angle), wrong.scale * math.sin(wrong.angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    if wrong.mirrored:
        turn = np.array([[-1.0], [1.0]]) * turn
    target = np.full(2, middle) + np.array(wrong.shift) * side
    moved = turn @ (matrix[:, 2] - middle) + target
    return np.column_stack([turn @ matrix[:, :2], moved])


def _outside(matrix: Matrix, size: tuple[int, int], side: int) -> npt.NDArray[np.bool_]:
    """(side,side) bool: crop pixels whose place lies outside the picture of (height, width)."""
    rows, columns = np.mgrid[0:side, 0:side]
    inverse = np.linalg.inv(matrix[:, :2])
    place = (np.stack([columns, rows], axis=-1) - matrix[:, 2]) @ inverse.T
    limits = np.array([size[1] - 1, size[0] - 1])
    return np.asarray(((place < 0) | (place > limits)).any(axis=-1))


__all__ = ["FaceBatch", "FaceView", "FaceViews", "crop_matrix", "cut", "learnable", "targets"]
