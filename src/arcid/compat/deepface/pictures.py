"""What deepface takes for a picture: a path, base64, an array in BGR order, an open file."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.compat.deepface.modules.exceptions import ImgNotFound
from arcid.errors import ImageError, InvalidArray
from arcid.image import load_image
from arcid.types import Image


def read(source: Any) -> Image:
    """(H,W,3) uint8 RGB. ``ImgNotFound`` for a path that leads nowhere, ``ValueError`` for what is
    no picture; nothing is fetched."""
    try:
        return _read(source)
    except ImageError as error:
        raise ValueError(f"Failed to decode image: {error.message}") from error
    except InvalidArray as error:
        raise ValueError(error.message) from error


def _read(source: Any) -> Image:
    if isinstance(source, np.ndarray):
        array = source if source.dtype == np.uint8 else _whole(source)
        return load_image(array, color="bgr")
    if isinstance(source, str) and source.startswith("data:image/"):
        try:
            text = "".join(source.partition(",")[2].split())  # it may come in lines
            return load_image(base64.b64decode(text, validate=True))
        except binascii.Error:
            raise ValueError("the picture after data:image/ is no base64") from None
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        raise ValueError("arcid fetches nothing: load the picture and pass its bytes or array")
    if isinstance(source, (str, os.PathLike)):
        if not Path(source).is_file():
            raise ImgNotFound(f"Confirm that {os.fspath(source)} exists")
        return load_image(source)
    return load_image(source)


def _whole(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Pixels of another type as bytes; numbers up to 1 are shares of 255."""
    top = float(array.max(initial=0))
    scaled = array * 255 if array.dtype.kind == "f" and top <= 1 else array
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def is_batch(source: Any) -> bool:
    """Whether several pictures were handed in: a list, or an array (N,H,W,3)."""
    if isinstance(source, np.ndarray):
        return source.ndim == 4
    return isinstance(source, Sequence) and not isinstance(source, (str, bytes))


def is_vector(source: Any) -> bool:
    """Whether it is a list of numbers, not of pictures."""
    return isinstance(source, (list, tuple))


def named(source: Any) -> str:
    """How messages call it."""
    if isinstance(source, (str, os.PathLike)) and not str(source).startswith("data:"):
        return os.fspath(source)
    return "the picture"


__all__ = ["is_batch", "is_vector", "named", "read"]
