"""Bytes, path or array in; RGB uint8 (H,W,3) out, EXIF orientation applied, size bounded.

Everything a camera or a web form produces is read: JPEG (CMYK too), PNG (alpha, palette, 16-bit),
WebP, BMP, GIF, TIFF and MPO; of an animation the first frame. Transparent pixels become white.
The suffix is ignored: the content decides. What cannot be read raises ``ImageUnreadable``;
what is larger than the limits raises ``ImageTooLarge`` before any pixel is decoded.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from arcid.errors import ImageTooLarge, ImageTooSmall, ImageUnreadable, InvalidArray
from arcid.types import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

ImageSource = bytes | bytearray | memoryview | str | os.PathLike[str] | npt.NDArray[Any] | BinaryIO
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".mpo"})


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is refused before decoding."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 100_000_000
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
    (H,W,4) of uint8. ``colour`` states the channel order of an *array*; encoded pictures know
    their own.

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
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), "the image"
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        name = path.name
        try:
            size = path.stat().st_size
            if not path.is_file():
                raise ImageUnreadable(f"{name} is not a file")
            if size > limits.max_bytes:
                raise _too_many_bytes(name, size, limits)
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ImageUnreadable(f"{name} cannot be opened: {reason}") from None
    elif hasattr(source, "read"):
        data, name = source.read(limits.max_bytes + 1), "the image"
    else:
        raise ImageUnreadable(
            f"an image is bytes, a path, an open file or an array, not {type(source).__name__}"
        )
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(name, len(data), limits)
    return data, name


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
            f"{name} has {width}×{height} pixels; a face needs at least {limits.min_side_px} a side",
            **size,
        )


def _decode(data: bytes, name: str, limits: ImageLimits) -> Image:
    from PIL import Image as Pil
    from PIL import ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of sizes that the limits below judge
            with Pil.open(io.BytesIO(data), formats=FORMATS) as picture:
                _check_size(name, picture.height, picture.width, limits)
                picture.load()
                oriented = ImageOps.exif_transpose(picture)
                pixels = _to_rgb(oriented)
    except UnidentifiedImageError:
        raise ImageUnreadable(
            f"{name} is not a picture arcid reads ({', '.join(FORMATS)})"
        ) from None
    except Pil.DecompressionBombError:
        raise ImageTooLarge(f"{name} unpacks to far more pixels than are read") from None
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError,
            AttributeError, ZeroDivisionError, OverflowError, RuntimeError, struct.error,
            MemoryError) as error:  # fmt: skip
        # Pillow's parsers let all of these escape on damaged files.
        raise ImageUnreadable(
            f"{name} is damaged or cut short ({type(error).__name__} while decoding)"
        ) from None
    return pixels


def _to_rgb(picture: PilImage) -> Image:
    from PIL import Image as Pil

    if picture.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        values = np.asarray(picture, np.float64)
        if picture.mode == "F" and not np.isfinite(values).all():
            raise ValueError("NaN pixels")
        top = 255.0 if values.max(initial=0) <= 255 else 65535.0
        grey = np.clip(values / top * 255, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        layered = picture.convert("RGBA")
        white = Pil.new("RGBA", layered.size, (255, 255, 255, 255))
        picture = Pil.alpha_composite(white, layered)
    return np.array(picture.convert("RGB"), np.uint8)


def _from_array(array: npt.NDArray[Any], colour: str, limits: ImageLimits) -> Image:
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
