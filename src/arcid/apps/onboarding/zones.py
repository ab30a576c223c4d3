"""The machine-readable zone in a picture, read by RapidOCR where ``arcid[mrz]`` is installed.

    zones = load()                            None without the extra
    zone = zones.read(page, below=420)        None where none was read with right check digits

No digit guards a name: one that was read wrong is only noticed where it differs from the one given.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from arcid import extras
from arcid.apps.onboarding import mrz
from arcid.apps.onboarding.documents import Portrait
from arcid.errors import MrzInvalid
from arcid.types import FloatArray, Image

DETECT_PX = 960  # longest side at which lines are looked for
LEAST_ASPECT = 1 / 4  # height of the strip that is looked at, over its width
SHAPES = {30: 3, 36: 2, 44: 2}  # characters a line → lines
#: What a reader of every language takes OCR-B for.
_LOOKALIKES = str.maketrans(
    {"く": "<", "〈": "<", "‹": "<", "《": "<<", "«": "<<", "∪": "U"}
    | dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕКМНОРСТУХ", "ABEZHIKMNOPTYXABEKMHOPCTYX", strict=True))
)
_DIGITS = str.maketrans("OQDILZSBG", "000112586")
_LETTERS = str.maketrans("01245678", "OIZASGTB")
#: Where a line holds letters (a), digits (0) or either (.); Doc 9303 parts 4 to 7.
_NAMES = "a" * 44
_PLACES = {
    30: ("aaaaa.........0...............", "0000000a0000000aaa...........0", _NAMES),
    36: (_NAMES, ".........0aaa0000000a0000000.......0"),
    44: (_NAMES, ".........0aaa0000000a0000000..............00"),
}


class Zones:
    """Thread-safe; one picture at a time. The first one opens the models, which takes a second."""

    def __init__(self) -> None:
        self._engine: Any = None
        self._lock = threading.Lock()

    def read(self, image: Image, *, below: float = 0) -> mrz.Zone | None:
        """(H,W,3) uint8 RGB upright in; what stands under the row ``below`` is looked at."""
        height, width = image.shape[:2]
        top = max(0, min(int(below), height - int(width * LEAST_ASPECT)))
        with self._lock:
            self._engine = self._engine or _engine()
            found = self._engine(np.ascontiguousarray(image[top:, :, ::-1]), use_cls=False)
        if found.boxes is None:
            return None
        return parsed(rows(np.asarray(found.boxes, np.float32), found.txts))

    def document(self, found: Portrait) -> mrz.Zone | None:
        """The zone under a document's portrait."""
        return self.read(found.page, below=0 if found.face.box is None else found.face.box[3])

    def turned(self, image: Image) -> mrz.Zone | None:
        """As ``read``, of a picture that may lie on its side or its head."""
        turns = (np.ascontiguousarray(np.rot90(image, turn)) for turn in range(4))
        return next((zone for zone in map(self.read, turns) if zone is not None), None)


@cache
def load() -> Zones | None:
    """The reader of this process."""
    return Zones() if extras.installed("mrz") else None


def _engine() -> Any:
    """Its models are in the package, nothing is downloaded."""
    from rapidocr import RapidOCR

    sizes = {"Det.limit_type": "max", "Det.limit_side_len": DETECT_PX}
    return RapidOCR(params={"Global.log_level": "critical", **sizes})


def agreed(typed: mrz.Zone | None, seen: mrz.Zone | None) -> mrz.Zone | None:
    """What was typed, if it was, and whether the picture says so too."""
    if typed is None or seen is None:
        return typed or (None if seen is None else replace(seen, source="picture"))
    guarded = ("number", "birth_date", "expires")
    same = all(getattr(typed, name) == getattr(seen, name) for name in guarded)
    return replace(typed, source="both" if same else "contradicted")


def rows(boxes: FloatArray, texts: Sequence[str]) -> list[str]:
    """(N,4,2) corners of the texts in; the lines from the top, pieces of one line joined."""
    low, high = boxes[..., 1].min(axis=1), boxes[..., 1].max(axis=1)
    found: list[list[int]] = []
    for i in np.argsort((low + high) / 2):
        if found and (low[i] + high[i]) / 2 < high[found[-1][0]]:
            found[-1].append(int(i))
        else:
            found.append([int(i)])
    left = boxes[..., 0].min(axis=1)
    return ["".join(texts[i] for i in sorted(row, key=left.__getitem__)) for row in found]


def parsed(lines: Sequence[str]) -> mrz.Zone | None:
    """The first lines one under another that are a zone."""
    plain = [_plain(line) for line in lines]
    for first in range(len(plain)):
        for width, count in SHAPES.items():
            block = plain[first : first + count]
            if len(block) < count or not all(len(line) == width for line in block):
                continue
            placed = (_placed(*pair) for pair in zip(block, _PLACES[width], strict=True))
            try:
                return mrz.read("\n".join(placed))
            except MrzInvalid:
                continue
    return None


def _plain(text: str) -> str:
    """A line as the zone's characters, with what no rule turns into one left as it is."""
    wide = unicodedata.normalize("NFKC", text).upper()
    return re.sub(r"\s", "", wide).translate(_LOOKALIKES)


def _placed(line: str, places: str) -> str:
    """0 and O, 1 and I, … as the place says that stands there."""
    table = {"a": _LETTERS, "0": _DIGITS, ".": {}}
    line = "".join(c.translate(table[place]) for c, place in zip(line, places, strict=False))
    if set(places) != {"a"}:
        return line
    return re.sub("<<<.*", lambda rest: "<" * len(rest[0]), line)  # names end there


__all__ = ["Zones", "agreed", "load"]
