"""What the head of a picture tells before any pixel is decoded: how it lies, and what it takes."""

from __future__ import annotations

import contextlib
import io
import mmap
import re
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")  # MPO opens as JPEG
MAX_JPEG_SCANS = 100  # progressive encoders write about ten
MAX_WEBP_CHUNKS = 64  # before the picture; encoders write at most four
SMALL = 2**20  # bytes that are not counted
EXIF_ORIENTATION, TIFF_BITS_PER_SAMPLE, TIFF_ROWS_PER_STRIP = 0x0112, 0x0102, 0x0116
_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")


def decoding_bytes(data: bytes) -> int:
    """What ``load_image`` would take at its peak, from the head alone; 0 for what it would refuse.

    At least three bytes a pixel, which are those of the answer.
    """
    from PIL import Image as Pil

    try:
        with strict_pillow(), Pil.open(io.BytesIO(data), formats=FORMATS) as picture:
            return memory_needed(picture, data)
    except Exception:  # load_image says what is wrong
        return 0


@contextlib.contextmanager
def strict_pillow() -> Iterator[None]:
    """Ignore Pillow's warnings while any thread decodes, and a caller's wish to have what is cut
    short filled up (``ImageFile.LOAD_TRUNCATED_IMAGES``).

    Both are the whole process's: two threads that overlap would restore each other's. So the first
    one in changes them and the last one out puts them back.
    """
    from PIL import ImageFile

    global _decoding, _saved_filters, _saved_lenient
    with _decoding_lock:
        if _decoding == 0:
            _saved_filters = warnings.catch_warnings()
            _saved_filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
            _saved_lenient = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = False
        _decoding += 1
    try:
        yield
    finally:
        with _decoding_lock:
            _decoding -= 1
            if _decoding == 0 and _saved_filters is not None:
                _saved_filters.__exit__(None, None, None)
                _saved_filters = None
                ImageFile.LOAD_TRUNCATED_IMAGES = _saved_lenient


_decoding = 0
_decoding_lock = threading.Lock()
_saved_filters: warnings.catch_warnings[None] | None = None
_saved_lenient = False


def orientation_of(picture: PilImage) -> int:
    """1 to 8 as in Exif 2.3; 1 is upright."""
    try:
        found = picture.getexif().get(EXIF_ORIENTATION)
    except Exception:  # a damaged EXIF block spoils no pixel
        return 1
    return next((turn for turn in range(1, 9) if found == turn), 1)


def jpeg_scans(data: bytes) -> int:
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


def still_webp(data: bytes) -> bool:
    return not _webp_chunks(data).isdisjoint({b"VP8 ", b"VP8L"})


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


def memory_needed(picture: PilImage, data: bytes) -> int:
    """Bytes at the peak: of the answer, of Pillow's form of it, and of the decoder's own."""
    pixels = picture.width * picture.height
    own = bytes_per_pixel(picture.mode)
    per_pixel: float = max(3, own) if own > 1 else 3 + own  # where _load maps, and where not
    if "exif" in picture.info and orientation_of(picture) > 4:
        per_pixel = max(per_pixel, 3 + mmap.PAGESIZE / picture.height)  # begun in every row
    if picture.format in ("JPEG", "MPO"):
        if picture.info.get("progressive") or jpeg_scans(data) > 1:
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


def bytes_per_pixel(mode: str) -> int:
    """Of Pillow's memory."""
    if mode in ("1", "L", "P"):
        return 1
    return 2 if mode.startswith("I;16") else 4


def _webp_bytes_per_pixel(picture: PilImage, data: bytes) -> int:
    if not still_webp(data):
        return 16  # two canvases, the decoder's, a copy
    chunks, answer = _webp_chunks(data), 4 if picture.mode == "RGBA" else 3
    decoder = 4 if b"VP8L" in chunks else 5 if b"ALPH" in chunks else 0
    # Pillow's two canvases, unused: from 32 MiB on they are pages that nobody touches
    canvases = 8 if 4 * picture.width * picture.height < 2**25 else 0
    return canvases + answer + max(answer, decoder)  # OpenCV's answer is copied into NumPy's
