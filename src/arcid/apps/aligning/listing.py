"""The files below a folder with one folder for each person."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from arcid.apps.aligning.journal import Entry
from arcid.errors import DatasetInvalid
from arcid.image import SUFFIXES


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a person, as it is now."""

    path: Path
    name: str  # below the folder, with /
    stamp: tuple[int, int]  # bytes, nanoseconds of its last change


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds, in order of names; what is hidden is passed over."""

    root: Path
    photos: tuple[Photo, ...]
    left_out: tuple[Entry, ...]  # of nobody, or no photos by their names


def list_photos(root: Path) -> Listing:
    """``root/person/photo.jpg``; photos in deeper folders are the person's too.

    Raises ``DatasetInvalid`` where ``root`` is no folder, one cannot be read, or no person has a
    photo.
    """
    if not root.is_dir():
        raise DatasetInvalid(f"{root} is not a folder; expected one folder per person in it")
    photos: list[Photo] = []
    left_out: list[Entry] = []
    for folder, folders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder).relative_to(root)
        for file in sorted(name for name in names if not name.startswith(".")):
            name, path = (here / file).as_posix(), Path(folder, file)
            if path.suffix.lower() not in SUFFIXES:
                detail = f"its name ends in {path.suffix or 'nothing'}; known: {_KNOWN}"
                left_out.append(Entry(name, reason="not_a_photo", detail=detail))
            elif here == Path():
                detail = "it lies in no person's folder"
                left_out.append(Entry(name, reason="no_person", detail=detail))
            else:
                photos.append(Photo(path, name, _stamp(path)))
    if not photos:
        raise DatasetInvalid(
            f"{root} has no photos of people; expected one folder per person, with {_KNOWN} inside"
        )
    return Listing(root, tuple(photos), tuple(left_out))


_KNOWN = ", ".join(sorted(SUFFIXES))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError:  # opening it will say why
        return 0, 0
    return facts.st_size, facts.st_mtime_ns


def _unreadable(error: OSError) -> None:
    raise DatasetInvalid(f"the folder {error.filename} cannot be read: {error.strerror}") from None


__all__ = ["Listing", "Photo", "list_photos"]
