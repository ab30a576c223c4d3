"""Photos as callers have them → what is uploaded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from arcid.errors import ImageUnreadable, InvalidArray, MissingExtra


class PixelArray(Protocol):
    """A NumPy array, without NumPy."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """NumPy's own."""


#: A path, the bytes of a file, an open file, or (H, W, 3) uint8 RGB pixels.
Photo = str | PathLike[str] | bytes | BinaryIO | PixelArray
Upload = tuple[str, bytes]  # a name for the file, its bytes


def uploads(photos: Photo | Sequence[Photo]) -> list[Upload]:
    """One photo or several, read whole so that a request can be sent again."""
    if isinstance(photos, Sequence) and not isinstance(photos, (str, bytes)):
        return [_upload(photo) for photo in photos]
    return [_upload(photos)]


def _upload(photo: Photo) -> Upload:
    """Raises ``ImageUnreadable`` for a file that cannot be read, ``InvalidArray`` for pixels."""
    if isinstance(photo, bytes):
        return "photo", photo
    if isinstance(photo, (str, PathLike)):
        path = Path(fspath(photo))
        try:
            return path.name, path.read_bytes()
        except OSError as error:
            raise ImageUnreadable(f"{path}: {error.strerror or error}") from error
    if hasattr(photo, "__array_interface__"):
        return "photo.png", _png(photo)
    content = photo.read() if hasattr(photo, "read") else None
    if not isinstance(content, bytes):
        raise ImageUnreadable(
            "a photo is a path, bytes, a file opened for reading bytes, or an array of pixels; "
            f"not {type(photo).__name__}"
        )
    return "photo", content


def _png(pixels: PixelArray) -> bytes:
    try:
        from PIL import Image  # only here: nothing else of the client needs it
    except ModuleNotFoundError:
        raise MissingExtra("sending pixels as a photo", "client") from None
    told = pixels.__array_interface__
    if len(told["shape"]) != 3 or told["shape"][2] != 3 or told["typestr"] != "|u1":
        raise InvalidArray(
            "pixels are (H, W, 3) uint8 RGB; "
            f"these have shape {tuple(told['shape'])} and type {told['typestr']}"
        )
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
