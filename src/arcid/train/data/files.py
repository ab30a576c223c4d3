"""Large files read at any place by many threads, and what was learned by scanning one."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import DatasetInvalid, StorageFull, UsageError
from arcid.files import replacing

_LOG = logging.getLogger(__name__)
_INDEX_VERSION = 2  # 1: of a damaged .tar, what lies before the damage


class SharedFile:
    """One file for all threads of a process; opened on first use, again in a forked child."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1
        self._owner = 0
        self._lock = threading.Lock()

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``, fewer at the end of the file. Raises ``OSError``."""
        if self._owner != os.getpid():
            self._open()
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, size, offset)
        with self._lock:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, size)

    def close(self) -> None:
        """Let the file go; the next read opens it again."""
        with self._lock:
            if self._owner == os.getpid():
                os.close(self._descriptor)
            self._owner, self._descriptor = 0, -1

    def _open(self) -> None:
        with self._lock:
            if self._owner != os.getpid():
                flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
                self._descriptor = os.open(self.path, flags)
                self._owner = os.getpid()

    def __reduce__(self) -> tuple[type[SharedFile], tuple[Path]]:
        return SharedFile, (self.path,)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


class Names:
    """Many strings in one block of bytes: millions cost their letters, not an object each."""

    def __init__(self, ends: npt.NDArray[np.int64], letters: bytes) -> None:
        self.ends = ends  # (N,) int64, where each string ends
        self.letters = letters

    @classmethod
    def pack(cls, names: Iterable[str]) -> Names:
        """Take strings in; ``surrogateescape`` keeps names that are no UTF-8."""
        encoded = [name.encode("utf-8", "surrogateescape") for name in names]
        ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        return cls(ends, b"".join(encoded))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        start = int(self.ends[index - 1]) if index else 0
        return self.letters[start : int(self.ends[index])].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))


Index = dict[str, npt.NDArray[Any]]


def printable(name: str | os.PathLike[str]) -> str:
    """A file's name fit for a message."""
    return "".join(c if c.isprintable() else "?" for c in os.fspath(name))


def size_of(path: Path, what: str) -> int:
    """Bytes of a file that has to be there. Raises ``DatasetInvalid``."""
    try:
        if not path.is_file():
            raise DatasetInvalid(f"{what} {printable(path)} is missing or no file", path=str(path))
        return path.stat().st_size
    except OSError as error:
        raise DatasetInvalid(
            f"{what} {printable(path)} cannot be read: {error.strerror}", path=str(path)
        ) from None


def stored_index(path: Path, folder: Path | None) -> Index | None:
    """What ``store_index`` kept for the file as it is now, or None."""
    if folder is None:
        return None
    try:
        with np.load(_index_path(path, folder), allow_pickle=False) as kept:
            index = {name: kept[name] for name in kept.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    stamp = index.pop("stamp", None)
    if stamp is None or stamp.tolist() != _stamp(path):
        return None
    return index


def store_index(path: Path, folder: Path | None, index: Index) -> None:
    """Keep ``index`` with the file's size and time; a folder that cannot be written only warns."""
    if folder is None:
        return
    arrays: dict[str, Any] = {**index, "stamp": np.array(_stamp(path), np.int64)}
    try:
        with replacing(_index_path(path, folder)) as stream:
            np.savez(stream, **arrays)
    except (UsageError, StorageFull) as error:
        _LOG.warning("the index of %s was not kept: %s", path.name, error.message)


def _stamp(path: Path) -> list[int]:
    facts = path.stat()
    return [_INDEX_VERSION, facts.st_size, facts.st_mtime_ns]


def _index_path(path: Path, folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return folder / f"{path.stem}-{digest}.npz"


__all__ = ["Index", "Names", "SharedFile", "printable", "size_of", "store_index", "stored_index"]
