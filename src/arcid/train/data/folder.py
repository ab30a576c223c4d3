"""A folder with one folder of photos for every person."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.image import SUFFIXES
from arcid.train.data.files import Names, printable


class FolderSource:
    """``ROOT/identity/photo.jpg``; deeper folders are identities by their path.

    Photos directly in ``ROOT`` belong to nobody. Hidden files and folders are passed over.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        names: list[str] = []
        identity: list[int] = []
        people: dict[str, int] = {}
        for folder, folders, files in os.walk(root, onerror=_unreadable, followlinks=True):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            here = Path(folder).relative_to(root).as_posix()
            for name in sorted(files):
                if name.startswith(".") or Path(name).suffix.lower() not in SUFFIXES:
                    continue
                person = -1 if here == "." else people.setdefault(here, len(people))
                names.append(name if here == "." else f"{here}/{name}")
                identity.append(person)
        if not names:
            raise DatasetInvalid(
                f"the folder {printable(root)} holds no photo; expected one folder for every "
                f"person with {', '.join(sorted(SUFFIXES))} files",
                path=str(root),
            )
        self._names = Names.pack(names)
        self.identity = np.array(identity, np.int32)
        self.identities = tuple(people)

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> bytes:
        return (self.root / self._names[index]).read_bytes()

    def key(self, index: int) -> str:
        return self._names[index]


def _unreadable(error: OSError) -> None:
    raise DatasetInvalid(
        f"the folder {printable(error.filename or '')} cannot be read: {error.strerror}"
    ) from None


__all__ = ["FolderSource"]
