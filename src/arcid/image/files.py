"""Photos in files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from arcid.errors import ImageUnreadable
from arcid.image.loading import check_many

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".mpo"})


def is_photo(path: Path, root: Path) -> bool:
    """Whether a file below ``root`` is named as a picture, and no part of its path from there
    begins with a dot, as what other systems put beside photos (``._1.jpg``)."""
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def find_photos(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """Files as they come; of every folder its photos, those of its subfolders included, in order of
    their names. What begins with a dot is left out of a folder.

    Raises ``ImageUnreadable`` for a folder without any photo, and ``UsageError`` for a path that is
    in no list. Files are not looked at.
    """
    check_many(paths)
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        found = sorted(f for f in path.rglob("*") if is_photo(f, path) and f.is_file())
        if not found:
            raise ImageUnreadable(
                f"{path.name or path} holds no photos; known: {', '.join(sorted(SUFFIXES))}"
            )
        yield from found
