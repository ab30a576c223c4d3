"""The file a SQLite gallery lies in: what may be one, who may read it, which one it is."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from urllib.parse import quote

from arcid.errors import GalleryDamaged, GalleryError, GalleryUnavailable, NotFound, UsageError
from arcid.gallery.mark import Mark


def prepare(path: Path, mark: Mark, create: bool) -> None:
    """Refuse what cannot be a gallery before SQLite touches it; make a new file private.

    A file that is there is never opened here: closing it again would drop the locks of every SQLite
    connection this process has on it, and the next process to close would take the WAL away.
    """
    wal = path.with_name(path.name + "-wal")
    try:
        if not path.parent.is_dir():
            raise UsageError(f"the folder for {path.name} does not exist; create it first")
        if path.is_dir():
            raise UsageError(f"{path.name} is a folder; give the path of a file in it")
        if path.exists() and not path.is_file():
            raise UsageError(f"{path.name} is a device or pipe; a gallery needs a file")
        there = path.exists()
        empty = not there or path.stat().st_size == 0
        wal_left = empty and wal.exists() and wal.stat().st_size > 0
        known = mark.acknowledged() if empty else None
    except OSError as error:
        raise GalleryError(f"{path.name} cannot be opened: {error.strerror}") from None
    amiss = GalleryDamaged if there else GalleryUnavailable
    if known is not None and known.write > 0:
        raise amiss(
            f"{path.name} is {'empty' if there else 'gone'}, but {mark.path.name} says that a "
            f"gallery was here, acknowledged up to write {known.write}. Put the file back together "
            "with its -wal file, or restore a backup; nothing was made anew. To begin a gallery "
            f"anew, delete {mark.path.name}"
        )
    if wal_left:
        raise amiss(
            f"{path.name} is {'empty' if there else 'gone'} but its -wal file is not: restore both "
            "from one backup"
        )
    try:
        if there and empty:
            path.chmod(0o600)
        elif not there and create:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        raise GalleryError(f"{path.name} cannot be made: {error.strerror}") from None
    if not there and not create:
        raise NotFound(f"there is no gallery at {path.name}")


def refuse_shared(path: Path) -> None:
    """People's templates are not for every user of the machine."""
    rights = path.stat().st_mode if os.name == "posix" else 0
    if rights & 0o007:
        can = "read" if rights & 0o004 else "reach into"
        files = f"{shlex.quote(str(path))}*"
        raise GalleryError(
            f"every user of this machine can {can} {path.name} (mode {rights & 0o777:o}), and it "
            f"holds people's templates. Take that right away: chmod o= {files}. Where that changes "
            "nothing (a disk that keeps no rights), put the gallery on another disk"
        )


def identity(path: Path | None) -> tuple[int, int] | None:
    try:
        status = None if path is None else path.stat()
    except OSError:
        status = None
    return None if status is None else (status.st_dev, status.st_ino)


def uri(path: Path, mode: str) -> str:
    return f"file:{quote(str(path))}?mode={mode}"
