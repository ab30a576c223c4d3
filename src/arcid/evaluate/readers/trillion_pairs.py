"""Trillion-Pairs (DeepGlint 2018): photos of known people among 1.58 million of others.

Its test set came without labels: a server judged files of features. Whoever has labels can measure
here, as MegaFace is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.evaluate.readers._pairs import find_photo, read_lines
from arcid.evaluate.sources import Photo

NOBODY = "-"


@dataclass(frozen=True, eq=False)
class TrillionPairs:
    """Photos with their five points, in the order of the list; whose each is, where that is
    known."""

    photos: tuple[Photo, ...]
    people: tuple[str | None, ...] | None  # None inside: a distractor; None: no labels

    def parts(self) -> tuple[list[Photo], list[str], list[Photo]]:
        """Probes, their people, distractors. Raises ``DatasetInvalid`` without labels."""
        if self.people is None:
            raise DatasetInvalid(
                "Trillion-Pairs was published without labels; put labels.txt beside the list "
                f"('photo person' a line, {NOBODY} for distractors)"
            )
        labelled = list(zip(self.photos, self.people, strict=True))
        probes = [(photo, person) for photo, person in labelled if person is not None]
        far = [photo for photo, person in labelled if person is None]
        return [photo for photo, _ in probes], [person for _, person in probes], far


def read_trillion_pairs(root: Path) -> TrillionPairs:
    """``testdata_lmk.txt`` (``photo x1 y1 … x5 y5``), ``testdata/`` and, where somebody has them,
    ``labels.txt`` (``photo person``; ``-``, or not listed: a distractor)."""
    listed, images = root / "testdata_lmk.txt", root / "testdata"
    photos: list[Photo] = []
    for number, line in read_lines(listed):
        where = f"{listed.name} line {number}"
        name, *values = line.split()
        try:
            points = np.array(values, np.float32)
        except ValueError:
            points = np.zeros(0, np.float32)
        if len(points) != 10 or not np.isfinite(points).all():
            raise DatasetInvalid(f"{where}: expected a photo and ten coordinates")
        inside = name.removeprefix("testdata/")
        photos.append(Photo(name, find_photo(images, inside, where), points.reshape(5, 2)))
    if len({photo.name for photo in photos}) < max(len(photos), 1):
        raise DatasetInvalid(f"{listed.name} is empty or names a photo twice")
    labels = root / "labels.txt"
    if not labels.is_file():
        return TrillionPairs(tuple(photos), None)
    person_of: dict[str, str] = {}
    known = {photo.name for photo in photos}
    for number, line in read_lines(labels):
        fields = line.split()
        if len(fields) != 2 or fields[0] not in known:
            raise DatasetInvalid(
                f"{labels.name} line {number}: expected 'photo person' with a photo of "
                f"{listed.name}, got {line!r}"
            )
        if fields[1] != NOBODY:
            person_of[fields[0]] = fields[1]
    return TrillionPairs(tuple(photos), tuple(person_of.get(photo.name) for photo in photos))
