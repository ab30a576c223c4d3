"""Synthetic face masks on aligned crops: any set becomes a masked one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from arcid.geometry import template_points
from arcid.types import Image

# Corners on the 112×112 canvas, relative to the template: bridge or tip of the nose, cheeks, jaw.
_OUTLINES = {
    "high": ((19, 62), (40, 58), (56, 55), (72, 58), (93, 62), (90, 92), (76, 110), (56, 114),
             (36, 110), (22, 92)),
    "medium": ((20, 68), (40, 64), (56, 62), (72, 64), (92, 68), (90, 93), (76, 110), (56, 114),
               (36, 110), (22, 93)),
    "low": ((23, 82), (40, 79), (56, 78), (72, 79), (89, 82), (87, 95), (75, 110), (56, 114),
            (37, 110), (25, 95)),
}  # fmt: skip
_COLOURS = ((168, 205, 226), (240, 241, 243), (38, 40, 46), (150, 196, 160))  # RGB


@dataclass(frozen=True, slots=True)
class SyntheticMask:
    """(S,S,3) uint8 RGB aligned crop in, the same with a mask drawn on the lower face out.

    Follows the template, so the crop must be aligned. ``coverage``: high reaches the bridge of the
    nose, medium its middle, low leaves the nose free. The colour is one of four, by the crop's own
    pixels, unless given: the same crop always gets the same mask.
    """

    coverage: Literal["high", "medium", "low"] = "medium"
    colour: tuple[int, int, int] | None = None

    def __call__(self, crop: Image) -> Image:
        import cv2

        size = crop.shape[0]
        digest = hashlib.sha256(np.ascontiguousarray(crop).data).digest()
        colour = self.colour or _COLOURS[digest[0] % len(_COLOURS)]
        scale = size / 112
        outline = np.array(_OUTLINES[self.coverage], np.float64) * scale
        cover = np.zeros((size, size), np.uint8)
        # four bits of sub-pixel position: the edge is smooth at any size
        cv2.fillPoly(cover, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        shade = self._shade(size)
        cloth = np.clip(np.array(colour, np.float64) * shade[..., None], 0, 255)
        share = cover[..., None] / 255.0
        return np.asarray(np.round(crop * (1 - share) + cloth * share), np.uint8)

    def _shade(self, size: int) -> np.ndarray:
        """Darker to the sides, three pleats about the mouth."""
        y, x = np.mgrid[0:size, 0:size] / size
        mouth = template_points(size)[3:, 1].mean() / size
        shade = 1.0 - 0.35 * np.abs(x - 0.5) ** 1.5 * 2
        for pleat in (-0.08, 0.0, 0.08):
            shade -= 0.12 * np.exp(-(((y - mouth - pleat) / 0.008) ** 2))
        return np.asarray(shade)

    @property
    def variant(self) -> str:
        """Names the transformation, for the embedding cache."""
        return f"mask:{self.coverage}:{self.colour or 'auto'}"
