"""Sample pictures: insightface ships some, arcid none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arcid.image import load_image


def get_image(name: str, to_rgb: bool = False, use_cache: bool = True) -> Any:
    """(H,W,3) uint8 BGR (``to_rgb``: RGB) of ``name``.jpg or ``name``.png in the working folder."""
    for suffix in (".jpg", ".png", ".jpeg", ""):
        if (path := Path(name + suffix)).is_file():
            rgb = load_image(path)
            return rgb if to_rgb else rgb[..., ::-1].copy()
    raise AssertionError(f"{name} not found")


__all__ = ["get_image"]
