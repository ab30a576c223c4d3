"""The value all pair readers make, and how they read lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.evaluate.metrics import IndexArray, Mask
from arcid.evaluate.pairs import people_of_pairs
from arcid.evaluate.sources import Photo
from arcid.image import SUFFIXES


@dataclass(frozen=True, eq=False)
class PairList:
    """Pairs of units to verify; a unit is one photo, or the frames of one video.

    Raises ``DatasetInvalid`` without pairs. A list of one kind only can be read, not measured.
    """

    name: str
    photos: tuple[Photo, ...]
    units: tuple[tuple[int, ...], ...]  # photo indices of each unit
    unit_names: tuple[str, ...]
    first: IndexArray  # (M,) unit indices
    second: IndexArray
    same: Mask  # (M,)
    folds: IndexArray | None  # (M,) 0 … K−1; None: the layout has none
    people: tuple[str, ...] | None  # of each unit; None: only the pairs are labelled

    def __post_init__(self) -> None:
        if not len(self.same):
            raise DatasetInvalid(f"{self.name} holds no pairs")

    def require_both_kinds(self) -> None:
        """Raise ``DatasetInvalid`` unless there are pairs of one person and of two."""
        if self.same.all() or not self.same.any():
            kind = "different people" if self.same.all() else "one person"
            raise DatasetInvalid(
                f"{self.name} holds no pair of {kind}; both kinds are needed to measure anything"
            )

    def __len__(self) -> int:
        return len(self.same)

    def person_numbers(self) -> IndexArray:
        """(units,) number of each unit's person; by chains of genuine pairs where unlabelled."""
        if self.people is None:
            return people_of_pairs(self.first, self.second, self.same, len(self.units))
        return np.unique(np.asarray(self.people), return_inverse=True)[1].astype(np.int64)


def build(
    name: str,
    photos: Sequence[Photo],
    pairs: Sequence[tuple[int, int, bool]],
    folds: Sequence[int] | None,
    people: Sequence[str] | None,
) -> PairList:
    """A list whose units are single photos."""
    return PairList(
        name,
        tuple(photos),
        tuple((i,) for i in range(len(photos))),
        tuple(p.name for p in photos),
        np.array([p[0] for p in pairs], np.int64),
        np.array([p[1] for p in pairs], np.int64),
        np.array([p[2] for p in pairs], bool),
        None if folds is None else np.array(folds, np.int64),
        None if people is None else tuple(people),
    )


class PhotoIndex:
    """Photos in the order they are first named, each once; checks that the file is there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.photos: list[Photo] = []
        self.people: list[str] = []
        self._rows: dict[str, int] = {}

    def add(self, relative: str, person: str, where: str) -> int:
        """Row of a photo; ``relative`` may lack its suffix. Raises ``DatasetInvalid``."""
        if relative not in self._rows:
            self._rows[relative] = len(self.photos)
            self.photos.append(Photo(relative, find_photo(self.root, relative, where)))
            self.people.append(person)
        return self._rows[relative]


def find_photo(root: Path, relative: str, where: str) -> Path:
    """The file below ``root``, any picture suffix tried where none is given."""
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()):
        raise DatasetInvalid(f"{where}: {relative!r} leads out of the image folder")
    if path.is_file():
        return path
    for suffix in (".jpg", ".png", *sorted(SUFFIXES)):
        candidate = path.with_name(path.name + suffix)
        if candidate.is_file():
            return candidate
    raise DatasetInvalid(f"{where} names {relative!r}, which is not in the image folder")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, stripped text) of every line that is not empty."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise DatasetInvalid(f"{path.name} cannot be opened: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DatasetInvalid(f"{path.name} is not text (byte {error.start})") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def integer(text: str, where: str, *, minimum: int = 0) -> int:
    """A whole number or ``DatasetInvalid``."""
    try:
        value = int(text)
    except ValueError:
        raise DatasetInvalid(f"{where}: expected a whole number, got {text!r}") from None
    if value < minimum:
        raise DatasetInvalid(f"{where}: {value} is below {minimum}")
    return value
