"""Aligned crops as lossless PNG bytes and back."""

from __future__ import annotations

import io

import numpy as np

from arcid.gallery.seals import damaged
from arcid.types import Image


def encode_crop(crop: Image) -> bytes:
    """(S,S,3) uint8 RGB in, PNG bytes out."""
    from PIL import Image as Pil

    buffer = io.BytesIO()
    Pil.fromarray(np.ascontiguousarray(crop)).save(buffer, "PNG")
    return buffer.getvalue()


def decode_crop(data: bytes) -> Image:
    """PNG bytes in, (S,S,3) uint8 RGB out."""
    from PIL import Image as Pil

    try:
        with Pil.open(io.BytesIO(data), formats=("PNG",)) as picture:
            return np.array(picture.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, ValueError):
        raise damaged("a stored crop") from None
