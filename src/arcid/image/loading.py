"""Bytes, path, open file, array or PIL image → RGB."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, TypeGuard, get_args

import numpy as np
import numpy.typing as npt

from arcid.errors import ArcidError, ImageUnreadable, InvalidArray, UsageError
from arcid.image.decode import decode, from_pil
from arcid.image.limits import DEFAULT_LIMITS, ImageLimits, check_size, too_many_bytes
from arcid.types import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Encoded = bytes | bytearray | memoryview
ImageSource: TypeAlias = "Encoded | str | os.PathLike[str] | BinaryIO | npt.NDArray[Any] | PilImage"
ColorOrder = Literal["rgb", "bgr"]  # of the channels of an array
TOGETHER_BYTES = 8 * 256 * 256 * 3  # of pixels in memory for one look at several pictures


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
        name = Path(getattr(source, "filename", "") or "the image").name
        return from_pil(source, _printable(name), limits)
    data, name = _read(source, limits)
    if not data:
        raise ImageUnreadable(f"{name} is empty (0 bytes)")
    return decode(data, name, limits)


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


def check_many(sources: object) -> None:
    """Raise ``UsageError`` for a single picture where many are taken: a path would be read as its
    letters, bytes as numbers, an array as its rows, a file as its lines."""
    if (
        isinstance(sources, (str, os.PathLike, bytes, bytearray, memoryview))
        or hasattr(sources, "readline")
        or _is_pil(sources)
        or (
            isinstance(sources, np.ndarray) and sources.dtype.kind not in "OUS" and sources.ndim < 4
        )
    ):
        raise UsageError("many pictures are taken here; put the single one into a list")


def source_name(source: ImageSource) -> str:
    """The file a picture comes from, as it was named; empty where there is none."""
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    name = getattr(source, "name", None) or getattr(source, "filename", None)
    return name if isinstance(name, str) else ""


def _read(source: Any, limits: ImageLimits) -> tuple[bytes, str]:
    name = "the image"
    if isinstance(source, (bytes, bytearray, memoryview)):
        size = source.nbytes if isinstance(source, memoryview) else len(source)
        if size > limits.max_bytes:
            raise too_many_bytes(name, size, limits)
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
                raise too_many_bytes(name, size, limits)
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
        raise too_many_bytes(name, len(data), limits)
    return data, name


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _cannot_open(name: str, error: OSError | ValueError) -> ImageUnreadable:
    reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    if isinstance(error, ValueError):
        reason = str(error)
    return ImageUnreadable(f"{name} cannot be opened: {reason}")


def _is_pil(source: object) -> TypeGuard[PilImage]:
    pil = sys.modules.get("PIL.Image")  # not imported: then nobody has one
    kind = getattr(pil, "Image", None)  # another thread may be half-way through importing it
    return kind is not None and isinstance(source, kind)


def _from_array(array: npt.NDArray[Any], color: ColorOrder, limits: ImageLimits) -> Image:
    if array.dtype != np.uint8:
        raise InvalidArray(f"an image array must be uint8 0–255, got {array.dtype}")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise InvalidArray(f"an image array must be (H,W), (H,W,1|3|4), got {array.shape}")
    check_size("the image", array.shape[0], array.shape[1], limits)
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    array = array[..., :3]
    if color == "bgr":
        array = array[..., ::-1]
    return np.ascontiguousarray(array)
