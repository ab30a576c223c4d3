"""Real-World Masked Face Recognition (Wang et al. 2020): photos by name, with and without masks."""

from __future__ import annotations

from pathlib import Path

from arcid.errors import DatasetInvalid
from arcid.evaluate.readers._pairs import PairList, build
from arcid.evaluate.sources import Photo
from arcid.image import is_photo

BARE, MASKED = "AFDB_face_dataset", "AFDB_masked_face_dataset"


def read_rmfrd(root: Path) -> PairList:
    """``AFDB_face_dataset/NAME/`` and ``AFDB_masked_face_dataset/NAME/``: every masked photo
    against one without a mask of its person, and one of the next person.

    The set publishes no list of pairs; this one depends on file names alone. People who are in one
    folder only are left out. Raises ``DatasetInvalid`` where fewer than two are in both.
    """
    bare, masked = ({p.name: _photos(p) for p in _people(root / name)} for name in (BARE, MASKED))
    people = sorted(name for name, photos in masked.items() if photos and bare.get(name))
    if len(people) < 2:
        raise DatasetInvalid(
            f"{root.name}: {len(people)} people are both in {BARE}/ and in {MASKED}/; telling "
            "people apart needs two"
        )
    photos: list[Photo] = []
    owners: list[str] = []
    row_of: dict[Path, int] = {}

    def row(path: Path, person: str) -> int:
        if path not in row_of:
            row_of[path] = len(photos)
            photos.append(Photo(path.relative_to(root).as_posix(), path))
            owners.append(person)
        return row_of[path]

    pairs: list[tuple[int, int, bool]] = []
    for place, person in enumerate(people):
        other = people[(place + 1) % len(people)]
        for number, path in enumerate(masked[person]):
            probe = row(path, person)
            for whose in (person, other):
                plain = bare[whose][number % len(bare[whose])]
                pairs.append((probe, row(plain, whose), whose == person))
    return build("rmfrd", photos, pairs, None, owners)


def _people(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetInvalid(f"there is no folder {folder.name}/")
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _photos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_photo(path, folder))
