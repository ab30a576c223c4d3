"""Documents as phones photograph them, drawn around photographs of people who have none."""

from __future__ import annotations

import cv2
import numpy as np

from arcid.apps.demo.documents import photographed
from arcid.types import Image

CARD = (540, 856)  # height, width: ID-1 at ten pixels a millimetre


def card(portrait: Image, *, ghost: Image | None = None) -> Image:
    """(540,856,3) a card with a portrait on the left, lines of text and, perhaps, a ghost."""
    height, width = CARD
    page = np.full((height, width, 3), (214, 224, 232), np.uint8)
    _paste(page, portrait, 40, 110, 330)
    for row, text in enumerate(("UTOPIA  IDENTITY CARD", "NAME", "NUMBER", "VALID UNTIL")):
        spot = (400, 80 + 90 * row)
        cv2.putText(page, text, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (40, 40, 60), 2)
    if ghost is not None:
        faint = (0.6 * ghost + 0.4 * 225).astype(np.uint8)
        _paste(page, faint, 670, 330, 150)
    return page


def reflected(page: Image, centre: tuple[int, int], radius: int) -> Image:
    """With the flash mirrored in it."""
    shiny = page.copy()
    cv2.circle(shiny, centre, radius, (255, 255, 255), -1)
    return np.asarray(shiny, np.uint8)


def _paste(page: Image, picture: Image, left: int, top: int, height: int) -> None:
    width = round(picture.shape[1] * height / picture.shape[0])
    width = min(width, page.shape[1] - left)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    page[top : top + height, left : left + width] = small[: page.shape[0] - top]


__all__ = ["card", "photographed", "reflected"]
