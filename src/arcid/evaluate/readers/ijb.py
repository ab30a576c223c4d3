"""IJB-B and IJB-C meta files in the layout that InsightFace passes around.

meta/ijbc_face_tid_mid.txt          photo template media
meta/ijbc_template_pair_label.txt   template template 0|1
meta/ijbc_name_5pts_score.txt       photo x1 y1 … x5 y5 faceness
meta/ijbc_1N_gallery_G1.csv …_G2    TEMPLATE_ID,SUBJECT_ID,…  (IJB-B: _S1, _S2)
meta/ijbc_1N_probe_mixed.csv        TEMPLATE_ID,SUBJECT_ID,…
loose_crop/                         the photos
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from arcid.errors import DatasetInvalid, UsageError
from arcid.evaluate.metrics import Array, IndexArray, Mask
from arcid.evaluate.readers._pairs import integer, read_lines
from arcid.evaluate.sources import Photo

GALLERIES = {"IJBB": ("S1", "S2"), "IJBC": ("G1", "G2")}


@dataclass(frozen=True, eq=False)
class IjbMeta:
    """Photos in templates, and what is compared with what."""

    name: str
    photos: tuple[Photo, ...]  # (N,) with their five points
    faceness: Array  # (N,) detector score of each photo
    templates: IndexArray  # (N,) template id of each photo
    media: IndexArray  # (N,) media id of each photo; the frames of a video share one
    pair_first: IndexArray  # (M,) template ids
    pair_second: IndexArray
    pair_same: Mask
    galleries: dict[str, tuple[IndexArray, IndexArray]] = field(default_factory=dict)
    probes: tuple[IndexArray, IndexArray] | None = None  # template ids, subject ids


def read_ijb(root: Path, target: Literal["IJBB", "IJBC"]) -> IjbMeta:
    """Read the meta folder of one set; 1:N lists only where they are there.

    Raises ``DatasetInvalid`` on lists that disagree with one another, with file and line.
    """
    if target not in GALLERIES:
        raise UsageError(f"IJB set {target!r} is unknown; use {' or '.join(GALLERIES)}")
    meta, low = root / "meta", target.lower()
    names, templates, media = _tid_mid(meta / f"{low}_face_tid_mid.txt")
    photos, faceness = _points(meta / f"{low}_name_5pts_score.txt", root / "loose_crop", names)
    first, second, same = read_template_pairs(meta / f"{low}_template_pair_label.txt", templates)
    galleries = {
        part: _subjects(meta / f"{low}_1N_gallery_{part}.csv", templates)
        for part in GALLERIES[target]
        if (meta / f"{low}_1N_gallery_{part}.csv").is_file()
    }
    probe_file = meta / f"{low}_1N_probe_mixed.csv"
    probes = _subjects(probe_file, templates) if probe_file.is_file() else None
    return IjbMeta(low, photos, faceness, templates, media, first, second, same, galleries, probes)


def read_template_pairs(
    path: Path, known: IndexArray | None = None
) -> tuple[IndexArray, IndexArray, Mask]:
    """``template template 0|1`` a line, millions of them; ``known``: the template ids there are."""
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetInvalid(f"{path.name} cannot be read: {type(error).__name__}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            values = np.fromstring(text, np.int64, sep=" ")
    except (DeprecationWarning, ValueError):
        values = np.zeros(0, np.int64)
    lines = text.count("\n") + (not text.endswith("\n") and bool(text))
    if len(values) != 3 * lines or not np.isin(values[2::3], (0, 1)).all():
        raise DatasetInvalid(f"{path.name} {_bad_pair_line(path)}")
    table = values.reshape(-1, 3)
    if known is not None:
        missing = ~np.isin(table[:, :2], np.unique(known))
        if missing.any():
            row, side = (int(i) for i in np.argwhere(missing)[0])
            raise DatasetInvalid(
                f"{path.name} line {row + 1}: template {table[row, side]} has no photo"
            )
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2] == 1


def _bad_pair_line(path: Path) -> str:
    with path.open(encoding="ascii") as file:
        for number, line in enumerate(file, start=1):
            fields = line.split()
            numeric = all(f.isdigit() for f in fields)
            if len(fields) != 3 or not numeric or fields[2] not in ("0", "1"):
                return f"line {number}: expected 'template template 0|1', got {line.strip()!r}"
    return "is not a list of 'template template 0|1'"


def _tid_mid(path: Path) -> tuple[list[str], IndexArray, IndexArray]:
    names, templates, media = [], [], []
    for number, line in read_lines(path):
        fields = line.split()
        if len(fields) != 3:
            raise DatasetInvalid(
                f"{path.name} line {number}: expected 'photo template media', got {line!r}"
            )
        where = f"{path.name} line {number}"
        names.append(fields[0])
        templates.append(integer(fields[1], where))
        media.append(integer(fields[2], where))
    if not names:
        raise DatasetInvalid(f"{path.name} is empty")
    return names, np.array(templates, np.int64), np.array(media, np.int64)


def _points(path: Path, crops: Path, names: list[str]) -> tuple[tuple[Photo, ...], Array]:
    photos: list[Photo] = []
    faceness: list[float] = []
    for number, line in read_lines(path):
        fields = line.split()
        try:
            values = np.array(fields[1:], np.float32)
        except ValueError:
            values = np.zeros(0, np.float32)
        if len(values) != 11 or not np.isfinite(values).all():
            raise DatasetInvalid(
                f"{path.name} line {number}: expected a photo, ten coordinates and a score"
            )
        row = len(photos)
        if row >= len(names) or names[row] != fields[0]:
            raise DatasetInvalid(
                f"{path.name} line {number}: {fields[0]!r} is not the photo of that line in the "
                "template list; both lists must be in one order"
            )
        photos.append(Photo(f"{row}:{fields[0]}", crops / fields[0], values[:10].reshape(5, 2)))
        faceness.append(float(values[10]))
    if len(photos) != len(names):
        raise DatasetInvalid(
            f"{path.name} has {len(photos)} photos, the template list {len(names)}"
        )
    return tuple(photos), np.array(faceness, np.float64)


def _subjects(path: Path, known: IndexArray) -> tuple[IndexArray, IndexArray]:
    templates: list[int] = []
    subjects: list[int] = []
    there = set(known.tolist())
    for number, line in read_lines(path):
        fields = line.split(",")
        if number == 1 and not fields[0].strip().isdigit():
            continue  # the header
        where = f"{path.name} line {number}"
        if len(fields) < 2:
            raise DatasetInvalid(f"{where}: expected 'template,subject', got {line!r}")
        templates.append(integer(fields[0].strip(), where))
        subjects.append(integer(fields[1].strip(), where))
        if templates[-1] not in there:
            raise DatasetInvalid(f"{where}: template {templates[-1]} has no photo")
    found, rows = np.unique(np.array(templates, np.int64), return_index=True)
    if not len(found):
        raise DatasetInvalid(f"{path.name} lists no template")
    return found, np.array(subjects, np.int64)[rows]
