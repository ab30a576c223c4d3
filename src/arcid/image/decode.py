"""Encoded bytes → pixels, in memory that is counted beforehand.

Pixels are decoded into the memory the answer is given in, and converted there strip by strip.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from arcid.errors import ImageError, ImageTooLarge, ImageUnreadable
from arcid.image.heads import (
    FORMATS,
    MAX_JPEG_SCANS,
    bytes_per_pixel,
    jpeg_scans,
    memory_needed,
    orientation_of,
    still_webp,
    strict_pillow,
)
from arcid.image.limits import BYTES_PER_PIXEL, ImageLimits, check_size
from arcid.types import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

#: What scanners write. libtiff has more, each another parser within reach of an upload; it also
#: reports damage on stderr, one line without content, which cannot be turned off from here.
TIFF_COMPRESSIONS = ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate")
TIFF_TILE_WIDTH = 0x0142
STRIP_PIXELS = 2**18  # converted at a time


def decode(data: bytes, name: str, limits: ImageLimits) -> Image:
    from PIL import Image as Pil
    from PIL import UnidentifiedImageError

    if jpeg_scans(data) > MAX_JPEG_SCANS:
        raise ImageUnreadable(
            f"{name} is a JPEG of more than {MAX_JPEG_SCANS} scans, which no camera writes; "
            "save it again"
        )
    try:
        with strict_pillow(), Pil.open(io.BytesIO(data), formats=FORMATS) as picture:
            check_size(name, picture.height, picture.width, limits)
            _check_tiff(name, picture)
            _check_memory(name, picture, data, limits)
            if still_webp(data):
                return _upright(_webp_to_rgb(data), orientation_of(picture))
            room = _load(picture)
            check_size(name, picture.height, picture.width, limits)
            rgb = _to_rgb(picture, room)
            return _upright(rgb, orientation_of(picture), room)
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


def from_pil(picture: PilImage, name: str, limits: ImageLimits) -> Image:
    """As ``decode`` for a picture that Pillow opened; it stays as it was."""
    check_size(name, picture.height, picture.width, limits)
    if picture.mode in ("I", "F"):
        raise ImageUnreadable("pictures of 32 bits a channel are not read; save it with 8")
    try:
        with strict_pillow():
            picture.load()
            rgb = _to_rgb(picture, _Room(3 * picture.width * picture.height))
            return _upright(rgb, orientation_of(picture))
    except Exception as error:
        raise ImageUnreadable(
            f"{name} is damaged, closed or cut short ({type(error).__name__} while decoding)"
        ) from error


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


def _check_memory(name: str, picture: PilImage, data: bytes, limits: ImageLimits) -> None:
    pixels = picture.width * picture.height
    needed, allowed = memory_needed(picture, data), BYTES_PER_PIXEL * limits.max_pixels
    if needed > allowed:
        fewer = allowed * pixels / needed
        raise ImageTooLarge(
            f"{name} has {picture.width}×{picture.height} pixels, packed so that reading it takes "
            f"{needed / 1e6:.0f} MB; at most {fewer / 1e6:.0f} million pixels of this kind are "
            "read: save it as a plain JPEG, or scale it down first",
            height_px=picture.height,
            width_px=picture.width,
            decoding_bytes=needed,
        )


class _Room:
    """Zeroed memory for pixels; large ones are pages of their own, so that what is not needed any
    more returns to the system at once."""

    def __init__(self, size: int) -> None:
        self._pages: mmap.mmap | None = None
        if size < 2**23 or not hasattr(mmap, "MADV_DONTNEED"):
            self.bytes = np.zeros(size, np.uint8)
            return
        self._pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.bytes = np.frombuffer(self._pages, np.uint8)

    def release(self, start: int, stop: int) -> None:
        """The whole pages between two offsets are not needed any more."""
        first, last = -(-start // mmap.PAGESIZE), stop // mmap.PAGESIZE
        if self._pages is not None and last > first:
            self._pages.madvise(
                mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE
            )


def _load(picture: PilImage) -> _Room:
    """Decode into room that holds the answer as well: Pillow's pixels at its end, so that strips
    turned to RGB from the top never reach one that is still to come."""
    from PIL import Image as Pil

    if picture.mode in ("I", "F"):
        raise ImageUnreadable("pictures of 32 bits a channel are not read; save it with 8")
    pixels, own = picture.width * picture.height, bytes_per_pixel(picture.mode)
    size = max(3, own) * pixels
    room = _Room(size + 8)  # Pillow's rows are multiples of four bytes
    if picture.format == "GIF":
        picture.dispose = None  # type: ignore[attr-defined]  # for a second frame
    if own > 1 and not (picture.format == "TIFF" and orientation_of(picture) != 1):
        place = (picture.mode, own * picture.width, 1)
        picture.im = Pil.core.map_buffer(  # type: ignore[attr-defined]
            room.bytes, picture.size, "raw", size - own * pixels, place
        )
    picture.load()
    return room


def _to_rgb(picture: PilImage, room: _Room) -> Image:
    width, height = picture.size
    rgb = room.bytes[: 3 * width * height].reshape(height, width, 3)
    for top, bottom in _strips(width, height):
        rgb[top:bottom] = _strip_to_rgb(picture.crop((0, top, width, bottom)))
    room.release(rgb.size, len(room.bytes))
    return rgb


def _webp_to_rgb(data: bytes) -> Image:
    """As ``_to_rgb``, by OpenCV: Pillow reads any WebP as an animation, in twice the memory."""
    import cv2
    from PIL import Image as Pil

    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None:
        raise ValueError("OpenCV refuses it")
    height, width, channels = decoded.shape
    rgb = decoded.reshape(-1)[: 3 * width * height].reshape(height, width, 3)
    for top, bottom in _strips(width, height):
        strip = decoded[top:bottom]
        if channels == 4:
            rgba = cv2.cvtColor(strip, cv2.COLOR_BGRA2RGBA)
            rgb[top:bottom] = _strip_to_rgb(Pil.fromarray(rgba))
        else:
            rgb[top:bottom] = cv2.cvtColor(strip, cv2.COLOR_BGR2RGB)
    return np.asarray(rgb, np.uint8)


def _strip_to_rgb(picture: PilImage) -> Image:
    from PIL import Image as Pil

    if picture.mode.startswith("I;16"):
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        layered = picture.convert("RGBA")
        white = Pil.new("RGBA", layered.size, (255, 255, 255, 255))
        picture = Pil.alpha_composite(white, layered)
    return np.asarray(picture.convert("RGB"))


def _strips(width: int, height: int) -> Iterator[tuple[int, int]]:
    rows = max(1, STRIP_PIXELS // width)
    return ((top, min(top + rows, height)) for top in range(0, height, rows))


def _upright(rgb: Image, orientation: int, room: _Room | None = None) -> Image:
    """Turn a picture, giving back the pages of what is turned already."""
    import cv2

    if orientation == 1:
        return rgb
    height, width = rgb.shape[:2]
    turned = orientation > 4
    size = (width, height) if turned else (height, width)
    upright = _Room(rgb.size).bytes.reshape(*size, 3)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    for top, bottom in _strips(width, height):
        strip = cv2.transpose(rgb[top:bottom]) if turned else rgb[top:bottom]
        strip = strip if flip is None else cv2.flip(strip, flip)
        to = slice(top, bottom)
        if orientation in (3, 4, 6, 7):  # from the other end
            to = slice(height - bottom, height - top)
        upright[(slice(None), to) if turned else to] = strip
        if room is not None:
            room.release(3 * width * top, 3 * width * bottom)
    return upright
