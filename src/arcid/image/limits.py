"""What is refused before a pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from arcid.errors import ImageTooLarge, ImageTooSmall

BYTES_PER_PIXEL = 4  # that decoding may take for every pixel of ``max_pixels``


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is refused before decoding."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 64_000_000  # and ``BYTES_PER_PIXEL`` times as many bytes while decoding
    max_side_px: int = 20_000
    min_side_px: int = 16


DEFAULT_LIMITS = ImageLimits()


def check_size(name: str, height: int, width: int, limits: ImageLimits) -> None:
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


def too_many_bytes(name: str, size: int, limits: ImageLimits) -> ImageTooLarge:
    return ImageTooLarge(
        f"{name} has {size / 2**20:.1f} MiB; at most {limits.max_bytes / 2**20:.0f} MiB are read",
        bytes=size,
        max_bytes=limits.max_bytes,
    )
