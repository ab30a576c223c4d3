"""The highest impostors, shown as pictures: label errors look like them.

A tail is fitted to the highest impostor scores, and that is where two photos of one person filed
under two names end up. So they are looked at first: a page with the pictures side by side and a CSV
to mark, which ``arcid calibrate --exclude`` reads. Both hold faces and are readable by their owner
only.
"""

from __future__ import annotations

import base64
import csv
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcid import files
from arcid.errors import DatasetInvalid
from arcid.types import Image

COLUMNS = ("photo_a", "photo_b", "cosine", "label_error")
NO = frozenset({"", "0", "no", "false", "n"})


@dataclass(frozen=True, slots=True)
class Suspect:
    """Two photos filed under two people."""

    photo_a: str
    photo_b: str
    cosine: float


def write_review(
    folder: Path,
    suspects: Sequence[Suspect],
    crop: Callable[[str], Image | None],
    *,
    title: str,
    genuine_median: float,
) -> tuple[Path, Path]:
    """Write ``review.html`` and ``pairs.csv`` into ``folder``; returns both paths.

    ``crop`` gives the aligned face of a photo by name, None where it cannot.
    """
    page, table = folder / "review.html", folder / "pairs.csv"
    rows = "\n".join(
        _row(i, s, crop(s.photo_a), crop(s.photo_b), genuine_median)
        for i, s in enumerate(suspects, start=1)
    )
    pairs = [(s.photo_a, s.photo_b, f"{s.cosine:.4f}", "") for s in suspects]
    files.write_csv(table, COLUMNS, pairs, private=True)
    files.write_text(page, _PAGE.format(title=html.escape(title), rows=rows), private=True)
    return page, table


def read_exclusions(path: Path) -> list[tuple[str, str]]:
    """Pairs marked as label errors in a ``pairs.csv``.

    Rows whose ``label_error`` is empty, 0 or no are left out; without that column all rows count.
    Raises ``DatasetInvalid`` that names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or ()
            missing = sorted({"photo_a", "photo_b"} - set(names))
            if missing:
                raise DatasetInvalid(
                    f"{path.name} line 1: no column {', '.join(missing)}; expected "
                    f"{', '.join(COLUMNS)}"
                )
            found = []
            for row in reader:
                if not row["photo_a"] or not row["photo_b"]:
                    raise DatasetInvalid(f"{path.name} line {reader.line_num}: a photo is missing")
                mark = (row.get("label_error") or "").strip().lower()
                if "label_error" not in names or mark not in NO:
                    photos = files.unguarded(row["photo_a"]), files.unguarded(row["photo_b"])
                    found.append(photos)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetInvalid(f"{path.name} cannot be read as CSV: {error}") from None
    return found


def rows_of(pairs: Sequence[tuple[str, str]], names: Sequence[str]) -> list[tuple[int, int]]:
    """Photo rows of named pairs; pairs of photos that are not there are left out."""
    row: Mapping[str, int] = {name: i for i, name in enumerate(names)}
    return [(row[a], row[b]) for a, b in pairs if a in row and b in row]


def _row(
    number: int, suspect: Suspect, a: Image | None, b: Image | None, genuine_median: float
) -> str:
    flag = " class=hot" if suspect.cosine >= genuine_median else ""
    note = "above half of all genuine pairs" if flag else ""
    cells = "".join(
        f"<figure>{_picture(image)}<figcaption>{html.escape(name)}</figcaption></figure>"
        for image, name in ((a, suspect.photo_a), (b, suspect.photo_b))
    )
    return (
        f"<section{flag}><p><b>{number}</b> cosine {suspect.cosine:.3f} <em>{note}</em></p>"
        f"{cells}</section>"
    )


def _picture(image: Image | None) -> str:
    if image is None:
        return "<div class=none>no picture</div>"
    import cv2

    done, data = cv2.imencode(".jpg", cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR))
    if not done:
        return "<div class=none>no picture</div>"
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}">'


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #1c2430; background: #fafafa }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem }}
section {{ background: #fff; border: 1px solid #d8dde5; border-radius: .5rem; padding: .75rem }}
section.hot {{ border-color: #c0392b }} em {{ color: #c0392b; font-style: normal }}
figure {{ display: inline-block; margin: 0 .25rem 0 0; width: 7.5rem; vertical-align: top }}
img, .none {{ width: 7.5rem; height: 7.5rem; border-radius: .25rem; background: #e8ebf0 }}
figcaption {{ font-size: 11px; color: #5b6675; overflow-wrap: anywhere }} p {{ margin: 0 0 .5rem }}
</style>
<h1>{title}</h1>
<p>These photos of two people by label score highest. Where a pair shows one person, put an x into
its column label_error of pairs.csv, and calibrate again with <code>--exclude pairs.csv</code>.</p>
<main>
{rows}
</main></html>
"""
