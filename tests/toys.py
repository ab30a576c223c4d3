"""A detector and an embedder as a third party would write them, whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arcid.geometry import ARCFACE_TEMPLATE
from arcid.types import Crops, Detections, Embeddings, FloatArray, Image

FACE = (200, 40, 40)


class Squares:
    """Finds every square of one colour, as a face of five points; has nothing but ``detect``."""

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        return [self._one(image) for image in images]

    def _one(self, image: Image) -> Detections:
        boxes = []
        mask = (image == FACE).all(axis=2)
        for left in range(0, image.shape[1], 100):
            ys, xs = np.nonzero(mask[:, left : left + 100])
            if len(ys):
                boxes.append([xs.min() + left, ys.min(), xs.max() + left + 1, ys.max() + 1])
        if not boxes:
            return Detections.empty(image.shape[:2])
        found = np.array(boxes, np.float32)
        scale = (found[:, 2] - found[:, 0])[:, None, None] / 112
        points = ARCFACE_TEMPLATE * scale + found[:, None, :2]
        return Detections(found, np.full(len(found), 0.9), points, image.shape[:2])


class Brightness:
    """A vector of five numbers from a crop of 48 pixels, cut by the box."""

    contract_id = "toy" * 10
    dim, size, template = 5, 48, "box"

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def embed(self, crops: Crops) -> Embeddings:
        self.seen.append(crops.pixels.shape)
        means = crops.pixels.reshape(len(crops), -1, 3).mean(axis=1)
        corner = crops.pixels[:, 0, 0, :2]
        return Embeddings.normalised(np.hstack([means, corner]) + 1, self.contract_id)


class LeftHalf:
    """A liveness check that finds the faces in the left half of a picture alive."""

    name, threshold = "left half", 0.5

    def scores(self, image: Image, detections: Detections) -> FloatArray:
        middles = detections.boxes[:, [0, 2]].mean(axis=1)
        return np.where(middles < image.shape[1] / 2, 0.9, 0.0).astype(np.float32)


def picture(*faces: int, width: int = 300) -> Image:
    """Grey, with a square face in each of the named columns of 100 pixels."""
    image = np.full((120, width, 3), 90, np.uint8)
    for column in faces:
        image[30:80, column * 100 + 25 : column * 100 + 75] = FACE
    return image


def drawn(eye: float = 0.3, mouth: float = 0.0) -> FloatArray:
    """(68,2) of a face drawn symmetrically about x = 50; ``eye`` and ``mouth``: height over width
    of the rings."""

    def ring(middle: tuple[float, float], width: float, height: float, count: int) -> FloatArray:
        angle = np.pi + np.arange(count) * 2 * np.pi / count
        at = np.stack([np.cos(angle) * width, np.sign(np.sin(angle).round(9)) * height], axis=1) / 2
        found: FloatArray = (np.array(middle) + at).astype(np.float32)
        return found

    turn = np.linspace(np.pi, 0, 17)
    jaw = np.stack([50 + 40 * np.cos(turn), 40 + 50 * np.sin(turn)], axis=1)
    brows = np.stack([np.r_[np.linspace(18, 42, 5), np.linspace(58, 82, 5)], np.full(10, 25)], 1)
    bridge = np.stack([np.full(4, 50), np.linspace(40, 58, 4)], axis=1)
    base = np.stack([np.linspace(42, 58, 5), np.full(5, 62)], axis=1)
    eyes = [ring((30, 40), 16, 16 * eye, 6), ring((70, 40), 16, 16 * eye, 6)]
    lips = [ring((50, 75), 30, 12, 12), ring((50, 75), 24, 24 * mouth, 8)]
    return np.concatenate([jaw, brows, bridge, base, *eyes, *lips]).astype(np.float32)
