"""Contact sheets of dropped photos."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from arcid.evaluate.metrics import IndexArray
from arcid.train.clean.rule import Verdict
from arcid.train.data.crops import Unusable
from arcid.train.data.dataset import SampleSet
from arcid.train.data.sheets import COLUMNS, Cell, contact_sheets
from arcid.types import Image


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
    gone = np.flatnonzero(~verdict.keep)
    worst = gone[np.argsort(-verdict.angle_deg[gone], kind="stable")][:limit]
    labels = samples.labels[rows]
    worst = worst[np.lexsort((-verdict.angle_deg[worst], labels[worst]))]

    def cell(photo: int, caption: str) -> Cell:
        return Cell(partial(_read, samples, int(samples.rows[rows[photo]])), caption)

    lines: list[list[Cell]] = []
    for label, members in groupby(worst.tolist(), key=lambda i: int(labels[i])):
        own = np.flatnonzero(labels == label)
        typical = int(own[np.argmin(verdict.angle_deg[own])])
        first = cell(typical, classes[label].rpartition("/")[2])
        cells = [cell(i, f"{verdict.angle_deg[i]:.0f}°") for i in members]
        for start in range(0, len(cells), COLUMNS - 1):
            lines.append([first, *cells[start : start + COLUMNS - 1]])
    return contact_sheets(folder, "dropped", lines)


def _read(samples: SampleSet, row: int) -> Image | None:
    try:
        return samples.store.read(row)
    except Unusable:
        return None


__all__ = ["write_sheets"]
