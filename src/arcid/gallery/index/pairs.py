"""Every pair of two panels of vectors whose cosine reaches a floor. Exact.

int8 products of whole panels propose: each row carries a bound on what rounding can have changed,
so that no pair that reaches the floor is left out. The float32 rows decide, as in ``ExactIndex``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from arcid.gallery.index import Keys, int8, packed
from arcid.types import FloatArray

PANEL_BYTES = 64 << 20  # of float32 rows; a panel holds about as much again beside them
LEAST_ROWS, PARTS = 4096, 8  # a collection is cut into so many panels, unless they get too small
TILE = 1 << 20  # products made together
STRIP = 256  # products looked at together
MEASURED = 1 << 15  # pairs measured in full together

Places = npt.NDArray[np.intp]


def panel_rows(faces: int, dim: int) -> int:
    """How many rows of ``faces`` make a panel."""
    return min(max(LEAST_ROWS, -(-faces // PARTS)), max(1, PANEL_BYTES // (4 * dim)))


@dataclass(frozen=True, eq=False, repr=False)
class Panel:
    """(N,) faces of (N,) people with (N,D) float32 unit-norm vectors."""

    faces: Keys
    people: Keys
    vectors: FloatArray

    def __len__(self) -> int:
        return len(self.faces)

    @functools.cached_property
    def step(self) -> float:
        return float(np.abs(self.vectors).max()) / int8.LEVELS

    @functools.cached_property
    def codes(self) -> int8.Codes:
        codes: int8.Codes = np.rint(self.vectors / np.float32(self.step)).astype(np.int8)
        return codes

    @functools.cached_property
    def biased(self) -> npt.NDArray[np.uint8]:
        return packed.biased(self.codes)

    @functools.cached_property
    def error(self) -> float:
        """The norm of the most that rounding took away from any row."""
        worst = 0.0
        for start in range(0, len(self), 4096):
            part = slice(start, start + 4096)
            left = self.vectors[part] - self.codes[part] * np.float32(self.step)
            worst = max(worst, float(np.einsum("nd,nd->n", left, left).max()))
        return math.sqrt(worst)

    @functools.cached_property
    def prepacked(self) -> packed.PackedRows:
        """The codes, with rows of zeros up to a whole strip."""
        return packed.PackedRows(_whole_strips(self.codes))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Found:
    """(M,) rows of one panel, rows of the other, and their (M,) float32 cosines."""

    rows: Places
    columns: Places
    cosines: FloatArray


def reaching(
    rows: Panel,
    columns: Panel,
    least: float,
    *,
    threads: int = 1,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Found]:
    """Pairs of different people with a cosine of ``least`` or more, a tile at a time.

    A panel with itself gives every pair twice, once each way. Ends early once ``stopped``.
    """
    if not len(rows) or not len(columns):
        return
    high = max(16, TILE // len(columns))
    tiles = range(0, len(rows), high)
    propose = (
        _int8(rows, columns, least) if packed.packing_works() else _float32(rows, columns, least)
    )

    def work(start: int) -> Found | None:
        if stopped():
            return None
        near, far = propose(start, min(start + high, len(rows)))
        real = far < len(columns)
        near, far = near[real], far[real]
        other = rows.people[near] != columns.people[far]
        return _measured(rows, columns, near[other], far[other], least)

    if threads < 2 or len(tiles) < 2:
        found: Iterator[Found | None] = map(work, tiles)
        yield from (one for one in found if one is not None)
        return
    with ThreadPoolExecutor(threads, "arcid-pairs") as pool:
        yield from (one for one in pool.map(work, tiles) if one is not None)


Propose = Callable[[int, int], tuple[Places, Places]]
T = TypeVar("T", bound=np.generic)


def _whole_strips(rows: npt.NDArray[T]) -> npt.NDArray[T]:
    return np.pad(rows, ((0, -len(rows) % STRIP), (0, 0)))


def _int8(rows: Panel, columns: Panel, least: float) -> Propose:
    """x·y is no further from its int8 estimate than |x-x'| |y| + |x'| |y-y'|."""
    norm = 1 + int8.NORM_TOLERANCE
    off = rows.error * norm + (norm + rows.error) * columns.error + int8.ROUNDING
    floor = math.floor((least - off) / (rows.step * columns.step))
    codes, turned = rows.biased, columns.prepacked

    def propose(start: int, stop: int) -> tuple[Places, Places]:
        return _places(turned.products(codes[start:stop]), floor, start)

    return propose


def _float32(rows: Panel, columns: Panel, least: float) -> Propose:
    floor = least - rows.vectors.shape[1] * 2.0**-22
    turned = _whole_strips(columns.vectors).T

    def propose(start: int, stop: int) -> tuple[Places, Places]:
        return _places(rows.vectors[start:stop] @ turned, floor, start)

    return propose


def _places(products: npt.NDArray[Any], floor: float, start: int) -> tuple[Places, Places]:
    """Where products are ``floor`` or more: first the strips that have any, then those strips."""
    width = products.shape[1]
    strips = products.reshape(-1, STRIP)
    best = np.maximum.reduceat(products.reshape(-1), np.arange(0, products.size, STRIP))
    able = np.flatnonzero(best >= floor)
    strip, place = np.nonzero(strips[able] >= floor)
    row, column = np.divmod(able[strip] * STRIP + place, width)
    return row + start, column


def _measured(rows: Panel, columns: Panel, near: Places, far: Places, least: float) -> Found:
    cosines = np.empty(len(near), np.float32)
    for start in range(0, len(near), MEASURED):
        part = slice(start, start + MEASURED)
        own = rows.vectors[near[part]].astype(np.float64)
        cosines[part] = (own * columns.vectors[far[part]]).sum(axis=1)
    kept = cosines >= least
    return Found(near[kept], far[kept], cosines[kept])
