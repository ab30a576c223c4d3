"""Bytes, path or array in; RGB uint8 (H,W,3) out, EXIF orientation applied, size bounded.

Everything a camera or a web form produces is read: JPEG (CMYK too), PNG (alpha, palette, 16-bit),
WebP, BMP, GIF, TIFF and MPO; of an animation the first frame. Transparent pixels become white.
The suffix is ignored: the content decides. What cannot be read raises ``ImageUnreadable``;
what is larger than the limits raises ``ImageTooLarge`` before any pixel is decoded.
A picture is read whole or not at all: one that was cut short never comes back half grey.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from arcid.errors import (
    ImageError,
    ImageTooLarge,
    ImageTooSmall,
    ImageUnreadable,
    InvalidArray,
    UsageError,
)
from arcid.types import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

ImageSource = bytes | bytearray | memoryview | str | os.PathLike[str] | npt.NDArray[Any] | BinaryIO
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")  # MPO opens as JPEG
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".mpo"})
#: What scanners write. libtiff has more, each another parser within reach of an upload; it also
#: reports damage on stderr, one line without content, which cannot be turned off from here.
TIFF_COMPRESSIONS = ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate")
MAX_JPEG_SCANS = 100  # progressive encoders write about ten
EXIF_ORIENTATION, TIFF_TILE_WIDTH = 0x0112, 0x0142
_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is refused before decoding."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 64_000_000
    max_side_px: int = 20_000
    min_side_px: int = 16


DEFAULT_LIMITS = ImageLimits()


def load_image(
    source: ImageSource,
    *,
    colour: Literal["RGB", "BGR"] = "RGB",
    limits: ImageLimits = DEFAULT_LIMITS,
) -> Image:
    """Read one picture as (H,W,3) uint8 RGB, contiguous.

    ``source``: encoded bytes, a path, an open binary file, or an array (H,W), (H,W,1), (H,W,3) or
    (H,W,4) of uint8, whose alpha is dropped. ``colour`` states the channel order of an *array*;
    encoded pictures know their own.

    Raises ``ImageUnreadable``, ``ImageTooLarge``, ``ImageTooSmall`` or, for arrays,
    ``InvalidArray``.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, colour, limits)
    data, name = _read(source, limits)
    if not data:
        raise ImageUnreadable(f"{name} is empty (0 bytes)")
    return _decode(data, name, limits)


def photo_id(image: Image) -> str:
    """sha256 over shape and pixels: tells whether two faces come from one photo."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _read(source: Any, limits: ImageLimits) -> tuple[bytes, str]:
    name = "the image"
    if isinstance(source, (bytes, bytearray, memoryview)):
        size = source.nbytes if isinstance(source, memoryview) else len(source)
        if size > limits.max_bytes:
            raise _too_many_bytes(name, size, limits)
        return bytes(source), name
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.fsdecode(source))
        name = "".join(c if c.isprintable() else "?" for c in path.name) or "the image"
        try:
            size = path.stat().st_size
            if not path.is_file():
                raise ImageUnreadable(f"{name} is not a file")
            if size > limits.max_bytes:
                raise _too_many_bytes(name, size, limits)
            with path.open("rb") as file:
                data = file.read(limits.max_bytes + 1)
        except (OSError, ValueError) as error:
            raise _cannot_open(name, error) from None
    elif hasattr(source, "read"):
        try:
            data = source.read(limits.max_bytes + 1)
        except (OSError, ValueError) as error:
            raise _cannot_open(name, error) from None
        if not isinstance(data, bytes):
            raise ImageUnreadable("the file gives text, not bytes; open it with mode 'rb'")
    else:
        raise ImageUnreadable(
            f"an image is bytes, a path, an open file or an array, not {type(source).__name__}"
        )
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(name, len(data), limits)
    return data, name


def _cannot_open(name: str, error: OSError | ValueError) -> ImageUnreadable:
    reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    if isinstance(error, ValueError):
        reason = str(error)
    return ImageUnreadable(f"{name} cannot be opened: {reason}")


def _too_many_bytes(name: str, size: int, limits: ImageLimits) -> ImageTooLarge:
    return ImageTooLarge(
        f"{name} has {size / 2**20:.1f} MiB; at most {limits.max_bytes / 2**20:.0f} MiB are read",
        bytes=size,
        max_bytes=limits.max_bytes,
    )


def _check_size(name: str, height: int, width: int, limits: ImageLimits) -> None:
    size = {"height_px": height, "width_px": width}
    if max(height, width) > limits.max_side_px or height * width > limits.max_pixels:
        raise ImageTooLarge(
            f"{name} has {width}×{height} pixels; at most {limits.max_side_px} a side and "
            f"{limits.max_pixels / 1e6:.0f} million in all are read: scale it down first",
            **size,
        )
    if min(height, width) < limits.min_side_px:
        raise ImageTooSmall(
            f"{name} has {width}×{height} pixels; a face needs at least {limits.min_side_px} "
            "a side",
            **size,
        )


def _decode(data: bytes, name: str, limits: ImageLimits) -> Image:
    from PIL import Image as Pil
    from PIL import UnidentifiedImageError

    if _jpeg_scans(data) > MAX_JPEG_SCANS:
        raise ImageUnreadable(
            f"{name} is a JPEG of more than {MAX_JPEG_SCANS} scans, which no camera writes; "
            "save it again"
        )
    try:
        with _quiet_pillow(), Pil.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_size(name, picture.height, picture.width, limits)
            _check_tiff(name, picture)
            picture.load()
            _check_size(name, picture.height, picture.width, limits)
            return _to_rgb(_upright(picture))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageUnreadable(
            f"{name} is not a picture arcid reads ({', '.join(FORMATS)}), or its head is damaged"
        ) from None
    except Pil.DecompressionBombError:
        raise ImageTooLarge(f"{name} unpacks to far more pixels than are read") from None
    except Exception as error:  # parsers of damaged files raise whatever they stumble over
        raise ImageUnreadable(
            f"{name} is damaged or cut short ({type(error).__name__} while decoding)"
        ) from error


@contextlib.contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Ignore Pillow's warnings while any thread decodes.

    ``warnings.catch_warnings`` swaps a list the whole process shares: two threads that overlap
    would restore each other's. So the first one in sets the filter and the last one out drops it.
    """
    global _decoding, _saved_filters
    with _decoding_lock:
        if _decoding == 0:
            _saved_filters = warnings.catch_warnings()
            _saved_filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _decoding += 1
    try:
        yield
    finally:
        with _decoding_lock:
            _decoding -= 1
            if _decoding == 0 and _saved_filters is not None:
                _saved_filters.__exit__(None, None, None)
                _saved_filters = None


_decoding = 0
_decoding_lock = threading.Lock()
_saved_filters: warnings.catch_warnings[None] | None = None


def _jpeg_scans(data: bytes) -> int:
    """Scans of the first picture in a JPEG, 0 for other formats; stops counting past the limit.

    Every scan of a progressive JPEG walks over all pixels again, and one takes a few bytes.
    """
    scans, at = 0, 2
    if not data.startswith(b"\xff\xd8"):
        return 0
    while scans <= MAX_JPEG_SCANS and (marker := _JPEG_MARKER.search(data, at)):
        code, at = marker[0][1], marker.end()
        if code == 0xD9:
            break
        if code == 0xDA:
            scans += 1
        at += int.from_bytes(data[at : at + 2])
    return scans


def _check_tiff(name: str, picture: PilImage) -> None:
    if picture.format != "TIFF":
        return
    packing = picture.info.get("compression", "raw")
    if picture.getexif().get(TIFF_TILE_WIDTH):  # a tile may be declared far larger than the picture
        packing = "tiles"
    if packing not in TIFF_COMPRESSIONS:
        raise ImageUnreadable(
            f"{name} is a TIFF packed as {packing}, which is not read; save it as PNG or JPEG"
        )


def _upright(picture: PilImage) -> PilImage:
    from PIL import Image as Pil

    try:
        orientation = picture.getexif().get(EXIF_ORIENTATION)
    except Exception:  # a damaged EXIF block spoils no pixel
        return picture
    turns = {
        2: Pil.Transpose.FLIP_LEFT_RIGHT,
        3: Pil.Transpose.ROTATE_180,
        4: Pil.Transpose.FLIP_TOP_BOTTOM,
        5: Pil.Transpose.TRANSPOSE,
        6: Pil.Transpose.ROTATE_270,
        7: Pil.Transpose.TRANSVERSE,
        8: Pil.Transpose.ROTATE_90,
    }
    return picture.transpose(turns[orientation]) if orientation in turns else picture


def _to_rgb(picture: PilImage) -> Image:
    from PIL import Image as Pil

    if picture.mode.startswith("I;16"):
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.mode in ("I", "F"):
        raise ImageUnreadable("pictures of 32 bits a channel are not read; save it with 8")
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        layered = picture.convert("RGBA")
        white = Pil.new("RGBA", layered.size, (255, 255, 255, 255))
        picture = Pil.alpha_composite(white, layered)
    return np.array(picture.convert("RGB"), np.uint8)


def _from_array(array: npt.NDArray[Any], colour: str, limits: ImageLimits) -> Image:
    if colour not in ("RGB", "BGR"):
        raise UsageError(f"colour {colour!r} is unknown; use RGB or BGR")
    if array.dtype != np.uint8:
        raise InvalidArray(f"an image array must be uint8 0–255, got {array.dtype}")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise InvalidArray(f"an image array must be (H,W), (H,W,1|3|4), got {array.shape}")
    _check_size("the image", array.shape[0], array.shape[1], limits)
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    array = array[..., :3]
    if colour == "BGR":
        array = array[..., ::-1]
    return np.ascontiguousarray(array)
