"""Faces cut from labelled pictures as aligned crops: more photos to train a recogniser on."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.files import replacing
from arcid.geometry import similarity_transform, template_points, warp
from arcid.train.data.crops import CROP_MARGIN, CROP_SIZE
from arcid.train.detector.labels import PictureLabels
from arcid.types import FloatArray, Image

QUALITY = 95  # of the stored WebP
LEAST_PX = 40.0  # a smaller face has less than half the pixels of its crop's sides


def cut(image: Image, labels: PictureLabels, least_px: float = LEAST_PX) -> list[Image]:
    """(128,128,3) uint8 RGB of every labelled face with sides of ``least_px`` (geometric mean):
    the 112-pixel template and 8 pixels around it."""
    sides = np.sqrt((labels.boxes[:, 2:] - labels.boxes[:, :2]).prod(axis=1))
    spread = labels.points.std(axis=1).min(axis=1, initial=np.inf)  # 0 where the points coincide
    points: FloatArray = labels.points[(sides >= least_px) & (spread > 0)]
    if not len(points):
        return []
    matrices = similarity_transform(points, template_points(CROP_SIZE - 2 * CROP_MARGIN))
    matrices[:, :, 2] += CROP_MARGIN
    return [warp(image, matrix, CROP_SIZE) for matrix in matrices]


def write_faces(
    path: Path, pictures: Iterable[tuple[Image, PictureLabels]], least_px: float = LEAST_PX
) -> int:
    """Write the faces of all pictures into one tar that ``data.sources`` reads; how many there are.

    Each is ``faces/PICTURE-NUMBER.webp``, without identity. Raises what
    ``files.replacing`` does, and ``DatasetInvalid`` where there is not one.
    """
    import cv2

    count = 0
    with replacing(path) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for image, labels in pictures:
            for number, crop in enumerate(cut(image, labels, least_px)):
                bgr = np.ascontiguousarray(crop[..., ::-1])
                coded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1]
                stem = labels.picture.rpartition(".")[0].replace("/", "-")
                entry = tarfile.TarInfo(f"faces/{stem}-{number}.webp")
                entry.size = len(coded)
                archive.addfile(entry, io.BytesIO(coded.tobytes()))
                count += 1
        if not count:
            raise DatasetInvalid(
                f"no labelled face has sides of {least_px:g} pixels; {path.name} is not written"
            )
    return count


__all__ = ["LEAST_PX", "cut", "write_faces"]
