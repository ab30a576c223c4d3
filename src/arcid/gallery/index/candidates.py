"""What may still be among the best k of one probe: by upper bounds first, then by cosines."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.gallery.index import Keys
from arcid.gallery.index.blocks import Block, Piece, Rows
from arcid.types import FloatArray

_PRUNE_AT = 512  # rows that may wait before the floor is raised
_SAMPLE = 4096
_FIRST_BATCH = 16  # rows measured before anything is known of the true cosines
NOTHING = -np.inf


def kth(values: npt.NDArray[np.floating[Any]], k: int) -> float:
    """The k-th largest value; -inf where there are fewer."""
    return float(np.partition(values, -k)[-k]) if len(values) >= k else NOTHING


def bests(values: FloatArray, group: Rows, groups: int) -> FloatArray:
    """(groups,) the largest value of each group."""
    best = np.full(groups, NOTHING, np.float32)
    np.maximum.at(best, group, values)
    return best


def offer(piece: Piece, sets: Sequence[Candidates]) -> None:
    """Give each probe's candidates what can matter to it of a piece."""
    floors = [candidates.least(piece, probe) for probe, candidates in enumerate(sets)]
    for candidates, found in zip(sets, piece.reaching(floors), strict=True):
        candidates.take(piece.block, *found)


class Candidates:
    """Always holds the best k faces, or the best face of each of the best k people.

    Faces come in with an upper bound of their cosine and an error; no cosine is less than its
    bound by more than twice the error. ``floor`` is a cosine that k faces (people) are
    known to reach: whatever stays below is dropped. ``take`` may run in several threads.
    """

    def __init__(self, k: int, by_person: bool) -> None:
        self.floor = NOTHING
        self._k = k
        self._by_person = by_person
        self._lock = threading.Lock()
        self._parts: list[tuple[Keys, Keys, FloatArray, FloatArray]] = []
        self._waiting = 0
        self.faces: Keys = np.zeros(0, np.int64)
        self.people: Keys = np.zeros(0, np.int64)
        self.upper: FloatArray = np.zeros(0, np.float32)

    def least(self, piece: Piece, probe: int) -> float:
        """The least cosine with its probe ``probe`` that can matter of a piece."""
        return max(self.floor, self._first_floor(piece, probe))

    def take(self, block: Block, rows: Rows, upper: FloatArray) -> None:
        """Rows of a block that may matter, with their upper bounds."""
        if len(rows) == 0:
            return
        with self._lock:
            self._parts.append((block.faces[rows], block.people[rows], upper, block.error[rows]))
            self._waiting += len(rows)
            if self._waiting >= _PRUNE_AT or self.floor == NOTHING:
                self._prune()

    def settle(self) -> None:
        """End of the scan: order what is left, highest bound first."""
        self._prune()
        if not self._parts:
            self._parts = [(self.faces, self.people, self.upper, self.upper)]
        faces, people, upper, _ = self._parts.pop()
        order = np.argsort(-upper, kind="stable")
        self.faces, self.people, self.upper = faces[order], people[order], upper[order]
        self._open = np.arange(len(faces))
        self._batch = max(_FIRST_BATCH, 2 * self._k)
        self._group = self._open
        if self._by_person:
            self._group = np.unique(self.people, return_inverse=True)[1]
        self._groups = int(self._group.max(initial=-1)) + 1
        self._best = np.full(self._groups, NOTHING, np.float32)
        self._cosines = np.full(len(faces), NOTHING, np.float32)

    def next_batch(self) -> Rows:
        """Positions in ``faces`` to measure next; none once the answer is certain."""
        least = np.maximum(self._best[self._group[self._open]], kth(self._best, self._k))
        self._open = self._open[self.upper[self._open] >= least]
        batch, self._open = self._open[: self._batch], self._open[self._batch :]
        self._batch *= 4
        return batch

    def measured(self, batch: Rows, cosines: FloatArray) -> None:
        self._cosines[batch] = cosines
        np.maximum.at(self._best, self._group[batch], cosines)

    def result(self) -> tuple[Keys, Keys, FloatArray]:
        """(face keys, person keys, cosines) of all that were measured, in no order."""
        known = np.flatnonzero(self._cosines > NOTHING)
        return self.faces[known], self.people[known], self._cosines[known]

    def _first_floor(self, piece: Piece, probe: int) -> float:
        """Before any floor is known, the first few thousand rows of a piece give one."""
        few = 4 * self._k + 16
        seen = min(len(piece), max(_SAMPLE, 4 * few))
        if self.floor > NOTHING or seen < 2 * few:
            return NOTHING
        rows, upper = piece.highest(probe, few, seen)
        lower = upper - 2 * piece.block.error[rows]
        return self._floor_of(lower, piece.block.people[rows])[0]

    def _floor_of(self, lower: FloatArray, people: Keys) -> tuple[float, FloatArray]:
        """The k-th best of ``lower``, and for each row the best of its person (faces: -inf)."""
        if not self._by_person:
            return kth(lower, self._k), np.full(len(lower), NOTHING, np.float32)
        known, group = np.unique(people, return_inverse=True)
        best = bests(lower, group, len(known))
        return kth(best, self._k), best[group]

    def _prune(self) -> None:
        if not self._parts:
            return
        faces, people, bound, error = (np.concatenate(c) for c in zip(*self._parts, strict=True))
        floor, own = self._floor_of(bound - 2 * error, people)
        self.floor = max(self.floor, floor)
        kept = bound >= np.maximum(own, np.float32(self.floor))
        self._parts = [(faces[kept], people[kept], bound[kept], error[kept])]
        self._waiting = 0
