"""Database errors in, arcid's typed errors out."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from arcid.errors import (
    ArcidError,
    GalleryBusy,
    GalleryDamaged,
    GalleryError,
    GalleryReadOnly,
    GalleryUnavailable,
    InputError,
    StorageFull,
)

log = logging.getLogger(__name__)

_LITTLE_SPACE = 1 << 20
_FULL_SHM = sqlite3.SQLITE_IOERR_SHMSIZE  # SQLite's name for "no room to grow the -shm file"


@contextmanager
def translated(path: Path | None) -> Iterator[None]:
    """Turn what the driver raises into the error a caller can do something about, also of text
    that no database takes, whatever it was to name."""
    try:
        yield
    except sa.exc.TimeoutError:
        raise GalleryBusy("every connection to the gallery is in use; try again") from None
    except UnicodeEncodeError:
        raise _no_text() from None
    except sa.exc.DBAPIError as error:
        told = _translate(error.orig, path)
        if type(told) in (GalleryError, GalleryDamaged):  # what was asked, without its values
            log.error("the database refused a statement", extra={"statement": error.statement})
        raise told from error.orig
    except sqlite3.Error as error:
        raise _translate(error, path) from error


def _translate(error: BaseException | None, path: Path | None) -> ArcidError:
    if isinstance(error, sqlite3.Error):
        return _from_sqlite(error, path)
    return _from_postgres(error)


def _from_sqlite(error: sqlite3.Error, path: Path | None) -> ArcidError:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    primary = None if code is None else code & 0xFF
    where = "the gallery" if path is None else path.name
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return GalleryBusy(f"another process is writing to {where}; nothing was changed, try again")
    if primary == sqlite3.SQLITE_FULL or code == _FULL_SHM or _out_of_space(primary, path):
        return StorageFull(
            f"the disk that holds {where} is full; nothing was changed. Free some space, try again"
        )
    if primary == sqlite3.SQLITE_CANTOPEN and path is not None and not path.exists():
        return gone(path)
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return GalleryUnavailable(
            f"{where} cannot be opened ({name}); nothing was changed. Check that the file and its "
            "folder can be read and written; arcid goes on by itself when they can",
            stored=False,
        )
    if primary == sqlite3.SQLITE_READONLY:
        return GalleryReadOnly(
            f"{where} or its folder is read-only; nothing was changed. Look at the "
            "file's rights and how its disk is mounted: a disk with errors is often mounted so"
        )
    if primary == sqlite3.SQLITE_NOTADB:
        return GalleryDamaged(f"{where} is not a SQLite database; choose another path")
    if primary == sqlite3.SQLITE_IOERR:
        return GalleryDamaged(
            f"{where} could not be read or written ({name}); the call was rolled back. "
            "Check the disk, then run `arcid doctor`"
        )
    return GalleryDamaged(
        f"{where} is damaged ({name}). Stop writing to it, run `arcid doctor`, "
        "and restore the last backup"
    )


def _no_text() -> InputError:
    return InputError(
        "a text holds what cannot be stored or looked up: a lone surrogate, which is half a "
        "character, or a NUL; nothing was changed"
    )


def gone(path: Path) -> GalleryUnavailable:
    """The database file disappeared under a running process."""
    return GalleryUnavailable(
        f"{path.name} is gone: it was deleted or moved while it was in use. Nothing was changed. "
        "Stop arcid, put the file back together with its -wal file, or restore a backup",
        stored=False,
    )


def unsettled() -> GalleryUnavailable:
    """The database server went away while a write was committed."""
    return GalleryUnavailable(
        "the database server went away while this was being stored: whether it was, is known when "
        "the server is back. Look then before you do it again, or send it again with the same "
        "Idempotency-Key; all that was acknowledged before is kept",
        stored=None,
    )


def _out_of_space(primary: int | None, path: Path | None) -> bool:
    """Quotas and some file systems report a full disk as an I/O error."""
    if primary != sqlite3.SQLITE_IOERR or path is None:
        return False
    try:
        return shutil.disk_usage(path.parent).free < _LITTLE_SPACE
    except OSError:
        return False


def _from_postgres(error: BaseException | None) -> ArcidError:
    state: str = getattr(error, "sqlstate", None) or ""
    if not state and type(error).__name__ == "DataError":  # the client library refused the text
        return _no_text()
    if state in ("55P03", "40001", "40P01", "57014"):
        return GalleryBusy("another process is writing to the gallery; nothing was changed")
    if state in ("53100", "53200"):
        return StorageFull("the database server is out of space; nothing was changed")
    if state == "25006":
        return GalleryReadOnly(
            "the database server takes no writes, as a standby does; nothing was changed. "
            "Let the URL name the server that takes them"
        )
    if state.startswith("XX"):
        return GalleryDamaged(f"the database server reports damage ({state})")
    if not state or state.startswith(("08", "57P", "28", "3D")):
        return GalleryUnavailable(
            "the database server cannot be reached or refuses the login; nothing was changed, and "
            "what was stored is kept. Check whether the server runs, then the URL; arcid goes on "
            "by itself when it answers",
            stored=False,
        )
    return GalleryError(f"the database refused the call ({state}); nothing was changed")
