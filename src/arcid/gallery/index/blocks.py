"""Blocks of int8 rows that are replaced, never changed, so a search needs no lock.

A state of the index is a list of blocks: full ones first, and at most one that still grows, last.
The functions here take a list and give a new one; blocks that a search may hold stay as they are.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.gallery.index import Keys, int8
from arcid.memory import give_back_freed_memory
from arcid.types import FloatArray

BLOCK_ROWS = 65_536
FIRST_ROWS = 256  # room a growing block starts with; doubled as needed
CLOSER_ROWS = 2048  # multiplied with a probe in full at a time
REMOVED_SHARE = 4  # a block is rewritten once more than 1/4 of it was removed

Rows = npt.NDArray[np.intp]
_NO_ROWS: Rows = np.zeros(0, np.intp)


@dataclass(frozen=True, eq=False, repr=False)
class Block:
    """Rows of one block. Those past ``size`` are spare room, which a successor may fill."""

    codes: int8.Codes  # (room,D) int8
    faces: Keys  # (room,) int64
    people: Keys  # (room,) int64
    step: FloatArray  # (room,) float32
    error: FloatArray  # (room,) float32 largest error of any cosine; -inf: the row was removed
    size: int = 0
    removed: int = 0

    @property
    def nbytes(self) -> int:
        columns = (self.codes, self.faces, self.people, self.step, self.error)
        order: Rows | None = self.__dict__.get("by_person")
        held = sum(column.nbytes for column in columns)
        return held + (0 if order is None else order.nbytes)

    @functools.cached_property
    def by_person(self) -> Rows:
        """(size,) rows in the order of their person keys."""
        return np.argsort(self.people[: self.size], kind="stable")

    @functools.cached_property
    def span(self) -> tuple[int, int]:
        """The least and the greatest face key."""
        faces = self.faces[: self.size]
        return int(faces.min()), int(faces.max())

    @property
    def alive(self) -> Rows:
        return np.flatnonzero(self.error[: self.size] >= 0)

    def find(self, keys: Keys) -> tuple[Rows, Rows]:
        """Sorted face keys in; the rows that hold them and their positions in ``keys`` out."""
        low, high = self.span
        if np.searchsorted(keys, low) == np.searchsorted(keys, high, "right"):
            return _NO_ROWS, _NO_ROWS
        faces = self.faces[: self.size]
        if len(keys) == 1:
            rows = np.flatnonzero(faces == keys[0])
        else:
            nearest = keys[np.minimum(np.searchsorted(keys, faces), len(keys) - 1)]
            rows = np.flatnonzero(nearest == faces)
        rows = rows[self.error[rows] >= 0]
        return rows, np.searchsorted(keys, faces[rows])

    def upper(self, rows: Rows, probe: npt.NDArray[np.float64]) -> FloatArray:
        """(n,) float32 the most that the cosines of these rows with the (D,) probe can be; they
        are less by ``2 * error`` at most."""
        found = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), CLOSER_ROWS):
            part = slice(start, start + CLOSER_ROWS)
            own = rows[part]
            found[part] = (self.codes[own] @ probe) * self.step[own] + self.error[own]
        return found

    def of_people(self, people: Keys) -> Rows:
        """Sorted person keys in; all their rows out."""
        first = np.searchsorted(self.people[: self.size], people, "left", self.by_person)
        last = np.searchsorted(self.people[: self.size], people, "right", self.by_person)
        counts = last - first
        ends = np.cumsum(counts)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - ends + counts, counts)
        rows: Rows = self.by_person[places]
        return rows[self.error[rows] >= 0]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Whose rows are compared: everybody's but one's, and of those only some people's."""

    excluded: int | None = None
    only: Keys | None = None  # sorted

    def others(self, people: Keys) -> npt.NDArray[np.bool_] | None:
        """(n,) which rows of these people are left out; None: none is."""
        out = None if self.excluded is None else people == self.excluded
        if self.only is None:
            return out
        places = np.searchsorted(self.only, people)
        others: npt.NDArray[np.bool_] = np.append(self.only, -1)[places] != people
        return others if out is None else others | out


class Piece:
    """Rows start..stop of a block, multiplied with some probes."""

    def __init__(
        self, block: Block, start: int, stop: int, probes: int8.Probes, chosen: Chosen
    ) -> None:
        self.block, self._probes = block, probes
        self.rows = part = slice(start, stop)
        upper: FloatArray = int8.kernel()[1](block.codes[part], probes)
        upper *= block.step[part]
        upper *= probes.step[:, None]
        upper += block.error[part]
        others = chosen.others(block.people[part])
        if others is not None:
            upper[:, others] = -np.inf
        self._upper = upper

    def __len__(self) -> int:
        return self.rows.stop - self.rows.start

    def upper(self) -> FloatArray:
        """(Q,n) float32 the most the cosines can be, but for the probe's own error.

        -inf where a row was removed or its person is left out.
        """
        return self._upper

    def reaching(self, floors: Sequence[float]) -> list[tuple[Rows, FloatArray]]:
        """(Q,) floors in; per probe the rows (of the block) whose cosine may reach its floor, and
        the most that they can be, now without the probe's error."""
        least = np.maximum(floors - self._probes.error, np.finfo(np.float32).min)
        probe, row = self._able(least.astype(np.float32))
        ends = np.searchsorted(probe, np.arange(len(least) + 1))
        parts = [row[first:last] for first, last in itertools.pairwise(ends)]
        return [self._closer(probe, own) for probe, own in enumerate(parts)]

    def highest(self, probe: int, count: int, of: int) -> tuple[Rows, FloatArray]:
        """``reaching`` for those ``count`` of the first ``of`` rows that seem nearest."""
        return self._closer(probe, self._top(probe, count, of))

    def _able(self, least: FloatArray) -> tuple[Rows, Rows]:
        """Probes, ascending, and rows where a bound is the probe's least or more."""
        able = self._upper >= least[:, None]
        return np.divmod(_places(able.reshape(-1)), len(self))

    def _top(self, probe: int, count: int, of: int) -> Rows:
        upper = self._upper[probe, :of]
        top = np.argpartition(upper, -count)[-count:]
        return top[upper[top] > -np.inf]

    def _closer(self, probe: int, rows: Rows) -> tuple[Rows, FloatArray]:
        own = rows + self.rows.start
        return own, self.block.upper(own, self._probes.exact[probe])


@dataclass(frozen=True, eq=False)
class NewRows:
    """Rows on their way into a list of blocks."""

    rows: int8.Quantised
    faces: Keys
    people: Keys

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def dim(self) -> int:
        return int(self.rows.codes.shape[1])

    def take(self, part: Any) -> NewRows:
        return NewRows(self.rows.take(part), self.faces[part], self.people[part])


def _places(flags: npt.NDArray[np.bool_]) -> Rows:
    """Where the few true ones are; eight flags are looked at together."""
    if len(flags) % 8:
        return np.flatnonzero(flags)
    words = np.flatnonzero(flags.view(np.uint64))
    places: Rows = (words[:, None] * 8 + np.arange(8)).reshape(-1)
    return places[flags[places]]


def append(blocks: Sequence[Block], new: NewRows, full: int) -> list[Block]:
    """Fill the growing block, and start another whenever one reaches ``full`` rows."""
    result = list(blocks)
    while len(new):
        growing = bool(result) and result[-1].size < full
        tail = result.pop() if growing else _empty(new.dim, min(FIRST_ROWS, full))
        count = min(len(new), full - tail.size)
        tail = _with_room(tail, tail.size + count, full)
        _write(tail, new.take(slice(count)))
        tail = replace(tail, size=tail.size + count)
        if tail.size == full:
            give_back_freed_memory()
        result.append(tail)
        new = new.take(slice(count, None))
    return result


def remove(blocks: Sequence[Block], keys: Keys, full: int) -> list[Block]:
    """Forget the faces of the sorted ``keys``; rewrite blocks that became too empty."""
    kept: list[Block] = []
    sparse: list[Block] = []
    for block in blocks:
        rows, _ = block.find(keys)
        if len(rows):
            error = block.error.copy()
            error[rows] = -np.inf
            block = replace(block, error=error, removed=block.removed + len(rows))  # noqa: PLW2901
        (sparse if block.removed * REMOVED_SHARE > block.size else kept).append(block)
    for block in sparse:
        kept = append(kept, rows_of(block, block.alive), full)
    return kept


def move(blocks: Sequence[Block], keys: Keys, people: Keys) -> list[Block]:
    """Give the faces of the sorted ``keys`` to ``people``."""
    result = []
    for block in blocks:
        rows, positions = block.find(keys)
        if len(rows):
            owners = block.people.copy()
            owners[rows] = people[positions]
            block = replace(block, people=owners)  # noqa: PLW2901
        result.append(block)
    return result


def _empty(dim: int, room: int) -> Block:
    return Block(
        np.empty((room, dim), np.int8),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.float32),
        np.empty(room, np.float32),
    )


def _with_room(block: Block, size: int, full: int) -> Block:
    room = len(block.faces)
    if size <= room:
        return block
    while room < size:
        room = min(2 * room, full)
    old = rows_of(block, slice(block.size))
    larger = _empty(old.dim, room)
    _write(larger, old)
    return replace(larger, size=block.size, removed=block.removed)


def _write(block: Block, new: NewRows) -> None:
    part = slice(block.size, block.size + len(new))
    block.codes[part] = new.rows.codes
    block.step[part], block.error[part] = new.rows.step, new.rows.error
    block.faces[part], block.people[part] = new.faces, new.people


def rows_of(block: Block, rows: Any) -> NewRows:
    """Some rows of a block."""
    held = int8.Quantised(block.codes[rows], block.step[rows], block.error[rows])
    return NewRows(held, block.faces[rows], block.people[rows])
