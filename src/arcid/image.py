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

import contextlib
import hashlib
import io
import mmap
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, TypeGuard, get_args

import numpy as np
import numpy.typing as npt

from arcid.errors import (
    ArcidError,
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

Encoded = bytes | bytearray | memoryview
ImageSource: TypeAlias = "Encoded | str | os.PathLike[str] | BinaryIO | npt.NDArray[Any] | PilImage"
ColorOrder = Literal["rgb", "bgr"]  # of the channels of an array
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")  # MPO opens as JPEG
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".mpo"})
#: What scanners write. libtiff has more, each another parser within reach of an upload; it also
#: reports damage on stderr, one line without content, which cannot be turned off from here.
TIFF_COMPRESSIONS = ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate")
MAX_JPEG_SCANS = 100  # progressive encoders write about ten
BYTES_PER_PIXEL = 4  # that decoding may take for every pixel of ``max_pixels``
STRIP_PIXELS = 2**18  # converted at a time
MAX_WEBP_CHUNKS = 64  # before the picture; encoders write at most four
SMALL = 2**20  # bytes that are not counted
TOGETHER_BYTES = 8 * 256 * 256 * 3  # of pixels in memory for one look at several pictures
EXIF_ORIENTATION, TIFF_BITS_PER_SAMPLE, TIFF_ROWS_PER_STRIP = 0x0112, 0x0102, 0x0116
TIFF_TILE_WIDTH = 0x0142
_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is refused before decoding."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 64_000_000  # and ``BYTES_PER_PIXEL`` times as many bytes while decoding
    max_side_px: int = 20_000
    min_side_px: int = 16


DEFAULT_LIMITS = ImageLimits()


def load_image(
    source: ImageSource,
    *,
    color: ColorOrder = "rgb",
    limits: ImageLimits = DEFAULT_LIMITS,
) -> Image:
    """Read one picture as (H,W,3) uint8 RGB, contiguous.

    ``source``: encoded bytes, a path, an open binary file, a ``PIL.Image``, or an array (H,W),
    (H,W,1), (H,W,3) or (H,W,4) of uint8, whose alpha is dropped. ``color`` states the channel
    order of an *array*: "rgb", or "bgr" as OpenCV reads; all other pictures know their own.

    Raises ``ImageUnreadable``, ``ImageTooLarge``, ``ImageTooSmall`` or, for arrays,
    ``InvalidArray``.
    """
    check_color(color)
    if isinstance(source, np.ndarray):
        return _from_array(source, color, limits)
    if _is_pil(source):
        return _from_pil(source, limits)
    data, name = _read(source, limits)
    if not data:
        raise ImageUnreadable(f"{name} is empty (0 bytes)")
    return _decode(data, name, limits)


def load_images(
    sources: Iterable[ImageSource], *, color: ColorOrder = "rgb"
) -> Iterator[list[Image | ArcidError]]:
    """``load_image`` of each or its error, in order: in groups of ``TOGETHER_BYTES`` of pixels at
    most, or of one picture, so that many small ones can be looked at together and large ones are
    never held at once."""
    group: list[Image | ArcidError] = []
    held = 0
    for source in sources:
        try:
            image = load_image(source, color=color)
        except ArcidError as error:
            group.append(error)
            continue
        if held and held + image.nbytes > TOGETHER_BYTES:
            yield group
            group, held = [], 0
        group.append(image)
        held += image.nbytes
    if group:
        yield group


def check_color(color: str) -> None:
    """Raise ``UsageError`` for what is no channel order."""
    if color not in get_args(ColorOrder):
        raise UsageError(f"color {color!r} is unknown; use rgb or bgr")


def photo_id(image: Image) -> str:
    """sha256 over shape and pixels: tells whether two faces come from one photo."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


class PhotoId:
    """A ``photo_id`` that is computed when it is first asked for; then the picture is let go."""

    __slots__ = ("_image", "_known")

    def __init__(self, image: Image | None = None, known: str | None = None) -> None:
        self._image, self._known = image, known

    @property
    def value(self) -> str:
        """Raises ``UsageError`` where the picture was let go unasked."""
        image = self._image  # before the other one: threads that ask at once see either
        if self._known is None:
            if image is None:
                raise UsageError(
                    "the photo was let go before its photo_id was asked for; say photo_ids=True "
                    "where a batch is made, or keep_photo=True where one photo is prepared"
                )
            self._known = photo_id(image)
            self._image = None
        return self._known

    def __repr__(self) -> str:
        return f"PhotoId({self._known[:8] + '…' if self._known else 'not computed'})"


def source_name(source: ImageSource) -> str:
    """The file a picture comes from, as it was named; empty where there is none."""
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    name = getattr(source, "name", None) or getattr(source, "filename", None)
    return name if isinstance(name, str) else ""


def find_photos(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """Files as they come; of every folder its photos, those of its subfolders included, in order of
    their names. What begins with a dot is left out of a folder.

    Raises ``ImageUnreadable`` for a folder without any photo. Files are not looked at.
    """
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        inside = (
            file
            for file in path.rglob("*")
            if file.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
        found = sorted(file for file in inside if file.is_file())
        if not found:
            raise ImageUnreadable(
                f"{path.name} holds no photos; known: {', '.join(sorted(SUFFIXES))}"
            )
        yield from found


def _read(source: Any, limits: ImageLimits) -> tuple[bytes, str]:
    name = "the image"
    if isinstance(source, (bytes, bytearray, memoryview)):
        size = source.nbytes if isinstance(source, memoryview) else len(source)
        if size > limits.max_bytes:
            raise _too_many_bytes(name, size, limits)
        return bytes(source), name
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.fsdecode(source))
        name = _printable(path.name) or "the image"
        try:
            size = path.stat().st_size
            if not path.is_file():
                what = "a folder; name the photos in it" if path.is_dir() else "not a file"
                raise ImageUnreadable(f"{name} is {what}")
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
            "an image is bytes, a path, an open file, an array or a PIL image, not "
            f"{type(source).__name__}"
        )
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(name, len(data), limits)
    return data, name


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


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


def decoding_bytes(data: bytes) -> int:
    """What ``load_image`` would take at its peak, from the head alone; 0 for what it would refuse.

    At least three bytes a pixel, which are those of the answer.
    """
    from PIL import Image as Pil

    try:
        with _quiet_pillow(), Pil.open(io.BytesIO(data), formats=FORMATS) as picture:
            return _decoding_bytes(picture, data)
    except Exception:  # load_image says what is wrong
        return 0


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
            _check_memory(name, picture, data, limits)
            if _still_webp(data):
                return _upright(_webp_to_rgb(data), _orientation(picture))
            room = _load(picture)
            _check_size(name, picture.height, picture.width, limits)
            rgb = _to_rgb(picture, room)
            return _upright(rgb, _orientation(picture), room)
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


def _check_memory(name: str, picture: PilImage, data: bytes, limits: ImageLimits) -> None:
    pixels = picture.width * picture.height
    needed, allowed = _decoding_bytes(picture, data), BYTES_PER_PIXEL * limits.max_pixels
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


def _decoding_bytes(picture: PilImage, data: bytes) -> int:
    """Bytes at the peak: of the answer, of Pillow's form of it, and of the decoder's own."""
    pixels = picture.width * picture.height
    own = _bytes_per_pixel(picture.mode)
    per_pixel: float = max(3, own) if own > 1 else 3 + own  # where _load maps, and where not
    if "exif" in picture.info and _orientation(picture) > 4:
        per_pixel = max(per_pixel, 3 + mmap.PAGESIZE / picture.height)  # begun in every row
    if picture.format in ("JPEG", "MPO"):
        if picture.info.get("progressive") or _jpeg_scans(data) > 1:
            parts = [h * v for _, h, v, _ in picture.layer]  # type: ignore[attr-defined]
            per_pixel += 2 * sum(parts) / max(parts)  # all coefficients, 16 bits each
    elif picture.format == "WEBP":
        per_pixel = _webp_bytes_per_pixel(picture, data)
    elif picture.format == "BMP" and picture.info.get("compression") in (1, 2):
        per_pixel += 2  # Pillow unpacks run lengths into bytes of its own
    elif picture.format == "TIFF":
        tags: Any = picture.tag_v2  # type: ignore[attr-defined]
        if tags.get(EXIF_ORIENTATION, 1) != 1:
            per_pixel = 2 * own + 3  # Pillow turns it itself; what it turned may go later
        if picture.info.get("compression", "raw") != "raw":
            rows = min(int(tags.get(TIFF_ROWS_PER_STRIP, picture.height)), picture.height)
            bits = sum(tags.get(TIFF_BITS_PER_SAMPLE, (1,)))
            per_pixel += max(0, rows * picture.width * bits / 8 - SMALL) / pixels
    return int(pixels * per_pixel)


def _bytes_per_pixel(mode: str) -> int:
    """Of Pillow's memory."""
    if mode in ("1", "L", "P"):
        return 1
    return 2 if mode.startswith("I;16") else 4


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
    pixels, own = picture.width * picture.height, _bytes_per_pixel(picture.mode)
    size = max(3, own) * pixels
    room = _Room(size + 8)  # Pillow's rows are multiples of four bytes
    if picture.format == "GIF":
        picture.dispose = None  # type: ignore[attr-defined]  # for a second frame
    if own > 1 and not (picture.format == "TIFF" and _orientation(picture) != 1):
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


def _webp_chunks(data: bytes) -> set[bytes]:
    """Names of a WebP's chunks up to its first picture; empty for other formats."""
    found: set[bytes] = set()
    at = 12
    for _ in range(MAX_WEBP_CHUNKS if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else 0):
        name = data[at : at + 4]
        found.add(name)
        if name in (b"VP8 ", b"VP8L", b"ANIM", b"ANMF"):
            break
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return found


def _still_webp(data: bytes) -> bool:
    return not _webp_chunks(data).isdisjoint({b"VP8 ", b"VP8L"})


def _webp_bytes_per_pixel(picture: PilImage, data: bytes) -> int:
    if not _still_webp(data):
        return 16  # two canvases, the decoder's, a copy
    chunks, answer = _webp_chunks(data), 4 if picture.mode == "RGBA" else 3
    decoder = 4 if b"VP8L" in chunks else 5 if b"ALPH" in chunks else 0
    # Pillow's two canvases, unused: from 32 MiB on they are pages that nobody touches
    canvases = 8 if 4 * picture.width * picture.height < 2**25 else 0
    return canvases + answer + max(answer, decoder)  # OpenCV's answer is copied into NumPy's


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


def _orientation(picture: PilImage) -> int:
    """1 to 8 as in Exif 2.3; 1 is upright."""
    try:
        found = picture.getexif().get(EXIF_ORIENTATION)
    except Exception:  # a damaged EXIF block spoils no pixel
        return 1
    return next((turn for turn in range(1, 9) if found == turn), 1)


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


def _is_pil(source: object) -> TypeGuard[PilImage]:
    pil = sys.modules.get("PIL.Image")  # not imported: then nobody has one
    kind = getattr(pil, "Image", None)  # another thread may be half-way through importing it
    return kind is not None and isinstance(source, kind)


def _from_pil(picture: PilImage, limits: ImageLimits) -> Image:
    """As ``_decode`` for a picture that Pillow opened; it stays as it was."""
    name = _printable(Path(getattr(picture, "filename", "") or "the image").name)
    _check_size(name, picture.height, picture.width, limits)
    if picture.mode in ("I", "F"):
        raise ImageUnreadable("pictures of 32 bits a channel are not read; save it with 8")
    try:
        with _quiet_pillow():
            picture.load()
            rgb = _to_rgb(picture, _Room(3 * picture.width * picture.height))
            return _upright(rgb, _orientation(picture))
    except Exception as error:
        raise ImageUnreadable(
            f"{name} is damaged, closed or cut short ({type(error).__name__} while decoding)"
        ) from error


def _from_array(array: npt.NDArray[Any], color: ColorOrder, limits: ImageLimits) -> Image:
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
    if color == "bgr":
        array = array[..., ::-1]
    return np.ascontiguousarray(array)
