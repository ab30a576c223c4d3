"""What OpenVINO compiled, kept so that the next process need not: a third of a second for the two
default models.

A file lies in ``paths.compiled_dir()``, private, and holds a model's weights and nothing else. Its
name is a hash of all it was made of, the model's own bytes first; it begins with the sha256 of the
rest. One that is damaged or cannot be read is as good as none, and where none can be written none
is kept. A folder that others may write to is left alone: the model's hash was checked, not theirs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from arcid import files, paths
from arcid.errors import ArcidError

log = logging.getLogger(__name__)
FORMAT = 1
LEAST_BYTES = 64 << 10  # a smaller model is compiled as fast as it is read
LIMIT_BYTES = 1 << 30  # of all files; those used longest ago go first
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True, repr=False)
class Compiled:
    """A network as OpenVINO exports it, and the names its file gave."""

    input_name: str
    output_names: tuple[str, ...]
    blob: bytes


def name_of(model: bytes, weights: bytes | None, *made: object) -> str:
    """The file for a model and all else that it is compiled by."""
    digest = hashlib.sha256(repr((FORMAT, *made)).encode())
    for part in (model, weights or b""):
        digest.update(hashlib.sha256(part).digest())
    return f"{digest.hexdigest()}.blob"


def find(name: str) -> Compiled | None:
    """What ``keep`` kept under the name; None where that is not there, or not whole."""
    folder = _folder()
    if folder is None:
        return None
    try:
        data = memoryview((folder / name).read_bytes())
        if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
            log.warning("a compiled model was damaged", extra={"file": name})
            return None
        os.utime(folder / name)  # used now
    except OSError:
        return None
    head, _, _ = bytes(data[_DIGEST : _DIGEST + (64 << 10)]).partition(b"\n")
    input_name, output_names = json.loads(head)
    return Compiled(input_name, tuple(output_names), bytes(data[_DIGEST + len(head) + 1 :]))


def keep(name: str, compiled: Compiled) -> None:
    """For ``find``, where the folder takes it."""
    head = json.dumps([compiled.input_name, compiled.output_names]).encode() + b"\n"
    size = _DIGEST + len(head) + len(compiled.blob)
    if size > LIMIT_BYTES:
        return
    digest = hashlib.sha256(head)
    digest.update(compiled.blob)
    try:
        if (folder := _folder(make=True)) is not None:
            _make_room(folder, size)
            with files.replacing(folder / name, private=True) as stream:
                stream.writelines((digest.digest(), head, compiled.blob))
    except (ArcidError, OSError) as error:
        log.info("a compiled model was not kept", extra={"cause": type(error).__name__})


def _folder(*, make: bool = False) -> Path | None:
    """None where none is wanted, it is not there, or others than its owner may write to it."""
    folder = paths.compiled_dir()
    if folder is None:
        return None
    if make:  # ARCID_HOME, too, is its owner's alone
        for one in (folder.parent.parent, folder.parent, folder):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        found = folder.stat()
    except OSError:
        return None
    if os.name == "posix":
        own = found.st_uid in (os.geteuid(), 0)
        if not own or stat.S_IMODE(found.st_mode) & 0o022:
            return None
    return folder


def _make_room(folder: Path, size: int) -> None:
    """Delete what was used longest ago until ``size`` more bytes are within the limit."""
    found = [(file, file.stat()) for file in folder.glob("*.blob")]
    found.sort(key=lambda pair: pair[1].st_mtime)
    total = size + sum(about.st_size for _, about in found)
    for file, about in found:
        if total <= LIMIT_BYTES:
            return
        with contextlib.suppress(OSError):
            file.unlink()
        total -= about.st_size
