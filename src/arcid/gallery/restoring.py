"""A backup in the place of a gallery: at every moment the old one is there, or the new one.

Nobody may have the gallery open. The old one is kept beside it under another name.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arcid import files
from arcid.errors import ArcidError, GalleryBusy, UsageError
from arcid.gallery import copying, place
from arcid.gallery.copying import Contents, Progress

_LOCKS = 0x40000002, 510  # the bytes of a file that SQLite's connections hold it by
_WAIT_S = 1.0  # for whoever is just closing it
_ASIDE = "-aside-"
_BESIDE = ("-wal", "-mark")
_COUNTED = ("last_change", "audit_last", "collections", "people", "faces")


@dataclass(frozen=True, slots=True)
class Restored:
    """What is there now, and what was."""

    now: Contents
    before: Contents | None  # None: nothing was, or what was could not be read
    kept: Path | None  # the old one's other name
    lacks: str | None = None  # what it cannot be opened without, in words; None: nothing

    def lost(self) -> dict[str, int]:
        """How much more there was before: changes in the log, rows of the audit, collections,
        people, faces. Below zero: so many are back that had been deleted since."""
        if self.before is None or self.before.identity != self.now.identity:
            return {}
        old, new = self.before.to_dict(), self.now.to_dict()
        return {name: old[name] - new[name] for name in _COUNTED}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "restored": self.now.to_dict(),
            "replaced": None if self.before is None else self.before.to_dict(),
            "lost": self.lost(),
            "kept": None if self.kept is None else self.kept.name,
            "lacks": self.lacks,
        }


def restore(
    backup: Path, gallery: Path, *, replace: bool = False, progress: Progress | None = None
) -> Restored:
    """Put a copy of a backup in the place of a gallery, after all of it was read and found sound.

    ``replace``: a gallery that is there is kept under another name. Raises ``UsageError`` where one
    is there and is not to be replaced, ``GalleryBusy`` while it is open somewhere, ``StorageFull``
    and what ``copying.inspect`` does; the place is then as it was.
    """
    copying.inspect(backup)
    if _beside(backup, "-wal").exists():
        raise UsageError(
            f"{backup.name} has a -wal file beside it, so it is in use or was not closed: make a "
            "backup of it (arcid gallery backup), and restore that"
        )
    if gallery.exists() and backup.samefile(gallery):
        raise UsageError(f"{backup.name} is the gallery itself; name a backup of it")
    there = any(_beside(gallery, end).exists() for end in ("", *_BESIDE))
    if there and not replace:
        raise UsageError(
            f"a gallery is at {gallery.name}, or was: name another place, or have it replaced "
            "(--replace); it is then kept under another name"
        )
    gallery.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    kept = _beside(gallery, f"{_ASIDE}{stamp}") if there else None
    with ExitStack() as held:

        def ready() -> None:
            if kept is not None:
                _put_aside(gallery, kept, held)

        now = copying.copy(backup, gallery, still=True, ready=ready, progress=progress)
        if kept is not None:
            _beside(gallery, "-mark").unlink(missing_ok=True)
            files.share_as(gallery, kept)
            gallery.chmod(gallery.stat().st_mode & 0o770)  # not for every user of the machine
    before = None
    if kept is not None and not _beside(kept, "-wal").exists():
        with suppress(ArcidError):  # what was there may be why a backup is wanted
            before = copying.inspect(kept)
    return Restored(now, before, kept)


def _put_aside(gallery: Path, kept: Path, held: ExitStack) -> None:
    """Give what is there its other name. The gallery's file also keeps its own until the backup
    replaces it; unless its log could not be merged, since that would be read into the backup."""
    for path in gallery.parent.iterdir() if gallery.exists() else ():
        if path.name.startswith(f"{gallery.name}{_ASIDE}") and path.samefile(gallery):
            path.unlink()  # of a restore that was killed before the backup was in its place
    beside = [end for end in _BESIDE if _beside(gallery, end).exists()]
    for end in beside:  # at once: SQLite removes the log of a file that it cannot read
        files.twin(_beside(gallery, end), _beside(kept, end))
    try:
        merged = gallery.exists() and _merged(gallery, held)
    except GalleryBusy:
        for end in beside:
            _beside(kept, end).unlink()
        raise
    if gallery.exists():
        files.twin(gallery, kept)
    files.sync(gallery.parent)
    if merged:
        _beside(kept, "-wal").unlink(missing_ok=True)
        _beside(gallery, "-mark").unlink(missing_ok=True)  # a mark never outlives its gallery
    elif "-wal" in beside:
        gallery.unlink(missing_ok=True)
        _beside(gallery, "-wal").unlink(missing_ok=True)
    _beside(gallery, "-shm").unlink(missing_ok=True)


def _merged(gallery: Path, held: ExitStack) -> bool:
    """Merge a gallery's log into its file, and keep everybody out of it until ``held`` ends; False
    where SQLite cannot read it. Raises ``GalleryBusy``."""
    name = place.uri(gallery, "rw")
    try:
        connection = held.enter_context(
            closing(sqlite3.connect(name, uri=True, isolation_level=None, timeout=_WAIT_S))
        )
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        held.close()
        busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        if busy or files.locked(gallery, *_LOCKS):
            raise _in_use(gallery) from None
        return False
    if os.name == "nt":  # no file that is open can be replaced there
        held.close()
    return True


def _in_use(gallery: Path) -> GalleryBusy:
    return GalleryBusy(
        f"{gallery.name} is open in another process: stop the service, and every arcid command on "
        "it, then restore again; nothing was changed"
    )


def _beside(gallery: Path, end: str) -> Path:
    return gallery.with_name(gallery.name + end)
