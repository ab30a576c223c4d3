"""Faces cut from labelled pictures as aligned chips: more photos to train a recogniser on."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from arcid.errors import StorageFull
from arcid.geometry import similarity_transform, template_points, warp
from arcid.train.data.chips import CHIP_MARGIN, CHIP_SIZE
from arcid.train.detection.labels import PictureLabels
from arcid.types import FloatArray, Image

QUALITY = 95  # of the stored WebP
LEAST_PX = 40.0  # a smaller face has less than half the pixels of its chip's sides


def cut(image: Image, labels: PictureLabels, least_px: float = LEAST_PX) -> list[Image]:
    """(128,128,3) uint8 RGB of every labelled face with sides of ``least_px`` (geometric mean):
    the 112-pixel template and 8 pixels around it."""
    sides = np.sqrt((labels.boxes[:, 2:] - labels.boxes[:, :2]).prod(axis=1))
    spread = labels.points.std(axis=1).min(axis=1, initial=np.inf)  # 0 where the points coincide
    points: FloatArray = labels.points[(sides >= least_px) & (spread > 0)]
    if not len(points):
        return []
    matrices = similarity_transform(points, template_points(CHIP_SIZE - 2 * CHIP_MARGIN))
    matrices[:, :, 2] += CHIP_MARGIN
    return [warp(image, matrix, CHIP_SIZE) for matrix in matrices]


def write_faces(
    path: Path, pictures: Iterable[tuple[Image, PictureLabels]], least_px: float = LEAST_PX
) -> int:
    """Write the faces of all pictures into one tar that ``data.sources`` reads; how many there are.

    Each is ``faces/PICTURE-NUMBER.webp``, without identity. Raises ``StorageFull``.
    """
    import cv2

    draft = path.with_name(f".{path.name}.part")
    count = 0
    with _storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        archive = tarfile.open(draft, "w")  # noqa: SIM115 - closed below, whatever happens
    try:
        for image, labels in pictures:
            for number, chip in enumerate(cut(image, labels, least_px)):
                bgr = np.ascontiguousarray(chip[..., ::-1])
                coded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1]
                stem = labels.picture.rpartition(".")[0].replace("/", "-")
                entry = tarfile.TarInfo(f"faces/{stem}-{number}.webp")
                entry.size = len(coded)
                with _storing(path):
                    archive.addfile(entry, io.BytesIO(coded.tobytes()))
                count += 1
        with _storing(path):
            archive.close()
            draft.replace(path)
    except BaseException:
        with suppress(OSError):
            archive.close()
        draft.unlink(missing_ok=True)
        raise
    return count


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    """Not around the reading of pictures, whose failures are their own."""
    try:
        yield
    except OSError as error:
        raise StorageFull(f"the faces were not stored: {error.strerror}", path=str(path)) from None


__all__ = ["LEAST_PX", "cut", "write_faces"]
