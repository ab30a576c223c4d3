"""Bytes, path, array or PIL image in; RGB uint8 (H,W,3) out, upright by EXIF, size bounded.

Everything a camera or a web form produces is read: JPEG (CMYK too), PNG (alpha, palette, 16-bit),
WebP, BMP, GIF, TIFF and MPO; of an animation the first frame. Transparent pixels become white.
The suffix is ignored: the content decides. What cannot be read raises ``ImageUnreadable``;
what is larger than the limits raises ``ImageTooLarge`` before any pixel is decoded.
A picture is read whole or not at all: one that was cut short never comes back half grey.

Decoding takes at most ``BYTES_PER_PIXEL`` for every pixel that is allowed, whatever the picture is
made of: pixels are decoded into the memory the answer is given in, and converted there strip by
strip. Kinds whose decoder needs more by itself, as progressive JPEG does, are read up to fewer
pixels.
"""

from __future__ import annotations

from arcid.image.files import SUFFIXES, find_photos, is_photo
from arcid.image.heads import FORMATS, decoding_bytes
from arcid.image.identity import PhotoId, photo_id
from arcid.image.limits import BYTES_PER_PIXEL, DEFAULT_LIMITS, ImageLimits
from arcid.image.loading import (
    ColorOrder,
    ImageSource,
    check_color,
    check_many,
    load_image,
    load_images,
    source_name,
)

__all__ = [
    "BYTES_PER_PIXEL",
    "DEFAULT_LIMITS",
    "FORMATS",
    "SUFFIXES",
    "ColorOrder",
    "ImageLimits",
    "ImageSource",
    "PhotoId",
    "check_color",
    "check_many",
    "decoding_bytes",
    "find_photos",
    "is_photo",
    "load_image",
    "load_images",
    "photo_id",
    "source_name",
]
