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
