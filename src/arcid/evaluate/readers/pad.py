"""Presentation-attack lists: which file is live, which is an attack of which species."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from arcid.errors import DatasetInvalid
from arcid.evaluate.readers._pairs import find_photo
from arcid.evaluate.sources import Photo

BONA_FIDE = frozenset({"bona_fide", "bonafide", "bona fide", "live", "real", "genuine"})


@dataclass(frozen=True, eq=False)
class PadList:
    """Presentations with their species; None is bona fide."""

    name: str
    photos: tuple[Photo, ...]
    species: tuple[str | None, ...]
    scores: tuple[float | None, ...] | None  # liveness scores where the file brings them
    subjects: tuple[str, ...] | None


def read_pad(path: Path, images: Path | None = None) -> PadList:
    """CSV with the columns ``file`` and ``species`` (``bona_fide`` or the attack's species).

    Optional: ``score`` (liveness, higher is live; empty: the face was not usable) and ``subject``.
    With ``images`` every file must exist below it; without, ``score`` is needed.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [c.strip().lower() for c in reader.fieldnames or []]
            reader.fieldnames = columns
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise DatasetInvalid(f"{path.name} cannot be opened: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetInvalid(f"{path.name} is not CSV in UTF-8: {error}") from None
    needed = {"file", "species"} | (set() if images else {"score"})
    if not needed <= set(columns):
        raise DatasetInvalid(
            f"{path.name} line 1: columns {sorted(needed)} are needed, it has {columns}"
        )
    photos, species, scores, subjects = [], [], [], []
    for number, row in rows:
        where = f"{path.name} line {number}"
        if any(row[c] is None for c in columns):
            raise DatasetInvalid(f"{where}: fewer columns than the header")
        label = row["species"].strip()
        if not label:
            raise DatasetInvalid(f"{where}: the species is empty; write bona_fide or its name")
        source = find_photo(images, row["file"].strip(), where) if images else Path(row["file"])
        photos.append(Photo(row["file"].strip(), source))
        species.append(None if label.lower() in BONA_FIDE else label)
        scores.append(_score(row.get("score"), where))
        subjects.append((row.get("subject") or "").strip())
    if not any(s is None for s in species):
        raise DatasetInvalid(f"{path.name} holds no bona fide presentation")
    return PadList(
        path.stem,
        tuple(photos),
        tuple(species),
        tuple(scores) if "score" in columns else None,
        tuple(subjects) if "subject" in columns else None,
    )


def _score(text: str | None, where: str) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        raise DatasetInvalid(f"{where}: the score {text!r} is not a number") from None
    if value != value:
        raise DatasetInvalid(f"{where}: the score is NaN; leave it empty for an unusable face")
    return value
