"""Contact sheets of dropped photos: pictures of people, readable by their owner only."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image as Pil
from PIL import ImageDraw

from arcid.evaluate.metrics import IndexArray
from arcid.files import replacing
from arcid.train.clean.rule import Verdict
from arcid.train.data.crops import Unusable
from arcid.train.data.dataset import SampleSet

CELL_PX = 96
CAPTION_PX = 14
COLUMNS = 10
ROWS = 12
_INK, _PAPER, _FRAME = (32, 32, 32), (255, 255, 255), (11, 110, 153)


def write_sheets(
    folder: Path,
    samples: SampleSet,
    rows: IndexArray,
    verdict: Verdict,
    classes: Sequence[str],
    *,
    limit: int = 600,
) -> list[Path]:
    """Draw dropped photos, the ``limit`` farthest, identity by identity; returns the files.

    A line starts with the photo nearest to the dominant sub-centre, framed, and the identity's
    name; the dropped ones follow with their angle in degrees. Sheets of an earlier run go.
    """
    _clear(folder)
    gone = np.flatnonzero(~verdict.keep)
    worst = gone[np.argsort(-verdict.angle_deg[gone], kind="stable")][:limit]
    labels = samples.labels[rows]
    worst = worst[np.lexsort((-verdict.angle_deg[worst], labels[worst]))]
    lines: list[list[tuple[int, str]]] = []
    for label, members in groupby(worst.tolist(), key=lambda i: int(labels[i])):
        own = np.flatnonzero(labels == label)
        typical = int(own[np.argmin(verdict.angle_deg[own])])
        cells = [(i, f"{verdict.angle_deg[i]:.0f}°") for i in members]
        name = classes[label].rpartition("/")[2]
        for start in range(0, len(cells), COLUMNS - 1):
            lines.append([(typical, name), *cells[start : start + COLUMNS - 1]])
    if not lines:
        return []
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    files = []
    for number, start in enumerate(range(0, len(lines), ROWS), 1):
        path = folder / f"dropped-{number:03d}.jpg"
        _save(path, _sheet(lines[start : start + ROWS], samples, rows))
        files.append(path)
    return files


def _sheet(
    lines: Sequence[Sequence[tuple[int, str]]], samples: SampleSet, rows: IndexArray
) -> Pil.Image:
    height = CELL_PX + CAPTION_PX
    sheet = Pil.new("RGB", (COLUMNS * CELL_PX, len(lines) * height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for y, line in enumerate(lines):
        for x, (photo, text) in enumerate(line):
            at = (x * CELL_PX, y * height)
            with contextlib.suppress(Unusable):
                pixels = samples.store.read(int(samples.rows[rows[photo]]))
                sheet.paste(Pil.fromarray(pixels).resize((CELL_PX - 4, CELL_PX - 4)),
                            (at[0] + 2, at[1] + 2))  # fmt: skip
            if x == 0:
                end = (at[0] + CELL_PX - 2, at[1] + CELL_PX - 2)
                pen.rectangle((*at, *end), outline=_FRAME, width=2)
            pen.text((at[0] + 3, at[1] + CELL_PX), text[:15], fill=_INK)
    return sheet


def _save(path: Path, sheet: Pil.Image) -> None:
    with replacing(path, private=True) as file:
        sheet.save(file, "JPEG", quality=88)


def _clear(folder: Path) -> None:
    for old in folder.glob("dropped-*.jpg") if folder.is_dir() else ():
        old.unlink()


__all__ = ["write_sheets"]
