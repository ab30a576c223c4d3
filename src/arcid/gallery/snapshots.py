"""Sealed copies of indexes in files, so that a start reads them instead of every vector.

One file for an index, sealed in pieces by AES-256-GCM with a data key of its own. Erasing a face of
the collection destroys that key (``sealed.doom_index``), so that whatever copy there is opens no
more. A file says at which change of the log it stands: what came after is followed from there.

    magic, length of the header, header (JSON), then the pieces of each part: nonce, sealed bytes

Every piece is bound to the header, the part and its place in it: a file that was cut, mixed or
changed does not open. It is never the truth: where anything is amiss, the index is built from SQL.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO

from arcid import files, paths
from arcid.errors import GalleryDamaged
from arcid.gallery.database import Database
from arcid.gallery.index.state import Part, State
from arcid.vault.sealing import NONCE_BYTES, Cipher

MAGIC = b"arcid-index\x01\n"
FORMAT = 2  # grows when codes, steps or errors are computed otherwise
SUFFIX = "-index"
WORTH_ROWS = 20_000  # fewer are built at once
PIECE_BYTES = 1 << 21  # 4,096 rows of 512 numbers
LEFT_S = 3600  # a draft this old was left by a process that died
_LENGTH = struct.Struct("<I")
_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Header:
    """What a file holds, and where in the change log it stands."""

    identity: str  # of the gallery
    collection: str  # uid
    contract: str
    dim: int
    rows: int
    block_rows: int
    last_change: int
    stamp: int
    mark: str  # digest of the entry of that change
    key_id: int
    format: int = FORMAT

    def sizes(self) -> list[int]:
        """Rows of each part."""
        whole, rest = divmod(self.rows, self.block_rows)
        return [self.block_rows] * whole + [rest] * (rest > 0)


def path_of(database: Database, identity: str, collection: str, contract: str) -> Path:
    """Beside a SQLite file; for PostgreSQL in ``ARCID_HOME``, on each machine."""
    name = hashlib.sha256(f"{collection}/{contract}".encode()).hexdigest()[:32]
    if database.path is not None:
        folder = database.path.with_name(database.path.name + SUFFIX)
    else:
        folder = paths.home_dir() / "cache" / "index" / identity
    return folder / f"{name}.sealed"


def write(path: Path, header: Header, by: Cipher, state: State) -> None:
    """Raises ``StorageFull``, ``UsageError``."""
    _tidy(path.parent)
    head = _packed(header)
    digest = hashlib.sha256(head).digest()
    with files.replacing(path, private=True) as stream:
        stream.write(head)
        for number, part in enumerate(state.parts()):
            data = part.packed()
            for at, (start, stop) in enumerate(_pieces(len(data))):
                nonce = os.urandom(NONCE_BYTES)
                stream.write(nonce)
                where = _place(digest, number, at)
                stream.write(by.encrypt(nonce, data[start:stop], where))


def header_of(path: Path) -> Header | None:
    """None where there is no file that this version reads."""
    try:
        with path.open("rb") as stream:
            return _header(stream)
    except (OSError, ValueError, TypeError, struct.error):
        return None


def name_of(header: Header) -> str:
    """The same for one file only."""
    return hashlib.sha256(_packed(header)).hexdigest()


def parts(path: Path, header: Header, by: Cipher) -> list[Callable[[], Part]]:
    """In order, each opened where it is called. Both raise ``GalleryDamaged``, ``OSError``."""
    size, packed = path.stat().st_size, _packed(header)
    if Part.nbytes_of(header.rows, header.dim) > size:
        raise _damaged()
    digest, start, jobs = hashlib.sha256(packed).digest(), len(packed), []
    for number, rows in enumerate(header.sizes()):
        jobs.append((number, rows, start))
        plain = Part.nbytes_of(rows, header.dim)
        start += plain + len(_pieces(plain)) * (NONCE_BYTES + _TAG_BYTES)
    if size != start:
        raise _damaged()

    def read(number: int, rows: int, at: int) -> Part:
        return Part.unpacked(_opened(path, at, number, digest, by, rows, header.dim), header.dim)

    return [partial(read, *job) for job in jobs]


def forget(path: Path) -> None:
    """Nothing opens it any more."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _opened(
    path: Path, at: int, number: int, digest: bytes, by: Cipher, rows: int, dim: int
) -> bytearray:
    from cryptography.exceptions import InvalidTag

    data = bytearray(Part.nbytes_of(rows, dim))
    with path.open("rb") as stream:
        stream.seek(at)
        for piece, (start, stop) in enumerate(_pieces(len(data))):
            nonce = stream.read(NONCE_BYTES)
            sealed = stream.read(stop - start + _TAG_BYTES)
            try:
                data[start:stop] = by.decrypt(nonce, sealed, _place(digest, number, piece))
            except (InvalidTag, ValueError):
                raise _damaged() from None
    return data


def _pieces(length: int) -> list[tuple[int, int]]:
    return [(s, min(s + PIECE_BYTES, length)) for s in range(0, length, PIECE_BYTES)]


def _place(digest: bytes, part: int, piece: int) -> bytes:
    return b"arcid/1/index/%b/%d/%d" % (digest, part, piece)


def _packed(header: Header) -> bytes:
    text = json.dumps(asdict(header), sort_keys=True).encode()
    return MAGIC + _LENGTH.pack(len(text)) + text


def _header(stream: IO[bytes]) -> Header:
    """Raises ``ValueError`` and its like for anything else."""
    if stream.read(len(MAGIC)) != MAGIC:
        raise ValueError("no index")
    (length,) = _LENGTH.unpack(stream.read(_LENGTH.size))
    header = Header(**json.loads(stream.read(length)))
    if header.format != FORMAT or min(header.rows, header.block_rows, header.dim) < 1:
        raise ValueError("another format")
    return header


def _damaged() -> GalleryDamaged:
    return GalleryDamaged("the copy of the index is damaged")


def _tidy(folder: Path) -> None:
    """Drafts that a process left which died while it wrote."""
    with suppress(OSError):
        for draft in folder.glob(".*.part"):
            if time.time() - draft.stat().st_mtime > LEFT_S:
                forget(draft)
