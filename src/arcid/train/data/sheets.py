"""Contact sheets: pictures of people in rows, readable by their owner only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Pil
from PIL import ImageDraw

from arcid.files import replacing
from arcid.types import Image

CELL_PX = 96
CAPTION_PX = 14
COLUMNS = 10
ROWS = 12
_INK, _PAPER, _FRAME = (32, 32, 32), (255, 255, 255), (11, 110, 153)


@dataclass(frozen=True, slots=True, repr=False)
class Cell:
    """One picture: ``read`` gives (H,W,3) uint8 RGB, or None where it cannot be read."""

    read: Callable[[], Image | None]
    caption: str


def contact_sheets(folder: Path, name: str, lines: Sequence[Sequence[Cell]]) -> list[Path]:
    """Draw lines of up to ``COLUMNS`` cells, the first of each framed, on files ``name-001.jpg`` ….

    Sheets of that name of an earlier run go. Returns the files.
    """
    for old in folder.glob(f"{name}-*.jpg") if folder.is_dir() else ():
        old.unlink()
    if not lines:
        return []
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    files = []
    for number, start in enumerate(range(0, len(lines), ROWS), 1):
        path = folder / f"{name}-{number:03d}.jpg"
        with replacing(path, private=True) as file:
            _sheet(lines[start : start + ROWS]).save(file, "JPEG", quality=88)
        files.append(path)
    return files


def _sheet(lines: Sequence[Sequence[Cell]]) -> Pil.Image:
    height = CELL_PX + CAPTION_PX
    sheet = Pil.new("RGB", (COLUMNS * CELL_PX, len(lines) * height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for y, line in enumerate(lines):
        for x, cell in enumerate(line):
            at = (x * CELL_PX, y * height)
            pixels = cell.read()
            if pixels is not None:
                small = Pil.fromarray(pixels).resize((CELL_PX - 4, CELL_PX - 4))
                sheet.paste(small, (at[0] + 2, at[1] + 2))
            if x == 0:
                end = (at[0] + CELL_PX - 2, at[1] + CELL_PX - 2)
                pen.rectangle((*at, *end), outline=_FRAME, width=2)
            pen.text((at[0] + 3, at[1] + CELL_PX), cell.caption[:15], fill=_INK)
    return sheet


__all__ = ["COLUMNS", "Cell", "contact_sheets"]
