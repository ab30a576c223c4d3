"""LFW ``pairs.txt`` and View 1, the two-line lists of CALFW and CPLFW, plain labelled lists."""

from __future__ import annotations

from pathlib import Path

from arcid.errors import DatasetInvalid
from arcid.evaluate.readers._pairs import PairList, PhotoIndex, build, integer, read_lines


def read_lfw(pairs: Path, images: Path, *, name: str = "lfw") -> PairList:
    """``pairs.txt`` (header ``10 300``, ten folds) or ``pairsDevTrain/Test.txt`` (``500``, none).

    A fold is n lines ``person i j`` and n lines ``person i person j``; photo i of a person is
    ``images/person/person_000i`` with any picture suffix.
    """
    lines = list(read_lines(pairs))
    if not lines:
        raise DatasetInvalid(f"{pairs.name} is empty")
    header = [integer(t, f"{pairs.name} line 1", minimum=1) for t in lines[0][1].split()]
    if len(header) not in (1, 2):
        raise DatasetInvalid(
            f"{pairs.name} line 1: expected '<folds> <pairs>' or '<pairs>', got {lines[0][1]!r}"
        )
    folds, each = (header[0], header[1]) if len(header) == 2 else (1, header[0])
    if len(lines) - 1 != folds * each * 2:
        raise DatasetInvalid(
            f"{pairs.name}: the header promises {folds} × {each} × 2 pairs, the file has "
            f"{len(lines) - 1} (last line {lines[-1][0]})"
        )
    index = PhotoIndex(images)
    found: list[tuple[int, int, bool]] = []
    fold_of: list[int] = []
    for position, (number, line) in enumerate(lines[1:]):
        where = f"{pairs.name} line {number}"
        fields = line.split("\t") if "\t" in line else line.split()
        wants_same = position % (2 * each) < each
        if len(fields) != (3 if wants_same else 4):
            raise DatasetInvalid(
                f"{where}: expected "
                f"{'person i j' if wants_same else 'person i person j'}, got {line!r}"
            )
        a, b = (fields[0], fields[1]), (fields[0 if wants_same else 2], fields[-1])
        if (a[0] == b[0]) != wants_same:
            raise DatasetInvalid(f"{where}: a pair of two people names {a[0]!r} twice")
        rows = [
            index.add(f"{p}/{p}_{integer(i, where, minimum=1):04d}", p, where) for p, i in (a, b)
        ]
        found.append((rows[0], rows[1], wants_same))
        fold_of.append(position // (2 * each))
    return build(name, index.photos, found, fold_of if folds > 1 else None, index.people)


def read_two_line_list(pairs: Path, images: Path, *, name: str, folds: int = 10) -> PairList:
    """``pairs_CALFW.txt`` and ``pairs_CPLFW.txt``: two lines ``photo fold`` for each pair.

    A fold number of 1 or more marks one person, 0 two people. The lists give no fold for pairs of
    two people: these are dealt over the folds in order. The person is the file name without its
    number.
    """
    lines = list(read_lines(pairs))
    if len(lines) % 2:
        raise DatasetInvalid(f"{pairs.name}: {len(lines)} lines; a pair takes two")
    index = PhotoIndex(images)
    found: list[tuple[int, int, bool]] = []
    marks: list[int] = []
    for (number, one), (other_number, two) in zip(lines[::2], lines[1::2], strict=True):
        rows = []
        values = []
        for n, line in ((number, one), (other_number, two)):
            where = f"{pairs.name} line {n}"
            fields = line.split()
            if len(fields) != 2:
                raise DatasetInvalid(f"{where}: expected 'photo fold', got {line!r}")
            person = Path(fields[0]).stem.rpartition("_")[0]
            rows.append(index.add(fields[0], person, where))
            values.append(integer(fields[1], where))
        if values[0] != values[1]:
            raise DatasetInvalid(
                f"{pairs.name} lines {number} and {other_number} are one pair but carry "
                f"{values[0]} and {values[1]}"
            )
        same = values[0] > 0
        if same != (index.people[rows[0]] == index.people[rows[1]]):
            raise DatasetInvalid(
                f"{pairs.name} line {number}: the mark {values[0]} contradicts the file names"
            )
        found.append((rows[0], rows[1], same))
        marks.append(values[0])
    others = sum(m == 0 for m in marks)
    dealt = iter(i * folds // max(others, 1) for i in range(others))
    fold_of = [m - 1 if m else next(dealt) for m in marks]
    return build(name, index.photos, found, fold_of, index.people)


def read_labelled_list(pairs: Path, images: Path, *, name: str) -> PairList:
    """Lines ``photo photo 0|1`` or ``0|1 photo photo`` (1: one person), blanks or commas between,
    as AgeDB-30, CALFW and CPLFW as images and masked sets are passed around."""
    index = PhotoIndex(images)
    found: list[tuple[int, int, bool]] = []
    for number, line in read_lines(pairs):
        where = f"{pairs.name} line {number}"
        fields = [f.strip() for f in line.split(",")] if "," in line else line.split()
        if len(fields) == 3 and fields[2] not in ("0", "1"):
            fields = [*fields[1:], fields[0]]
        if len(fields) != 3 or fields[2] not in ("0", "1"):
            raise DatasetInvalid(f"{where}: expected 'photo photo 0|1', got {line!r}")
        a, b = (index.add(f, "", where) for f in fields[:2])
        found.append((a, b, fields[2] == "1"))
    return build(name, index.photos, found, None, None)
