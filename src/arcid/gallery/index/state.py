"""A whole state of the exact index as a file may hold it, ready to be scanned again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from arcid.gallery.index import Keys, int8
from arcid.gallery.index.blocks import Block, NewRows, rows_of
from arcid.types import FloatArray

_ROW_BYTES = 8 + 8 + 4 + 4  # keys of face and person, step, error


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """n rows of D numbers."""

    faces: Keys  # (n,) int64
    people: Keys  # (n,) int64
    step: FloatArray  # (n,) float32
    error: FloatArray  # (n,) float32
    codes: int8.Codes  # (n,D) int8

    def __len__(self) -> int:
        return len(self.faces)

    @staticmethod
    def nbytes_of(rows: int, dim: int) -> int:
        return rows * (_ROW_BYTES + dim)

    def packed(self) -> memoryview:
        """All of it, little-endian."""
        arrays = [
            self.faces.astype("<i8"), self.people.astype("<i8"),
            self.step.astype("<f4"), self.error.astype("<f4"), self.codes,
        ]  # fmt: skip
        return memoryview(b"".join([np.ascontiguousarray(a).data.cast("B") for a in arrays]))

    @classmethod
    def unpacked(cls, data: bytearray | memoryview, dim: int) -> Part:
        """What ``packed`` gave, which must not change as long as the part is in use."""
        rows = len(data) // (_ROW_BYTES + dim)
        found, at = [], 0
        for kind, size in (("<i8", 8), ("<i8", 8), ("<f4", 4), ("<f4", 4)):
            found.append(np.frombuffer(data, kind, rows, at))
            at += rows * size
        codes = np.frombuffer(data, np.int8, rows * dim, at).reshape(rows, dim)
        faces, people, step, error = found
        return cls(
            faces.astype(np.int64, copy=False), people.astype(np.int64, copy=False),
            step.astype(np.float32, copy=False), error.astype(np.float32, copy=False), codes,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class State:
    """What an index held at one time; it stays so, whatever is written to the index."""

    blocks: Sequence[Block]
    full: int  # rows of a whole block
    dim: int

    def __len__(self) -> int:
        return sum(block.size - block.removed for block in self.blocks)

    def parts(self) -> Iterator[Part]:
        """The rows that are left, in whole blocks, and the rest."""
        waiting: list[NewRows] = []
        room = self.full
        for block in self.blocks:
            rows = rows_of(block, block.alive)
            while len(rows):
                first = rows.take(slice(room))
                waiting.append(first)
                room -= len(first)
                rows = rows.take(slice(len(first), None))
                if room == 0:
                    yield _joined(waiting)
                    waiting, room = [], self.full
        if waiting:
            yield _joined(waiting)


def _joined(rows: Sequence[NewRows]) -> Part:
    return Part(
        np.concatenate([r.faces for r in rows]),
        np.concatenate([r.people for r in rows]),
        np.concatenate([r.rows.step for r in rows]),
        np.concatenate([r.rows.error for r in rows]),
        np.concatenate([r.rows.codes for r in rows]),
    )
