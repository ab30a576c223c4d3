"""Where photos lie: a folder, or a zip archive that is read in place and never unpacked.

An archive is a stranger's: before one of its photos is read, all of its directory is checked, and
what could lead out of it, blow up or hide is refused as a whole (``ArchiveRefused``).
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Protocol

from arcid.errors import ArchiveRefused, ImageTooLarge, ImageUnreadable, InputError
from arcid.image import DEFAULT_LIMITS

MIB = 2**20
MAX_ENTRIES = 100_000
MAX_DIRECTORY_BYTES = 64 * MIB  # of an archive's list of entries, which is read into memory
MAX_UNPACKED_BYTES = 64 * 1024 * MIB
_END, _END64, _LOCATOR = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_DAMAGED = (zipfile.BadZipFile, zlib.error)
_JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini")


class Store(Protocol):
    """Files by their path from the top, written with /."""

    def names(self) -> list[str]:
        """Every file, by name; what systems leave behind is not there."""

    def read(self, name: str) -> bytes:
        """All of it, in whatever thread. Raises ``ImageError`` kinds."""

    def close(self) -> None: ...


class Folder:
    """On this machine. ``within``: a file that lies elsewhere in truth, by a link, is not there.

    Raises ``InputError`` where the folder is none.
    """

    def __init__(
        self,
        path: Path,
        within: Path | None = None,
        *,
        max_photo_bytes: int = DEFAULT_LIMITS.max_bytes,
    ) -> None:
        self._path, self._within, self._most = path, within, max_photo_bytes
        if not path.is_dir():
            raise InputError(f"{path} is not a folder that can be read here")

    def names(self) -> list[str]:
        found = (p for p in self._path.rglob("*") if p.is_file() and self._inside(p))
        return _visible(p.relative_to(self._path).as_posix() for p in found)

    def read(self, name: str) -> bytes:
        path = self._path / name
        shown = PurePosixPath(name).name
        if ".." in PurePosixPath(name).parts or not self._inside(path):
            raise ImageUnreadable(f"{shown} lies outside of the folder")
        try:
            _check_size(shown, path.stat().st_size, self._most)
            return path.read_bytes()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "its name is none here"
            raise ImageUnreadable(f"{shown} cannot be opened: {why}") from None

    def close(self) -> None:
        """Nothing is open."""

    def _inside(self, path: Path) -> bool:
        return self._within is None or path.resolve().is_relative_to(self._within.resolve())


class Archive:
    """A zip file. Raises ``ArchiveRefused``; ``max_photo_bytes`` is of one photo, unpacked."""

    def __init__(self, path: Path, *, max_photo_bytes: int = DEFAULT_LIMITS.max_bytes) -> None:
        self._most = max_photo_bytes
        try:
            _check_directory(path)
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, UnicodeError, struct.error) as error:
            raise ArchiveRefused(f"the archive is damaged, or no zip file: {error}") from None
        except OSError as error:
            raise InputError(f"the archive cannot be read: {error.strerror}") from None
        try:
            _check(self._zip.infolist(), self._zip.start_dir)
        except ArchiveRefused:
            self._zip.close()
            raise
        self._entries = {i.filename: i for i in self._zip.infolist() if not i.is_dir()}

    def names(self) -> list[str]:
        return _visible(self._entries)

    def read(self, name: str) -> bytes:
        shown = PurePosixPath(name).name
        entry = self._entries.get(name)
        if entry is None:
            raise ImageUnreadable(f"{shown} is not in the archive any more")
        _check_size(shown, entry.file_size, self._most)
        try:
            with self._zip.open(entry) as stream:
                return stream.read()  # no more than file_size says
        except (*_DAMAGED, OSError, EOFError, ValueError, NotImplementedError) as error:
            raise ImageUnreadable(f"{shown} is damaged in the archive: {error}") from None

    def close(self) -> None:
        self._zip.close()


def _check_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise ImageTooLarge(
            f"{name} has {size / MIB:.1f} MiB; at most {most / MIB:.1f} are read", max_bytes=most
        )


def _visible(names: Iterable[str]) -> list[str]:
    return sorted(n for n in names if not any(_is_junk(part) for part in n.split("/")))


def _is_junk(part: str) -> bool:
    return part in _JUNK or (part.startswith(".") and part != ".")


def _check_directory(path: Path) -> None:
    """Before the list of entries is read into memory: how long it says it is."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 65_557))
        tail = file.read()
        at = tail.rfind(_END)
        if at < 0 or len(tail) < at + 22:
            raise ArchiveRefused("the archive is damaged, or no zip file: it has no end record")
        entries, length = struct.unpack("<HI", tail[at + 10 : at + 16])
        locator = tail[max(0, at - 20) : at]
        if locator.startswith(_LOCATOR):
            file.seek(struct.unpack("<Q", locator[8:16])[0])
            record = file.read(56)
            if not record.startswith(_END64) or len(record) < 56:
                raise ArchiveRefused("the archive is damaged: its 64-bit end record is not there")
            entries, length = struct.unpack("<QQ", record[32:48])
    if entries > MAX_ENTRIES or length > MAX_DIRECTORY_BYTES:
        raise ArchiveRefused(
            f"the archive lists {entries:,} files in {length / MIB:.1f} MiB; at most "
            f"{MAX_ENTRIES:,} in {MAX_DIRECTORY_BYTES / MIB:.0f} MiB are read: split it",
            entries=entries,
        )


def _check(entries: list[zipfile.ZipInfo], directory_at: int) -> None:
    """Refuse the whole of an archive that was not made to carry photos. Entries are named by their
    number: their names may be people's."""
    if len(entries) > MAX_ENTRIES:
        raise ArchiveRefused(f"the archive has {len(entries):,} files; at most {MAX_ENTRIES:,}")
    unpacked = 0
    for number, entry in enumerate(entries, 1):
        parts = PurePosixPath(entry.filename).parts
        mode = entry.external_attr >> 16
        if entry.orig_filename != entry.filename or "\\" in entry.filename or not parts:
            raise _refused(number, "has a name that systems read differently")
        if parts[0] == "/" or ".." in parts or ":" in parts[0]:
            raise _refused(number, "has a path that leads out of the archive")
        if stat.S_ISLNK(mode) or (stat.S_IFMT(mode) and not (_is_plain(mode))):
            raise _refused(number, "is a link or a device, not a file")
        if entry.flag_bits & 0x1:
            raise _refused(number, "is encrypted; make the archive without a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refused(number, "is packed in a way other than stored or deflated")
        unpacked += entry.file_size
    if unpacked > MAX_UNPACKED_BYTES:
        raise ArchiveRefused(
            f"the archive would unpack to {unpacked / MIB / 1024:,.0f} GiB; at most "
            f"{MAX_UNPACKED_BYTES / MIB / 1024:.0f} are read",
            max_bytes=MAX_UNPACKED_BYTES,
        )
    _check_apart(entries, directory_at)


def _check_apart(entries: list[zipfile.ZipInfo], directory_at: int) -> None:
    """No two entries share bytes, as those of a zip bomb do."""
    ordered = sorted(enumerate(entries, 1), key=lambda pair: pair[1].header_offset)
    ends = [*(entry.header_offset for _, entry in ordered[1:]), directory_at][: len(ordered)]
    for (number, entry), end in zip(ordered, ends, strict=True):
        if entry.header_offset + 30 + entry.compress_size > end:
            raise _refused(number, "overlaps another one, as in a zip bomb")
    if len({entry.filename for entry in entries}) != len(entries):
        raise ArchiveRefused("the archive has two files of one name")


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _refused(number: int, why: str) -> ArchiveRefused:
    return ArchiveRefused(f"the archive was refused: its entry {number} {why}", entry=number)
