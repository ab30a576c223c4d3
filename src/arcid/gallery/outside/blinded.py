"""Vectors turned by a secret rotation before they leave, so that an engine never holds a template.

A rotation keeps every inner product, so an engine finds the same neighbours. It hides what a vector
says of a face from whoever has no rotated and plain vector of the same photos; it does not hide how
alike two templates are, and as many such pairs as a vector has numbers give the rotation away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from arcid.gallery.index import Keys
from arcid.gallery.outside import Engine, Place, Writer
from arcid.types import FloatArray

ROUNDING = 1e-5  # what float32 products of turned unit vectors may differ by


def rotation(key: bytes, dim: int) -> FloatArray:
    """(D,D) float32, orthogonal, drawn evenly from all (Haar) by a secret key.

    The same on every machine but for rounding: normal numbers from SHAKE-256 by Box and Muller,
    made orthonormal by QR, with the signs of R's diagonal (Mezzadri 2007).
    """
    count = dim * dim + dim * dim % 2
    bits = np.frombuffer(hashlib.shake_256(key).digest(8 * count), "<u8")
    first, second = ((bits >> np.uint64(11)) * 2.0**-53).reshape(2, -1)
    radius = np.sqrt(-2 * np.log1p(-first))
    normal = np.concatenate(
        [radius * np.cos(2 * np.pi * second), radius * np.sin(2 * np.pi * second)]
    )[: dim * dim].reshape(dim, dim)
    q, r = np.linalg.qr(normal)
    return np.ascontiguousarray(q * np.sign(np.diag(r)), np.float32)


def blinded(place: Place, key: bytes) -> Place:
    """Another place for every rotation, so that vectors of two never meet."""
    mark = hashlib.sha256(b"arcid rotation" + key).hexdigest()[:16]
    return place._replace(contract=f"{place.contract}~{mark}")


class Blinded:
    """``Engine`` that an engine sees turned vectors of."""

    def __init__(self, engine: Engine, key: bytes, dim: int) -> None:
        self._engine, self._turn = engine, rotation(key, dim)
        self.margin, self.most = engine.margin + ROUNDING, engine.most
        self.locks = engine.locks

    @contextmanager
    def writing(self) -> Iterator[BlindedWriter]:
        with self._engine.writing() as writer:
            yield BlindedWriter(writer, self._turn)

    def nearest(self, probe: FloatArray, count: int) -> tuple[Keys, FloatArray]:
        return self._engine.nearest(self._turn @ np.asarray(probe, np.float32), count)

    def __len__(self) -> int:
        return len(self._engine)

    def count(self) -> int:
        return self._engine.count()


class BlindedWriter:
    def __init__(self, writer: Writer, turn: FloatArray) -> None:
        self._writer, self._turn = writer, turn

    @property
    def position(self) -> str | None:
        return self._writer.position

    @position.setter
    def position(self, position: str | None) -> None:
        self._writer.position = position

    def empty(self) -> None:
        self._writer.empty()

    def remove(self, face_keys: Keys) -> None:
        self._writer.remove(face_keys)

    def add(self, face_keys: Keys, vectors: FloatArray) -> None:
        self._writer.add(face_keys, np.asarray(vectors, np.float32) @ self._turn.T)


__all__ = ["Blinded", "blinded", "rotation"]
