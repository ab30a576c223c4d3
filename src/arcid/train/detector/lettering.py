"""Writing to take for no face: signs and captions drawn beside the faces of a canvas.

Round letters on a plate are what a small detector calls a face when its pictures without faces
hold no text. Letters come from the font Pillow carries, so no font of the machine has a say.
"""

from __future__ import annotations

import functools
import math
import string

import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from arcid.geometry import box_iou
from arcid.types import FloatArray, Image

CHARACTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "OQGCSB0368@&%§"
LEAST_PX, LARGEST = 12.0, 0.5  # height of a letter: pixels, share of the canvas
MOST_LINES, MOST_LETTERS, TRIES = 3, 8, 4
SLANT_DEG = 25.0


def letter(canvas: Image, faces: FloatArray, rng: np.random.Generator) -> None:
    """Write one to three lines on a canvas, in place, none of them over the (N,4) ``faces``."""
    for _ in range(int(rng.integers(1, MOST_LINES + 1))):
        sign, alpha = _sign(canvas.shape[0], rng)
        height, width = alpha.shape
        room = np.array([canvas.shape[1] - width, canvas.shape[0] - height])
        if (room < 0).any():
            continue
        for _ in range(TRIES):
            x, y = (int(rng.integers(0, reach + 1)) for reach in room)
            place = np.array([[x, y, x + width, y + height]], np.float32)
            if box_iou(place, faces).any():
                continue
            spot = canvas[y : y + height, x : x + width]
            share = alpha[..., None].astype(np.uint16)
            spot[:] = ((sign * share + spot * (255 - share) + 127) // 255).astype(np.uint8)
            break


def _sign(size: int, rng: np.random.Generator) -> tuple[Image, Image]:
    """(h,w,3) colours and (h,w) opacity of one line of letters, on a plate or without."""
    tall = math.exp(rng.uniform(math.log(LEAST_PX), math.log(LARGEST * size)))
    count = int(rng.integers(1, MOST_LETTERS + 1))
    text = "".join(rng.choice(list(CHARACTERS), count))
    bold = int(rng.uniform(0, 0.12) * tall)
    ink, plate, rim = (tuple(int(v) for v in rng.integers(0, 256, 3)) for _ in range(3))
    font = _font(max(8, round(tall)))
    left, top, right, bottom = (int(v) for v in font.getbbox(text, stroke_width=bold))
    edge = int(rng.uniform(0.05, 0.5) * tall)
    shape = (right - left + 2 * edge, bottom - top + 2 * edge)
    image = Pictures.new("RGBA", shape, (*plate, 255 if rng.random() < 0.5 else 0))
    ImageDraw.Draw(image).text(
        (edge - left, edge - top),
        text,
        fill=(*ink, 255),
        font=font,
        stroke_width=bold,
        stroke_fill=(*(rim if rng.random() < 0.3 else ink), 255),
    )
    if rng.random() < 0.5:
        image = image.resize((max(2, int(shape[0] * rng.uniform(0.5, 1.4))), shape[1]))
    if rng.random() < 0.5:
        turn = rng.uniform(-SLANT_DEG, SLANT_DEG)
        image = image.rotate(turn, Pictures.Resampling.BILINEAR, expand=True)
    pixels = np.asarray(image)
    return pixels[..., :3], pixels[..., 3]


@functools.lru_cache(256)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


__all__ = ["letter"]
