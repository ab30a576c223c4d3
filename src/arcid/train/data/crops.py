"""Encoded aligned crop → canvas: (C,C,3) uint8 RGB, the template in the middle, a rim around it.

The canvas for a network of S pixels has C = round(S · 128/112): the 112-pixel template with 8
pixels of rim on every side, so 128 for S = 112. A crop of another size is scaled until its template
has S pixels; a rim it lacks is filled by repeating its border.
"""

from __future__ import annotations

import io

import numpy as np

from arcid.errors import ArcidError
from arcid.geometry import TEMPLATE_SIZE
from arcid.image.heads import strict_pillow
from arcid.types import Image

CROP_SIZE = 128
CROP_MARGIN = 8


class Unusable(ArcidError):
    """A crop that is passed over while training; counted and reported, never raised to callers."""

    code = "crop_unusable"


class WrongSize(Unusable):
    """The picture opens but is no aligned crop."""

    code = "crop_wrong_size"


def canvas_size(size: int) -> int:
    """Pixels a side of the canvas for a network of ``size`` pixels; leaves an even rim."""
    rim = round(size * CROP_MARGIN / TEMPLATE_SIZE)
    return size + 2 * rim


def decode_crop(data: bytes) -> Image:
    """(H,W,3) uint8 RGB. Raises ``Unusable``.

    OpenCV reads WebP about 1.5 times and JPEG twice as fast as Pillow. Where it gives up, or a
    JPEG lacks its end (old OpenCV fills the rest with grey), Pillow decides.
    """
    import cv2

    whole = not data.startswith(b"\xff\xd8") or data.rstrip(b"\0").endswith(b"\xff\xd9")
    if data and whole:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        except cv2.error:
            image = None
        if image is not None:
            return np.asarray(image, np.uint8)
    return _decode_slowly(data)


def fit_crop(image: Image, margin_px: int, size: int) -> Image:
    """Bring a decoded crop onto the canvas for networks of ``size`` pixels.

    ``margin_px``: rim of the crop in its own pixels; negative means 8 for crops of 128 pixels and
    none for all others. Raises ``WrongSize`` unless the crop is square with a template of at least
    112 pixels a side.
    """
    import cv2

    height, width = image.shape[:2]
    if margin_px < 0:
        margin_px = CROP_MARGIN if height == CROP_SIZE else 0
    template = height - 2 * margin_px
    if height != width or template < TEMPLATE_SIZE:
        rim = f" inside the rim of {margin_px}" if margin_px else ""
        raise WrongSize(
            f"{width}×{height} pixels; crops are square with at least {TEMPLATE_SIZE} pixels{rim}"
        )
    target = canvas_size(size)
    if template != size:
        scaled = round(height * size / template)
        shrinking = scaled < height
        image = np.asarray(
            cv2.resize(
                image,
                (scaled, scaled),
                interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC,
            ),
            np.uint8,
        )
    side = image.shape[0]
    if side < target:
        before, after = (target - side) // 2, (target - side + 1) // 2
        image = np.asarray(
            cv2.copyMakeBorder(image, before, after, before, after, cv2.BORDER_REPLICATE), np.uint8
        )
    elif side > target:
        image = centre(image, target)
    return image


def centre(image: Image, size: int) -> Image:
    """The middle ``size`` × ``size`` pixels, a view."""
    at = (image.shape[0] - size) // 2
    return image[at : at + size, at : at + size]


def _decode_slowly(data: bytes) -> Image:
    from PIL import Image as Pil

    try:
        with strict_pillow(), Pil.open(io.BytesIO(data)) as picture:
            return np.array(picture.convert("RGB"), np.uint8)
    except Exception as error:  # parsers of damaged files raise whatever they stumble over
        raise Unusable(f"damaged ({type(error).__name__})" if data else "empty") from None


__all__ = [
    "CROP_MARGIN",
    "CROP_SIZE",
    "Unusable",
    "WrongSize",
    "canvas_size",
    "centre",
    "decode_crop",
    "fit_crop",
]
