"""Checksums over rows and vectors: a damaged value is an error, never an answer.

SQLite and PostgreSQL notice a broken page structure, not a flipped byte inside a name or a vector.
CRC-32 guards against damage (torn copies, bad blocks), not against somebody with write access.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from arcid.errors import GalleryDamaged
from arcid.gallery import schema
from arcid.types import FloatArray


def row_seal(table: str, row: Any) -> int:
    """CRC-32 over the columns of ``row`` (a mapping) that carry its meaning."""
    values = [row[column] for column in schema.metadata.tables[table].info["sealed"]]
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


def unpack(rows: list[Any], contract_key: int, dim: int) -> FloatArray:
    """Rows (face key, vector bytes, seal) in; (N,D) float32 out, each one checked."""
    size = dim * 4
    for face_key, vector, seal in rows:
        if len(vector) != size or vector_seal(face_key, contract_key, vector) != seal:
            raise damaged("a vector")
    joined = b"".join([row[1] for row in rows])
    return np.frombuffer(joined, "<f4").astype(np.float32, copy=False).reshape(-1, dim)


def damaged(what: str) -> GalleryDamaged:
    return GalleryDamaged(
        f"{what} in the gallery is not what was written: the file is damaged. "
        "Stop writing to it, run `arcid doctor`, and restore the last backup"
    )
