"""Photos in files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from arcid.errors import ImageUnreadable

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".mpo"})


def find_photos(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """Files as they come; of every folder its photos, those of its subfolders included, in order of
    their names. What begins with a dot is left out of a folder.

    Raises ``ImageUnreadable`` for a folder without any photo. Files are not looked at.
    """
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        inside = (
            file
            for file in path.rglob("*")
            if file.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
        found = sorted(file for file in inside if file.is_file())
        if not found:
            raise ImageUnreadable(
                f"{path.name} holds no photos; known: {', '.join(sorted(SUFFIXES))}"
            )
        yield from found
