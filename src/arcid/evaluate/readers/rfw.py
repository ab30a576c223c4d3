"""Racial Faces in the Wild (Wang et al., ICCV 2019): four groups, 6,000 pairs in each."""

from __future__ import annotations

from pathlib import Path

from arcid.errors import DatasetInvalid
from arcid.evaluate.readers._pairs import PairList, PhotoIndex, build, integer, read_lines

GROUPS = ("African", "Asian", "Caucasian", "Indian")
FOLDS = 10


def read_rfw(root: Path) -> dict[str, PairList]:
    """{group: pairs} of ``txts/GROUP/GROUP_pairs.txt`` and ``data/GROUP/person/person_0001.jpg``.

    A line is ``person i j`` or ``person i person j``. Lists whose tenths hold both kinds of pairs
    are folds in order; others have none. Groups without a list are left out; without any this
    raises ``DatasetInvalid``.
    """
    lists = {group: root / "txts" / group / f"{group}_pairs.txt" for group in GROUPS}
    found = {
        group: _read(path, root / "data" / group, f"rfw-{group.lower()}")
        for group, path in lists.items()
        if path.is_file()
    }
    if not found:
        raise DatasetInvalid(
            f"{root.name} holds no txts/GROUP/GROUP_pairs.txt of {', '.join(GROUPS)}"
        )
    return found


def _read(pairs: Path, images: Path, name: str) -> PairList:
    index = PhotoIndex(images)
    found: list[tuple[int, int, bool]] = []
    for number, line in read_lines(pairs):
        where = f"{pairs.name} line {number}"
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) not in (3, 4):
            raise DatasetInvalid(f"{where}: expected 'person i [person] j', got {line!r}")
        same = len(fields) == 3
        a, b = (fields[0], fields[1]), (fields[0 if same else 2], fields[-1])
        if (a[0] == b[0]) != same:
            raise DatasetInvalid(f"{where}: a pair of two people names {a[0]!r} twice")
        rows = [
            index.add(f"{p}/{p}_{integer(i, where, minimum=1):04d}", p, where) for p, i in (a, b)
        ]
        found.append((rows[0], rows[1], same))
    return build(name, index.photos, found, _folds([same for *_, same in found]), index.people)


def _folds(same: list[bool]) -> list[int] | None:
    each = len(same) // FOLDS
    if not each or each * FOLDS != len(same):
        return None
    kinds = [set(same[i : i + each]) for i in range(0, len(same), each)]
    return [i // each for i in range(len(same))] if all(len(k) == 2 for k in kinds) else None
