"""How far a SQLite gallery has come, kept outside it: ``FILE-mark``.

SQLite ends its write-ahead log at the first page whose checksum fails and calls the rest never
written. The mark is written and synced after each commit and before the caller hears of it, so a
database that ends before its mark has lost acknowledged writes.

The file holds numbers only. Each number has a page of its own, and commits take four pages in turn:
a torn write leaves the others, and processes that write at once need no lock, since an older number
never replaces a newer one.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from arcid import files

_PAGE = 4096
_TURNS = 4
_PAGES = {"scrubbed": _TURNS, "rebuilt": _TURNS + 1}
_SIZE = _PAGE * (_TURNS + len(_PAGES))
_RECORD = struct.Struct("<8s16sQQ")
_MAGIC = b"arcidmk1"
_SUM = struct.Struct("<I")


class Point(NamedTuple):
    """One commit of one gallery."""

    identity: str  # of the gallery, 32 hex digits
    write: int  # commits are numbered
    stamp: int  # random, new with each commit


class Mark:
    """The file beside a database. Every method opens it anew: it may be restored or removed."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + "-mark")
        self._database = database
        self._reached: dict[str, int] = {}  # what this process did is not done again without a file

    def acknowledged(self) -> Point | None:
        """The last commit that was acknowledged; None without a readable mark."""
        pages = self._read()
        found = [point for at in range(_TURNS) if (point := _unpacked(pages, at)) is not None]
        return max(found, key=lambda point: point.write, default=None)

    def acknowledge(self, point: Point) -> None:
        """Raises ``OSError`` and what ``start`` does; the mark then stays where it was."""
        self._put(point.write % _TURNS, point)

    def reached(self, what: str) -> int:
        """The commit up to which what was erased is ``scrubbed`` or ``rebuilt`` away."""
        point = _unpacked(self._read(), _PAGES[what])
        return max(0 if point is None else point.write, self._reached.get(what, 0))

    def reach(self, what: str, point: Point) -> None:
        """Raises as ``acknowledge``."""
        self._reached[what] = point.write
        self._put(_PAGES[what], point)

    def start(self, point: Point) -> None:
        """Begin anew from a commit. Raises ``UsageError``, ``StorageFull``."""
        self._reached.clear()
        self._write(point)

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError:
            return b""

    def _write(self, point: Point, *at: int) -> None:
        """A new file that knows of this commit, also on the pages ``at``."""
        content = bytearray(_SIZE)
        record = _packed(point)
        for page in (point.write % _TURNS, *at):
            content[page * _PAGE : page * _PAGE + len(record)] = record
        files.write_bytes(self.path, bytes(content), private=True)
        files.share_as(self.path, self._database)

    def _put(self, at: int, point: Point) -> None:
        if not self.path.exists():
            self._write(point, at)
            return
        with self.path.open("r+b", buffering=0) as file:
            file.seek(at * _PAGE)
            there = _unpacked(file.read(_PAGE), 0)
            if there is not None and there.write >= point.write:
                return
            file.seek(at * _PAGE)
            file.write(_packed(point))
            _sync(file.fileno())


_sync = getattr(os, "fdatasync", os.fsync)


def _packed(point: Point) -> bytes:
    record = _RECORD.pack(_MAGIC, bytes.fromhex(point.identity), point.write, point.stamp)
    return record + _SUM.pack(zlib.crc32(record))


def _unpacked(pages: bytes, at: int) -> Point | None:
    page = pages[at * _PAGE :]
    record = page[: _RECORD.size]
    if page[_RECORD.size : _RECORD.size + _SUM.size] != _SUM.pack(zlib.crc32(record)):
        return None
    if len(record) < _RECORD.size:
        return None
    magic, identity, write, stamp = _RECORD.unpack(record)
    return Point(identity.hex(), write, stamp) if magic == _MAGIC else None
