"""Checksums over rows and vectors: a damaged value is an error, never an answer.

SQLite and PostgreSQL notice a broken page structure, not a flipped byte inside a name or a vector.
CRC-32 guards against damage (torn copies, bad blocks), not against somebody with write access:
that is what sealing does in a protected gallery (``arcid.vault``). It is over what is stored,
so that damage is found without a key.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from arcid.errors import GalleryDamaged
from arcid.gallery import schema
from arcid.types import FloatArray
from arcid.vault import OVERHEAD, Vault, place
from arcid.vault.sealing import key_of, unseal


def row_seal(table: str, row: Any) -> int:
    """CRC-32 over the columns of ``row`` (a mapping) that carry its meaning."""
    info = schema.metadata.tables[table].info
    values = [row[column] for column in info["sealed"]]
    values += [row[column] for column in info["later"] if row.get(column) is not None]
    return zlib.crc32(json.dumps(values, default=repr).encode())


def check_row(table: str, row: Any) -> None:
    """Raise ``GalleryDamaged`` unless the row (a mapping) is what was once written."""
    if row_seal(table, row) != row["seal"]:
        raise damaged(f"a row of {table}")


def vector_seal(face_key: int, contract_key: int, vector: bytes) -> int:
    """Binds a vector to its face and contract, so that swapped rows are noticed too."""
    return zlib.crc32(vector, zlib.crc32(b"%d/%d" % (face_key, contract_key)))


def image_seal(face_key: int, image: bytes) -> int:
    return zlib.crc32(image, zlib.crc32(b"%d" % face_key))


def pack(vector: FloatArray) -> bytes:
    """(D,) float32 in; little-endian bytes out."""
    return np.ascontiguousarray(vector, "<f4").tobytes()


_VECTOR = place("vector") + b"/"


def vector_place(collection: int, person: int, face: int, contract: int) -> bytes:
    """What a sealed vector is bound to."""
    return _VECTOR + b"%d/%d/%d/%d" % (collection, person, face, contract)


def unpack(rows: Sequence[Any], contract_key: int, dim: int, vault: Vault) -> FloatArray:
    """Rows (face, vector bytes, seal, person, collection) in; (N,D) float32 out, each one checked.

    Raises ``GalleryDamaged``, ``SealBroken``, ``KeyUnavailable``.
    """
    size = dim * 4
    keys: list[int] = []  # of the data keys, in the order of the sealed rows
    for face, stored, seal, *_ in rows:
        unsealed = len(stored) == size
        if not unsealed and len(stored) != size + OVERHEAD:
            raise damaged("a vector")
        if vector_seal(face, contract_key, stored) != seal:
            raise damaged("a vector")
        if not unsealed:
            keys.append(key_of(stored))
    if len(keys) < len(rows):
        vault.allow_unsealed()
    if not keys:
        clear = [row[1] for row in rows]
    else:
        ciphers, at = vault.ciphers(keys), iter(keys)
        sealed = [row for row in rows if len(row[1]) != size]
        opened = iter(
            unseal(
                (ciphers[next(at)], stored, vector_place(collection, person, face, contract_key))
                for face, stored, _, person, collection in sealed
            )
        )
        clear = [row[1] if len(row[1]) == size else next(opened) for row in rows]
    return np.frombuffer(b"".join(clear), "<f4").astype(np.float32, copy=False).reshape(-1, dim)


def damaged(what: str) -> GalleryDamaged:
    return GalleryDamaged(
        f"{what} in the gallery is not what was written: the file is damaged. "
        "Stop writing to it, run `arcid doctor`, and restore the last backup"
    )
