"""One folder per person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.evaluate.metrics import IndexArray
from arcid.evaluate.sources import Photo
from arcid.image import is_photo


@dataclass(frozen=True, eq=False)
class PeopleFolder:
    """Photos with the person each one shows."""

    name: str
    photos: tuple[Photo, ...]
    people: tuple[str, ...]  # of each photo

    def __post_init__(self) -> None:
        if len(set(self.people)) < 2:
            raise DatasetInvalid(
                f"{self.name} holds {len(set(self.people))} people; telling people apart needs two"
            )

    def labels(self) -> IndexArray:
        """(N,) number of each photo's person."""
        return np.unique(np.asarray(self.people), return_inverse=True)[1].astype(np.int64)

    def by_person(self) -> dict[str, list[int]]:
        """Photo indices of each person, people and photos in name order."""
        found: dict[str, list[int]] = {}
        for i, person in enumerate(self.people):
            found.setdefault(person, []).append(i)
        return found


def read_people(root: Path, *, allow_empty: bool = False) -> PeopleFolder:
    """``root/person/*.jpg`` (any picture suffix; deeper folders belong to the person). What begins
    with a dot is passed over.

    Raises ``DatasetInvalid`` where a person's folder holds no picture (left out with
    ``allow_empty``), where ``root`` is no folder, or where fewer than two people are left.
    """
    if not root.is_dir():
        raise DatasetInvalid(f"{root.name} is not a folder; expected one folder per person in it")
    photos: list[Photo] = []
    people: list[str] = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")):
        files = sorted(p for p in folder.rglob("*") if is_photo(p, folder))
        if not files and not allow_empty:
            raise DatasetInvalid(
                f"the folder of {folder.name!r} holds no picture; remove it or add photos"
            )
        photos += [Photo(p.relative_to(root).as_posix(), p) for p in files]
        people += [folder.name] * len(files)
    return PeopleFolder(root.name, tuple(photos), tuple(people))
