"""Specimens of documents that nobody would take for real ones, with a machine-readable zone.

``OCRB.otf``: OCR-B by Norbert Schwarz and Matthew Skala, free to use, change and pass on.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from PIL import Image as Pil
from PIL import ImageDraw, ImageFont

from arcid.apps.onboarding.mrz import check_digit
from arcid.types import Image

FONT = Path(__file__).parent / "OCRB.otf"
Form = Literal["TD1", "TD2", "TD3"]
FORMS: tuple[Form, ...] = get_args(Form)
SIZE_MM = {"TD1": (85.6, 54.0), "TD2": (105.0, 74.0), "TD3": (125.0, 88.0)}  # width, height
ZONE_MM, PITCH_MM, LINE_MM = 19.5, 2.54, 6.2  # from the bottom, a character, a line (Doc 9303-3)
PAPER, INK = (214, 224, 232), (20, 20, 24)


def zone_of(
    form: Form, name: str, number: str, born: date, expires: date, *, personal: str = ""
) -> str:
    """The zone of somebody of Utopia. ``name``: A–Z and blanks, the surname last."""
    given, _, surname = name.upper().rpartition(" ")
    names = f"{surname}<<{given.replace(' ', '<')}"
    number = number.ljust(9, "<")
    number += check_digit(number)
    birth, end = (f"{day:%y%m%d}" + check_digit(f"{day:%y%m%d}") for day in (born, expires))
    if form == "TD1":
        first = f"I<UTO{number}{personal}".ljust(30, "<")
        second = f"{birth}<{end}UTO".ljust(29, "<")
        second += check_digit(first[5:] + second[:7] + second[8:15] + second[18:])
        return f"{first}\n{second}\n{_fitted(names, 30)}"
    width = 44 if form == "TD3" else 36
    data = f"{number}UTO{birth}<{end}"
    if form == "TD3":
        personal = personal.ljust(14, "<")
        data += personal + (check_digit(personal) if personal.strip("<") else "<")
    data = data.ljust(width - 1, "<")
    data += check_digit(data[:10] + data[13:20] + data[21:])
    return f"{_fitted(('P' if form == 'TD3' else 'I') + '<UTO' + names, width)}\n{data}"


def specimen(form: Form, portrait: Image | None, zone: str, *, px_mm: float = 10.0) -> Image:
    """(H,W,3) uint8 RGB: a page with the portrait, words that say what it is, and the zone. Of a
    card with three lines, None draws the back, where they stand."""
    width, height = (round(side * px_mm) for side in SIZE_MM[form])
    page = np.full((height, width, 3), PAPER, np.uint8)
    if portrait is not None:
        tall = round(height * 0.5)
        wide = min(round(portrait.shape[1] * tall / portrait.shape[0]), width // 3)
        top, left = round(height * 0.12), round(width * 0.05)
        small = cv2.resize(portrait, (wide, tall), interpolation=cv2.INTER_AREA)
        page[top : top + tall, left : left + wide] = small
    sheet = Pil.fromarray(page)
    draw = ImageDraw.Draw(sheet)
    words = ImageFont.truetype(FONT, round(4 * px_mm))
    for row, text in enumerate(("UTOPIA", "SPECIMEN", "NOT A DOCUMENT")):
        draw.text((width * 0.45, height * (0.12 + 0.13 * row)), text, fill=INK, font=words)
    if portrait is None or form != "TD1":
        pitch = PITCH_MM * px_mm
        em = ImageFont.truetype(FONT, 100).getlength("M") / 100
        letter = ImageFont.truetype(FONT, pitch / em)
        margin = (width - pitch * zone.index("\n")) / 2
        for row, line in enumerate(zone.split("\n")):
            for place, sign in enumerate(line):
                at = (margin + place * pitch, height - (ZONE_MM - row * LINE_MM) * px_mm)
                draw.text(at, sign, fill=INK, font=letter)
    return np.asarray(sheet, np.uint8)


def photographed(
    page: Image, *, turns: int = 0, slant: float = 0.0, table: tuple[int, int, int] = (70, 62, 58)
) -> Image:
    """The page on a table, seen a little from the side, and turned by quarters."""
    height, width = page.shape[:2]
    rim = round(width / 8)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    to = corners + rim
    to[1] += (-slant * width, slant * height)
    to[2] += (-slant * width / 3, -slant * height)
    matrix = cv2.getPerspectiveTransform(corners, to.astype(np.float32))
    size = (width + 2 * rim, height + 2 * rim)
    seen = cv2.warpPerspective(page, matrix, size, borderValue=table)
    return np.ascontiguousarray(np.rot90(seen, turns), np.uint8)


def _fitted(text: str, width: int) -> str:
    return text[:width].ljust(width, "<")
