"""Files are written whole or not at all: beside their place, synced, then moved there.

    with files.replacing(path, private=True) as stream:
        np.savez(stream, vectors=vectors)

Until the block ends, whatever ``path`` held stays readable; if it fails, nothing is left behind.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import errno
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from arcid.errors import ArcidError, StorageFull, UsageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: NFS tells the last of a folder, which cannot be opened for writing.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF)
#: What a spreadsheet runs as a formula, and where it may see a cell begin: some split at ``;``.
_FORMULA = r"[\s\"'\x00-\x1f\u200b-\u200f\ufeff]*[=+\-@＝＋－＠]"
_BEGIN = r"(?:\A|(?<=[;,|\t\r\n]))"
_RISK = re.compile(rf"{_BEGIN}(?={_FORMULA})|\A(?='*[\t\r\n])")
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf)", re.I)
_COPY = ".copy"  # ends the name of what ``placing`` is at
_GUARD = re.compile(rf"{_BEGIN}'(?={_FORMULA})|\A'(?='*[\t\r\n])")


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Write a file that takes the name ``path`` when the block ends without an error.

    Its folder is made where it is missing. A private file is readable by its owner only; any other
    keeps the mode of the file it replaces. A link is followed; a device or pipe is written to as
    the block goes. Raises ``UsageError`` where the place cannot be written, ``StorageFull`` where
    it takes no more; what was there is then as it was. The block's own errors pass through.
    """
    with _told(path):
        target = path.resolve() if path.is_symlink() else path
        require_place(target)
        there = target.stat().st_mode if target.exists() else None
        target.parent.mkdir(parents=True, exist_ok=True)
        direct = there is not None and not stat.S_ISREG(there)
        part = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.part")
        flags = os.O_WRONLY | getattr(os, "O_BINARY", 0)
        mode = 0o600 if private else 0o666
        if direct:
            handle = os.open(target, flags)
        else:
            handle = os.open(part, flags | os.O_CREAT | os.O_EXCL, mode)
    stream = _Stream(_Raw(handle, path))
    try:
        yield stream
        with _told(path):
            stream.flush()
            if direct:
                stream.close()
                return
            if there is not None and not private:
                part.chmod(stat.S_IMODE(there))
            os.fsync(handle)
            stream.close()
            part.replace(target)
            sync(target.parent)
    except BaseException:
        with contextlib.suppress(Exception):
            stream.close()
        if not direct:
            with contextlib.suppress(OSError):
                part.unlink()
        raise


def write_bytes(path: Path, data: bytes, *, private: bool = False) -> None:
    """The whole content or nothing; raises what ``replacing`` does."""
    with replacing(path, private=private) as stream:
        stream.write(data)


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """UTF-8, the whole text or nothing; raises what ``replacing`` does."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"), private=private)


def create(path: Path, data: bytes, *, private: bool = False) -> bool:
    """A new file, whole; False where another process was first, whose file is left as it is.

    Raises what ``replacing`` does.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with _told(path):
        handle = os.open(draft, flags, 0o600 if private else 0o666)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(handle)
            os.link(draft, path)
            sync(path.parent)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
    return True


def append(path: Path, text: str) -> None:
    """UTF-8 at the end of a log, handed to the system; raises ``StorageFull``, ``UsageError``.

    A crash may leave part of the last line.
    """
    with _told(path), path.open("a", encoding="utf-8", newline="") as stream:
        stream.write(text)


@contextmanager
def placing(path: Path) -> Iterator[Path]:
    """As ``replacing`` with a private file, for a library that opens its file by name: yields that
    of an empty one beside ``path``.

    One at a time in a folder, so that what a killed process left there can go first. Raises
    ``UsageError`` while another process has the folder, too.
    """
    with _told(path):
        require_place(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.parent, os.O_RDONLY) if os.name == "posix" else None
    try:
        if handle is not None and not lock(handle):
            raise UsageError(
                f"another process is writing a copy into {path.parent}; wait until it has ended"
            )
        for left in path.parent.glob(f".*{_COPY}"):
            with contextlib.suppress(OSError):  # another system's lock
                left.unlink()
        part = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}{_COPY}")
        with _told(path):
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            yield part
            sync(part)
            with _told(path):
                part.replace(path)
            sync(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def alone(path: Path, busy: str = "") -> Iterator[None]:
    """Hold a file that is there against every other process that asks for it so, where the system
    has locks. Raises ``UsageError`` where another one holds it, which ``busy`` says in words."""
    with path.open("r+b") as stream:  # NFS locks no file that is only read
        if not lock(stream):
            busy = busy or f"another process is writing beside {path}; wait until it has ended"
            raise UsageError(busy)
        yield


def lock(stream: IO[bytes] | int, *, wait: bool = False) -> bool:
    """Whether the open file, or its handle, is this process's alone from now on, until it is
    closed; True where the system or its disk has no locks. ``wait``: until whoever has it closes
    it."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        return error.errno in _NO_LOCKS
    return True


def locked(path: Path, start: int, length: int) -> bool:
    """Whether another process has locked some of these bytes of a file, as SQLite does; False where
    the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return False
    with path.open("r+b") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except OSError:
            return True
    return False


def twin(path: Path, other: Path) -> None:
    """Give a file another name beside the one it has; where a disk knows no second names, a copy.

    Raises ``StorageFull``, ``UsageError``.
    """
    with _told(other):
        try:
            os.link(path, other)
        except FileExistsError:
            raise
        except OSError:
            with path.open("rb") as source, replacing(other, private=True) as stream:
                shutil.copyfileobj(source, stream)


def move(path: Path, target: Path) -> None:
    """Give a file or folder another name, durably; a file there is replaced.

    Raises ``StorageFull``, ``UsageError``.
    """
    with _told(target):
        path.replace(target)
        sync(target.parent)
        if path.parent != target.parent:
            sync(path.parent)


def publish(folder: Path, target: Path) -> None:
    """Give a folder that is ready its name; what has that name is replaced.

    Both lie on one file system. A reader sees the old folder, for an instant none, then the new
    one; never a mixture. Raises ``StorageFull``, ``UsageError``; the old one is then in its place.
    """
    for file in folder.iterdir():
        sync(file)
    sync(folder)
    old = folder.with_name(f"{folder.name}-old")
    with _told(target):
        if target.exists():
            target.rename(old)
        try:
            folder.rename(target)
        except OSError:
            with contextlib.suppress(OSError):
                old.rename(target)
            raise
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def write_csv(
    path: Path,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    private: bool = False,
) -> None:
    """A CSV in which no spreadsheet finds a formula; raises what ``replacing`` does."""
    with replacing(path, private=private) as stream:
        text = codecs.getwriter("utf-8")(stream, "surrogateescape")
        _write_rows(text, header, rows, "\n")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The same as text, lines ending as RFC 4180 says."""
    buffer = io.StringIO(newline="")
    _write_rows(buffer, header, rows, "\r\n")
    return buffer.getvalue()


def guarded(text: str) -> str:
    """Text that stays text in a spreadsheet: an apostrophe leads whatever would run as a formula.

    Also behind ``;``, ``,``, ``|``, tabs and line ends, at which some split a cell. ``unguarded``
    gives the text back. Numbers are left alone.
    """
    return text if _NUMBER.fullmatch(text) else _RISK.sub("'", text)


def unguarded(text: str) -> str:
    """What ``guarded`` was handed."""
    return _GUARD.sub("", text)


def require_place(path: Path) -> None:
    """Raise before the work what ``replacing`` would raise after it: ``UsageError``."""
    with _told(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        _require(path.parent)


def require_folder(folder: Path) -> None:
    """Raise ``UsageError`` where a folder is not there and cannot be made, or is not writable."""
    with _told(folder):
        _require(folder)


def not_written(path: Path, error: OSError) -> ArcidError:
    """What a failed write is called: ``StorageFull``, or ``UsageError`` for a wrong place."""
    kind = StorageFull if error.errno in FULL else UsageError
    return kind(
        f"{path} cannot be written: {error.strerror or error}; what was there is as it was",
        path=str(path),
    )


def sync(path: Path) -> None:
    """Make a file's bytes, or the renames in a folder, durable; not every system opens folders."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def share_as(path: Path, other: Path) -> None:
    """Give ``path`` the owner, group and rights of ``other``, as far as the system allows."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        model = other.stat()
        for owner, group in ((-1, model.st_gid), (model.st_uid, -1)):
            with contextlib.suppress(OSError):
                os.chown(path, owner, group)
        path.chmod(stat.S_IMODE(model.st_mode))


class _Raw(io.FileIO):
    """A file whose failing writes are told with the name it will have."""

    def __init__(self, handle: int, path: Path) -> None:
        super().__init__(handle, "wb")
        self._path = path

    def write(self, data: Any) -> int:
        with _told(self._path):
            return super().write(data)


class _Stream(io.BufferedWriter):
    """Hides the handle, so that every library writes through ``write`` and its errors are told."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise not_written(path, error) from None


def _require(folder: Path) -> None:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"{folder} may not be written")


def _write_rows(
    stream: Any, header: Sequence[str], rows: Iterable[Sequence[object]], end: str
) -> None:
    writer = csv.writer(stream, lineterminator=end)
    writer.writerow(header)
    writer.writerows(
        [guarded(c.replace("\0", "")) if isinstance(c, str) else c for c in row] for row in rows
    )


__all__ = [
    "FULL",
    "alone",
    "append",
    "create",
    "csv_text",
    "guarded",
    "lock",
    "locked",
    "move",
    "not_written",
    "placing",
    "publish",
    "replacing",
    "require_folder",
    "require_place",
    "share_as",
    "sync",
    "twin",
    "unguarded",
    "write_bytes",
    "write_csv",
    "write_text",
]
