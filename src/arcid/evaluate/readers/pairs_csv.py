"""Pair lists in CSV, such as deepface's ``master.csv``."""

from __future__ import annotations

from pathlib import Path

from arcid.errors import DatasetInvalid
from arcid.evaluate.readers._csv import numbered_rows
from arcid.evaluate.readers._pairs import PairList, PhotoIndex, build

SAME = frozenset({"yes", "1", "true", "same", "match", "genuine"})
DIFFERENT = frozenset({"no", "0", "false", "different", "diff", "mismatch", "impostor"})


def read_pairs_csv(path: Path, images: Path, *, name: str | None = None) -> PairList:
    """A header, then ``photo, photo, label`` (Yes/No, 1/0, true/false, same/different) a line.

    Further columns are ignored, but for ``person_x`` and ``person_y``, which name the people.
    Without them, photos joined by pairs of one person count as one person.
    """
    rows = numbered_rows(path)
    if not rows:
        raise DatasetInvalid(f"{path.name} is empty")
    header = [c.strip().lower() for c in rows[0][1]]
    if len(header) < 3 or header[2] in SAME | DIFFERENT:
        raise DatasetInvalid(
            f"{path.name} line 1: expected a header such as file_x,file_y,Decision, got {header}"
        )
    named = "person_x" in header and "person_y" in header
    index = PhotoIndex(images)
    pairs: list[tuple[int, int, bool]] = []
    for number, row in rows[1:]:
        where = f"{path.name} line {number}"
        if len(row) < len(header):
            raise DatasetInvalid(f"{where}: {len(row)} columns, the header has {len(header)}")
        label = row[2].strip().lower()
        if label not in SAME | DIFFERENT:
            raise DatasetInvalid(f"{where}: the label {row[2]!r} is neither yes nor no")
        people = [row[header.index(c)].strip() for c in ("person_x", "person_y")] if named else []
        a = index.add(row[0].strip(), people[0] if named else "", where)
        b = index.add(row[1].strip(), people[1] if named else "", where)
        if named and (index.people[a] == index.people[b]) != (label in SAME):
            raise DatasetInvalid(f"{where}: the label {row[2]!r} contradicts the people named")
        pairs.append((a, b, label in SAME))
    return build(name or path.stem, index.photos, pairs, None, index.people if named else None)
