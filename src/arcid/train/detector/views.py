"""Canvases to train on: pictures turned, scaled and put together, with every face followed.

A canvas is one place, four (a mosaic), or 9 to 25 (a crowd). In each place a picture is laid so
that one of its faces gets a size drawn evenly on a logarithmic scale; on a tight canvas one face
fills it or leaves it, as in ID photos and crops of other systems. What the picture leaves free
is black, as a letterboxed photograph has it, or shows a picture without faces. Light, optics and
the camera come last, over the whole canvas. Every draw comes from (seed, step, row).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import DatasetInvalid
from arcid.geometry import apply_affine
from arcid.train.data.augment import Augment, draw_mask
from arcid.train.detector.config import ScenesConfig, ViewsConfig
from arcid.train.detector.labels import PictureLabels
from arcid.train.detector.lettering import letter
from arcid.train.detector.scenes import Scenes
from arcid.types import FloatArray, Image

MASKED_PX = 24  # smaller faces show nothing of a drawn mask
TIGHT = (0.6, 1.25)  # size of a face on a tight canvas, as a share of it
TIGHT_UPSCALE = 8.0  # a small face made to fill a canvas is as blurred as the crops it stands for
MIRRORED = [1, 0, 2, 4, 3]  # the five points of a mirrored face
Matrix = npt.NDArray[np.float64]
Place = tuple[int, int, int, int]  # x0, y0, x1, y1 on the canvas


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class View:
    """One canvas; coordinates are its pixels and may reach past its border."""

    image: Image  # (S,S,3) uint8 RGB
    boxes: FloatArray  # (N,4) xyxy of the faces to be found
    points: FloatArray  # (N,5,2)
    ignore: FloatArray  # (M,4) where nothing is asked


class Views:
    """Draws canvases from the training pictures; the same (step, row, size) is the same canvas."""

    def __init__(
        self, scenes: Scenes, config: ViewsConfig, how_often: ScenesConfig, seed: int
    ) -> None:
        self.scenes, self.config, self.seed = scenes, config, seed
        faces = [i for i in range(len(scenes)) if len(scenes.labels(i).boxes)]
        self._empty = np.array([i for i in range(len(scenes)) if without_faces(scenes.labels(i))])
        if not faces:
            raise DatasetInvalid("no training picture has a labelled face; look at scenes.labels")
        self._faces = np.array(faces)
        self._until = cumulated(scenes, faces, how_often)
        self._photo = {size: Augment(config.photo, seed, size) for size in config.sizes}

    def __call__(self, step: int, row: int, size: int) -> View:
        """Canvas ``row`` of a step's batch, ``size`` pixels a side."""
        rng = np.random.default_rng([self.seed, step, row])
        canvas = np.zeros((size, size, 3), np.uint8)
        places, tight = _places(rng, size, self.config)
        parts = [self._fill(canvas, place, rng, tight) for place in places]
        boxes, points, ignore = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        self._cover(canvas, boxes, points, rng)
        if self.config.lettering and rng.random() < self.config.lettering:
            letter(canvas, np.concatenate([boxes, ignore]), rng)
        image = self._photo[size](canvas, epoch=step, index=row)
        return View(image, boxes, points, ignore)

    def draw(self, rng: np.random.Generator) -> int:
        """A picture with faces, by the weights of its folder or as a further one."""
        return int(self._faces[np.searchsorted(self._until, rng.random(), side="right")])

    def _fill(
        self, canvas: Image, place: Place, rng: np.random.Generator, tight: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Lay one picture into one place; its faces out."""
        c = self.config
        height, width = place[3] - place[1], place[2] - place[0]
        spot = np.zeros((height, width, 3), np.uint8)
        empty = len(self._empty) and rng.random() < c.empty and not tight
        row = int(rng.choice(self._empty)) if empty else self.draw(rng)
        labels = self.scenes.labels(row)
        matrix, mirrored = _laid(labels, (height, width), rng, c, tight)
        if len(self._empty) and rng.random() < 0.5:
            below = int(rng.choice(self._empty))
            spread(self.scenes, below, spot, rng)
        _paint(self.scenes, row, matrix, spot)
        canvas[place[1] : place[3], place[0] : place[2]] = spot
        boxes, points = moved_boxes(matrix, labels.boxes), apply_affine(matrix, labels.points)
        if mirrored:
            points = points[:, MIRRORED]
        seen = visible(boxes, (height, width))
        large = _sides(boxes) >= c.ignore_px
        wanted = large & (seen >= c.visible)
        spared = ~wanted & (seen > 0)
        ignore = np.concatenate([boxes[spared], moved_boxes(matrix, labels.ignore)])
        limits = np.array([width, height] * 2, np.float32)
        ignore = np.clip(ignore, 0, limits)
        ignore = ignore[(ignore[:, 2:] > ignore[:, :2]).all(axis=1)]
        shift = np.array(place[:2], np.float32)
        return (
            boxes[wanted] + np.tile(shift, 2),
            points[wanted] + shift,
            ignore + np.tile(shift, 2),
        )

    def _cover(
        self, canvas: Image, boxes: FloatArray, points: FloatArray, rng: np.random.Generator
    ) -> None:
        """Draw masks on some faces, in place."""
        draws = rng.random((len(boxes), 9))
        for box, five, u, side in zip(boxes, points, draws, _sides(boxes), strict=True):
            if u[8] >= self.config.mask or side < MASKED_PX:
                continue
            low = np.floor(box[:2] - 0.5 * side).clip(0).astype(int)
            high = np.ceil(box[2:] + 0.5 * side).astype(int)
            part = canvas[low[1] : high[1], low[0] : high[0]]
            if part.size:
                part[:] = draw_mask(part, five.astype(np.float64) - low, u)


def cumulated(
    scenes: Scenes, rows: Sequence[int], how_often: ScenesConfig
) -> npt.NDArray[np.float64]:
    """(R,) rising to 1: how far into a random number each row of pictures with faces reaches, by
    the weight of its folder or the share of further pictures. Raises ``DatasetInvalid``."""
    weights = [float(how_often.weights.get(scenes.labels(i).folder, 1.0)) for i in rows]
    further = np.array([scenes.scenes[i].further for i in rows])
    weight = np.where(further, 0.0, weights)
    if not weight.sum() > 0:
        raise DatasetInvalid("scenes.weights gives every picture with faces the weight 0")
    chance = weight / weight.sum()
    if further.any():
        share = how_often.further_share
        chance = (1 - share) * chance + share * further / further.sum()
    until: npt.NDArray[np.float64] = np.cumsum(chance) / chance.sum()
    return until


def without_faces(labels: PictureLabels) -> bool:
    """Neither labelled faces nor regions that may hold one."""
    return len(labels.boxes) == 0 and len(labels.ignore) == 0


def _places(rng: np.random.Generator, size: int, c: ViewsConfig) -> tuple[list[Place], bool]:
    """The places of a canvas, and whether one face is to fill it."""
    draw = rng.random()
    if draw < c.mosaic:
        x, y = (int(size * rng.uniform(0.3, 0.7)) for _ in range(2))
        columns, rows = [0, x, size], [0, y, size]
    elif draw < c.mosaic + c.crowd:
        cells = int(rng.integers(3, 6))
        columns = rows = [size * i // cells for i in range(cells + 1)]
    else:
        columns = rows = [0, size]
    places = [(x0, y0, x1, y1) for y0, y1 in pairwise(rows) for x0, x1 in pairwise(columns)]
    return places, 0 <= draw - c.mosaic - c.crowd < c.tight


def _laid(
    labels: PictureLabels,
    place: tuple[int, int],
    rng: np.random.Generator,
    c: ViewsConfig,
    tight: bool,
) -> tuple[Matrix, bool]:
    """(2,3) matrix from the picture into its place, and whether it mirrors."""
    span = np.array([place[1], place[0]], np.float64)
    whole = np.array([labels.size[1], labels.size[0]], np.float64)
    if len(labels.boxes):
        box = labels.boxes[rng.integers(len(labels.boxes))]
        centre = ((box[:2] + box[2:]) / 2).astype(np.float64)
        side = float(_sides(box[None])[0])
        smallest, largest = c.face_px, max(c.face_px, c.face_share * span.min())
        if tight:
            smallest, largest = (bound * span.min() for bound in TIGHT)
        scale = math.exp(rng.uniform(math.log(smallest), math.log(largest))) / side
    else:
        centre, side = rng.uniform(0.2, 0.8, 2) * whole, float(whole.min())
        scale = math.exp(rng.uniform(math.log(0.5), math.log(2.0))) * span.max() / whole.max()
    scale = min(scale, TIGHT_UPSCALE if tight else c.upscale)
    reach = c.rotate_deg if rng.random() < c.rotate else c.rotate_deg / 5
    angle = math.radians(rng.uniform(-reach, reach))
    mirrored = bool(rng.random() < c.flip)
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    if mirrored:
        turn = turn * [-1, 1]
    # anywhere in the place, but covering as much of it as the picture can, the face inside
    half = np.abs(turn) @ (whole / 2)
    middle = turn @ (whole / 2 - centre)  # of the picture, from its face
    low = np.minimum(half, span - half) - middle
    high = np.maximum(half, span - half) - middle
    margin = np.minimum(scale * side * 0.5, span / 2) if len(labels.boxes) else span * 0
    if tight:  # its middle near the canvas's: parts of the face may lie outside
        margin = 0.4 * span
    target = np.clip(rng.uniform(low, high), margin, span - margin)
    return np.column_stack([turn, target - turn @ centre]), mirrored


def _paint(scenes: Scenes, row: int, matrix: Matrix, spot: Image) -> None:
    """Warp a picture over what is there, from a half, quarter … of it where it shrinks so far."""
    import cv2

    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    halvings = max(0, math.floor(math.log2(1 / max(scale, 1e-3)) + 0.25))
    ratio = 2.0**halvings
    shift = matrix[:, :2] @ np.full(2, (ratio - 1) / 2) + matrix[:, 2]  # of the pixel middles
    cv2.warpAffine(
        scenes.image(row, halvings),
        np.column_stack([matrix[:, :2] * ratio, shift]),
        (spot.shape[1], spot.shape[0]),
        dst=spot,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )


def spread(scenes: Scenes, row: int, spot: Image, rng: np.random.Generator) -> None:
    """Fill a place with part of a picture."""
    height, width = spot.shape[:2]
    size = scenes.labels(row).size
    scale = max(height / size[0], width / size[1]) * rng.uniform(1.0, 1.5)
    reach = np.array([size[1] * scale - width, size[0] * scale - height])
    shift = -rng.uniform(0, 1, 2) * np.maximum(reach, 0)
    _paint(scenes, row, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), spot)


def moved_boxes(matrix: Matrix, boxes: FloatArray) -> FloatArray:
    """(N,4) boxes after a (2,3) matrix: those of the moved ellipses inside the boxes.

    A face is round: the corners of its box, which a turned box would have to hold, are not face.
    """
    middle = apply_affine(matrix, (boxes[:, :2] + boxes[:, 2:]) / 2)
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    reach = np.sqrt((half[:, None, :] * matrix[None, :, :2]) ** 2 @ np.ones(2))
    moved: FloatArray = np.concatenate([middle - reach, middle + reach], 1).astype(np.float32)
    return moved


def visible(boxes: FloatArray, size: tuple[int, int]) -> FloatArray:
    """(N,) share of each box that lies within (height, width)."""
    inside = np.clip(boxes, 0, np.array([size[1], size[0]] * 2, np.float32))
    area = (inside[:, 2:] - inside[:, :2]).prod(axis=1)
    share: FloatArray = area / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6)
    return share


def _sides(boxes: FloatArray) -> FloatArray:
    """(N,) geometric mean of width and height."""
    sides: FloatArray = np.sqrt(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1))
    return sides


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ViewBatch:
    """B canvases as the training step takes them; ``*_of`` names each row's canvas."""

    images: npt.NDArray[np.uint8]  # (B,S,S,3) RGB
    boxes: FloatArray  # (G,4)
    points: FloatArray  # (G,5,2)
    boxes_of: npt.NDArray[np.int64]  # (G,)
    ignore: FloatArray  # (M,4)
    ignore_of: npt.NDArray[np.int64]  # (M,)

    def __len__(self) -> int:
        return len(self.images)


def collate(views: Sequence[View]) -> ViewBatch:
    """Canvases of one size as a batch."""

    def owner(counts: list[int]) -> Any:
        return np.repeat(np.arange(len(views), dtype=np.int64), counts)

    return ViewBatch(
        np.stack([view.image for view in views]),
        np.concatenate([view.boxes for view in views]),
        np.concatenate([view.points for view in views]),
        owner([len(view.boxes) for view in views]),
        np.concatenate([view.ignore for view in views]),
        owner([len(view.ignore) for view in views]),
    )


__all__ = [
    "MIRRORED",
    "View",
    "ViewBatch",
    "Views",
    "collate",
    "cumulated",
    "moved_boxes",
    "spread",
    "visible",
    "without_faces",
]
