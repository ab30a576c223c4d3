"""Celebrities in Frontal-Profile (Sengupta et al., WACV 2016), the data set's own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from arcid.errors import DatasetInvalid, UsageError
from arcid.evaluate.readers._pairs import PairList, PhotoIndex, build, integer, read_lines


def read_cfp(root: Path, protocol: Literal["FF", "FP"] = "FP") -> PairList:
    """``Protocol/Split/FP/01…10/{same,diff}.txt`` over ``Pair_list_F.txt`` and ``Pair_list_P.txt``.

    Split lines ``a,b`` count from 1: a in the frontal list, b in the frontal (FF) or profile (FP)
    list. The person is the folder number in ``Data/Images/<person>/…``.
    """
    if protocol not in ("FF", "FP"):
        raise UsageError(f"CFP protocol {protocol!r} is unknown; use FF or FP")
    folder = root / "Protocol"
    frontal = _photo_list(folder / "Pair_list_F.txt")
    other = frontal if protocol == "FF" else _photo_list(folder / "Pair_list_P.txt")
    split = folder / "Split" / protocol
    folds = sorted(p for p in split.iterdir() if p.is_dir()) if split.is_dir() else []
    if len(folds) < 2:
        raise DatasetInvalid(f"Protocol/Split/{protocol} needs a folder for each fold (01, 02 …)")
    index = PhotoIndex(root)
    found: list[tuple[int, int, bool]] = []
    fold_of: list[int] = []
    for fold, directory in enumerate(folds):
        for kind in ("same", "diff"):
            file = directory / f"{kind}.txt"
            for number, line in read_lines(file):
                where = f"{protocol}/{directory.name}/{file.name} line {number}"
                rows = _pair(line, where, frontal, other, index)
                same = kind == "same"
                if (index.people[rows[0]] == index.people[rows[1]]) != same:
                    raise DatasetInvalid(f"{where}: its photos are not of {kind} people")
                found.append((*rows, same))
                fold_of.append(fold)
    return build(f"cfp-{protocol.lower()}", index.photos, found, fold_of, index.people)


def _photo_list(path: Path) -> dict[int, str]:
    photos: dict[int, str] = {}
    for number, line in read_lines(path):
        where = f"{path.name} line {number}"
        fields = line.split(maxsplit=1)
        if len(fields) != 2:
            raise DatasetInvalid(f"{where}: expected 'number path', got {line!r}")
        relative = fields[1].strip().removeprefix("../")
        photos[integer(fields[0], where, minimum=1)] = relative
    return photos


def _pair(
    line: str, where: str, frontal: dict[int, str], other: dict[int, str], index: PhotoIndex
) -> tuple[int, int]:
    fields = line.split(",")
    if len(fields) != 2:
        raise DatasetInvalid(f"{where}: expected 'a,b', got {line!r}")
    rows = []
    for text, photos in zip(fields, (frontal, other), strict=True):
        number = integer(text, where, minimum=1)
        if number not in photos:
            raise DatasetInvalid(f"{where}: photo {number} is not in the list of photos")
        parts = Path(photos[number]).parts
        person = parts[-3] if len(parts) >= 3 else parts[0]
        rows.append(index.add(photos[number], person, where))
    return rows[0], rows[1]
