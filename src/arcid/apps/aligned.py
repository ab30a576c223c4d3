"""Whole photos → the aligned face that each is labelled by, for a trainer's validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arcid.align import align
from arcid.detect import Detector
from arcid.errors import InputError, LandmarksRequired, NoFaceFound
from arcid.evaluate.embeddings import Failure
from arcid.image import load_image
from arcid.pipeline import load_detector
from arcid.types import Image


class Aligner:
    """Photos in; the aligned face nearest their middle, or why there is none, out.

    ``size``: pixels a side. The detector is opened when photos come, so runs without pairs need
    none.
    """

    def __init__(self, size: int, detector: str | None = None) -> None:
        self.size, self.detector = size, detector

    def __call__(self, photos: Sequence[Path | bytes | Image]) -> list[Image | Failure]:
        found = load_detector(self.detector)
        return [_aligned(photo, found, self.size) for photo in photos]


def _aligned(photo: Path | bytes | Image, detector: Detector, size: int) -> Image | Failure:
    try:
        image = load_image(photo)
        crops = align(image, detector.detect([image])[0].select("center"), size=size)
        if not len(crops):
            raise NoFaceFound("no face was found in the photo")
    except LandmarksRequired:
        raise
    except InputError as error:
        return Failure(error.code, error.message)
    pixels: Image = crops.pixels[0]
    return pixels
