"""Every pair of N embeddings, in blocks: histograms of all scores, the extreme pairs exactly.

Half of N² scores do not fit in memory, so they are counted as they come: two histograms with bins
of 1/4096 of cosine, and the highest impostor pairs kept with their score and photos, for tail fits
and for looking at label errors. Counting costs less than the matrix product: the vectors of one
side are scaled by 4096 beforehand, and adding 2²³ to a float32 leaves its rounded value in the low
sixteen bits, which OpenCV counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray, RateUnsupported, UsageError
from arcid.evaluate.bootstrap import identity_weights, interval
from arcid.evaluate.metrics import Array, IndexArray, Rate, require_support, wilson
from arcid.evaluate.sources import Progress
from arcid.types import FloatArray

BINS_PER_UNIT = 4096  # a power of two, so that scaling is exact
TOP_PAIRS = 10_000
_OFFSET = 4200  # bin of cosine 0; leaves room for rounding beyond ±1
_BINS = 2 * _OFFSET
_MAGIC = float(2**23 + _OFFSET)
_NOWHERE = -4150  # scaled score of an entry that is no pair: below −1
_BLOCK = 2048


@dataclass(frozen=True, eq=False)
class Histogram:
    """(8400,) counts; bin k holds cosines within half a bin of ``centres[k]``."""

    counts: IndexArray

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @property
    def centres(self) -> Array:
        """Cosine in the middle of each bin."""
        return (np.arange(_BINS) - _OFFSET) / BINS_PER_UNIT

    @property
    def edges(self) -> Array:
        """Lower edge of each bin."""
        return (np.arange(_BINS) - _OFFSET - 0.5) / BINS_PER_UNIT

    @cached_property
    def _at_least(self) -> IndexArray:
        return np.append(np.cumsum(self.counts[::-1])[::-1], 0)

    def share_at_least(self, cosine: npt.ArrayLike) -> Array:
        """Share of scores at or above each cosine, linear within a bin."""
        position = np.asarray(cosine, np.float64) * BINS_PER_UNIT + _OFFSET + 0.5
        shares = np.interp(position, np.arange(_BINS + 1), self._at_least / max(self.total, 1))
        return np.asarray(shares, np.float64)

    def threshold(self, share: float) -> float:
        """The lowest bin edge at which at most ``share`` of the scores lie at or above."""
        fits = np.flatnonzero(self._at_least <= share * self.total * (1 + 1e-12))
        return float((fits[0] - _OFFSET - 0.5) / BINS_PER_UNIT)

    @property
    def mean(self) -> float:
        return float((self.counts * self.centres).sum() / max(self.total, 1))

    @property
    def std(self) -> float:
        spread = (self.counts * (self.centres - self.mean) ** 2).sum() / max(self.total, 1)
        return math.sqrt(spread)


@dataclass(frozen=True, eq=False)
class TopPairs:
    """The most extreme pairs, exactly, most extreme first."""

    cosines: Array  # (K,)
    first: IndexArray  # (K,) photo rows
    second: IndexArray


@dataclass(frozen=True, eq=False)
class AllPairs:
    """Scores of all pairs of labelled embeddings."""

    genuine: Histogram
    impostor: Histogram
    highest_impostors: TopPairs
    lowest_genuine: TopPairs
    people: IndexArray  # (N,) person number of each photo

    @property
    def photos(self) -> int:
        return len(self.people)

    def fmr(self, thresholds: npt.ArrayLike) -> Array:
        """Exact where the threshold lies among the kept impostors, else to 1/4096 of cosine."""
        t = np.atleast_1d(np.asarray(thresholds, np.float64))
        coarse = self.impostor.share_at_least(t)
        top = self.highest_impostors.cosines
        exact = (len(top) - np.searchsorted(top[::-1], t, side="left")) / max(
            self.impostor.total, 1
        )
        kept_all = len(top) >= self.impostor.total
        inside = (t > top[-1]) | kept_all if len(top) else np.zeros(len(t), bool)
        return np.where(inside, exact, coarse)

    def fnmr(self, thresholds: npt.ArrayLike) -> Array:
        """To 1/4096 of cosine."""
        return 1.0 - self.genuine.share_at_least(np.atleast_1d(thresholds))

    def threshold_at_fmr(self, rate: float, *, allow_unsupported: bool = False) -> float:
        """Conservative threshold; exact among the kept impostors, else a bin's edge."""
        require_support(rate, self.impostor.total, allow_unsupported=allow_unsupported)
        allowed = math.floor(rate * self.impostor.total * (1 + 1e-12))
        top = self.highest_impostors.cosines
        if allowed < len(top):
            return float(np.nextafter(top[allowed], np.inf))
        return self.impostor.threshold(rate)

    @property
    def d_prime(self) -> float:
        spread = math.sqrt((self.genuine.std**2 + self.impostor.std**2) / 2)
        return (self.genuine.mean - self.impostor.mean) / spread if spread else math.inf

    @property
    def auc(self) -> float:
        """To the width of a bin."""
        below = np.append(0, np.cumsum(self.impostor.counts))
        middle = below[:-1] + self.impostor.counts / 2
        pairs = float(self.genuine.total) * self.impostor.total
        return float((self.genuine.counts * (middle / pairs)).sum())

    @property
    def eer(self) -> tuple[float, float]:
        """(rate, threshold), to the width of a bin."""
        edges = self.genuine.edges
        gap = self.impostor.share_at_least(edges) - (1 - self.genuine.share_at_least(edges))
        after = int(np.argmax(gap <= 0))
        g0, g1 = gap[after - 1], gap[after]
        part = g0 / (g0 - g1) if g0 != g1 else 0.0
        threshold = edges[after - 1] + part * (edges[after] - edges[after - 1])
        return float(self.impostor.share_at_least(threshold)), float(threshold)

    def fmr_interval(self, threshold: float, *, replicates: int = 300, seed: int = 0) -> Rate:
        """FMR with an interval over people; for thresholds among the kept impostors only.

        The pairs of people a and b weigh w_a · w_b; all impostor pairs together weigh
        ((Σ w n)² − Σ (w n)²) / 2 for n photos of a person, so the rest need not be stored. Raises
        ``RateUnsupported`` below the kept impostors: keep more with ``top``.
        """
        top = self.highest_impostors
        if len(top.cosines) < self.impostor.total and not threshold > top.cosines[-1]:
            raise RateUnsupported(
                f"the threshold {threshold:.3f} lies below the {len(top.cosines):,} impostors kept "
                f"(down to {top.cosines[-1]:.3f}); count again with a larger top"
            )
        photos = np.bincount(self.people)
        weights = identity_weights(len(photos), replicates, seed)
        inside = top.cosines >= threshold
        a, b = self.people[top.first[inside]], self.people[top.second[inside]]
        totals = ((weights @ photos) ** 2 - (weights * photos) ** 2 @ np.ones(len(photos))) / 2
        counts = np.array([row[a] @ row[b] for row in weights])
        count, trials = int(inside.sum()), self.impostor.total
        low, high = interval(counts / totals) if count else wilson(count, trials)
        value = count / trials
        return Rate(value, min(low, value), max(high, value), count, trials)


def all_pairs(
    vectors: FloatArray,
    people: npt.ArrayLike,
    *,
    top: int = TOP_PAIRS,
    block: int = _BLOCK,
    progress: Progress | None = None,
) -> AllPairs:
    """(N,D) float32 unit vectors and N labels in; statistics of all N(N−1)/2 scores out.

    ``vectors`` may be a memory map. Memory: about 40 MiB over the vectors. Raises ``InvalidArray``
    on a single person, on nobody with two photos, and on vectors that are not unit norm.
    """
    labels = np.unique(np.asarray(people), return_inverse=True)[1].astype(np.int64)
    if vectors.ndim != 2 or len(labels) != len(vectors):
        raise InvalidArray(f"{vectors.shape} vectors need as many labels, got {len(labels)}")
    if block < 16 or top < 1:
        raise UsageError("block must be at least 16 and top at least 1")
    photos = np.bincount(labels) if len(labels) else np.zeros(0, int)
    if len(photos) < 2 or photos.max() < 2:
        raise InvalidArray(
            f"{len(photos)} people, at most {photos.max(initial=0)} photos of one: all-pairs "
            "statistics need two people, and two photos of at least one of them"
        )
    order = np.argsort(labels, kind="stable")
    sorted_labels = labels[order]
    genuine, impostor = _Counter(top, lowest=True), _Counter(top)
    starts = range(0, len(order), block)
    done, blocks = 0, len(starts) * (len(starts) + 1) // 2
    scores = np.empty((block, block), np.float32)
    for i in starts:
        rows = order[i : i + block]
        left = _unit(vectors[rows]) * np.float32(BINS_PER_UNIT)
        for j in range(i, len(order), block):
            columns = order[j : j + block]
            right = vectors[columns]
            out = np.matmul(left, right.T, out=scores[: len(rows), : len(columns)])
            if i == j or sorted_labels[min(i + block, len(order)) - 1] >= sorted_labels[j]:
                same = sorted_labels[i : i + block, None] == sorted_labels[None, j : j + block]
                if i == j:
                    below = np.tri(len(rows), dtype=bool)  # the diagonal and what is counted above
                    at = np.nonzero(same & ~below)
                    same |= below
                else:
                    at = np.nonzero(same)
                genuine.add_values(out[at], rows[at[0]], columns[at[1]])
                np.putmask(out, same, np.float32(_NOWHERE))
            impostor.add(out, rows, columns)
            done += 1
            if progress is not None:
                progress(done, blocks)
    return AllPairs(
        Histogram(genuine.counts),
        Histogram(impostor.counts),
        impostor.top_pairs(),
        genuine.top_pairs(),
        labels,
    )


class _Counter:
    """Histogram and extreme pairs of scaled scores; entries of ``_NOWHERE`` are not counted."""

    def __init__(self, top: int, *, lowest: bool = False) -> None:
        self.counts = np.zeros(_BINS, np.int64)
        self.top, self.sign = top, -1 if lowest else 1
        self._floor = -float(_OFFSET) + 100  # above _NOWHERE, below any cosine
        self._fresh = True
        self._bins = np.empty(0, np.uint16)
        self._kept: list[tuple[Array, IndexArray, IndexArray]] = []
        self._waiting = 0

    def add(self, scaled: npt.NDArray[Any], rows: IndexArray, columns: IndexArray) -> None:
        """Count (R,C) float32 scores × 4096 and keep the highest; spoils the block."""
        high = np.flatnonzero(scaled.max(axis=1) > self._floor)
        if len(high):
            part = scaled[high]
            if self._fresh and part.size > 64 * self.top:
                cut = np.partition(part.ravel(), part.size - self.top)[part.size - self.top]
                self._floor = max(self._floor, float(np.nextafter(cut, np.float32(-np.inf))))
            self._fresh = False
            at = np.nonzero(part > self._floor)
            self._keep(part[at], rows[high[at[0]]], columns[at[1]])
        if self._bins.size < scaled.size:
            self._bins = np.empty(scaled.size, np.uint16)
        counts = _binned(scaled, self._bins)
        counts[_OFFSET + _NOWHERE] = 0
        self.counts += counts

    def add_values(self, scaled: npt.NDArray[Any], first: IndexArray, second: IndexArray) -> None:
        """Count (M,) scores × 4096 of pairs and keep the extreme ones."""
        bins = np.rint(scaled).astype(np.int64) + _OFFSET
        self.counts += np.bincount(bins, minlength=_BINS)
        fits = self.sign * scaled > self._floor
        self._keep(self.sign * scaled[fits], first[fits], second[fits])

    def _keep(self, found: npt.NDArray[Any], first: IndexArray, second: IndexArray) -> None:
        if not len(found):
            return
        self._kept.append((found.astype(np.float64), first, second))
        self._waiting += len(found)
        if self._waiting > 4 * self.top:
            self._prune()

    def _prune(self) -> None:
        found, first, second = (np.concatenate(part) for part in zip(*self._kept, strict=True))
        if len(found) > self.top:
            best = np.argpartition(-found, self.top - 1)[: self.top]
            found, first, second = found[best], first[best], second[best]
            self._floor = max(self._floor, float(found.min()))
        self._kept, self._waiting = [(found, first, second)], len(found)

    def top_pairs(self) -> TopPairs:
        if not self._kept:
            empty = np.zeros(0, np.int64)
            return TopPairs(np.zeros(0), empty, empty)
        self._prune()
        found, first, second = self._kept[0]
        order = np.argsort(-found, kind="stable")
        cosines = self.sign * found[order] / BINS_PER_UNIT
        return TopPairs(cosines, first[order], second[order])


def _binned(scaled: npt.NDArray[Any], bins: npt.NDArray[np.uint16]) -> IndexArray:
    import cv2

    np.add(scaled, np.float32(_MAGIC), out=scaled)
    low = bins[: scaled.size].reshape(scaled.shape)
    np.copyto(low, scaled.view(np.uint32), casting="unsafe")  # keeps the low sixteen bits
    counts = cv2.calcHist([low], [0], None, [_BINS], [0, _BINS])
    return np.asarray(counts).ravel().astype(np.int64)


def _unit(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    norms = np.linalg.norm(vectors, axis=1)
    if not (np.abs(norms - 1) < 1e-3).all():  # NaN fails too
        raise InvalidArray(
            "all-pairs statistics need unit-norm embeddings; one is not (zero, NaN or raw output)"
        )
    return vectors


def cross_pairs(
    left: FloatArray,
    right: FloatArray,
    *,
    top: int = TOP_PAIRS,
    best: int = 1,
    block: int = _BLOCK,
    progress: Progress | None = None,
) -> tuple[Histogram, TopPairs, Array]:
    """All scores of (P,D) probes against (G,D) distractors, none of them mated, in blocks.

    Returns the histogram, the highest pairs and the ``best`` highest scores of each probe
    (P, best), highest first. ``right`` may be a memory map.
    """
    counter = _Counter(top)
    highest = np.full((len(left), best), -math.inf)
    for start, stop in _spans(len(right), block):
        columns = np.arange(start, stop)
        side = np.ascontiguousarray(_unit(right[start:stop])).T
        for low, high in _spans(len(left), block):
            scores = (_unit(left[low:high]) * np.float32(BINS_PER_UNIT)) @ side
            if best == 1:
                fresh = scores.max(axis=1, keepdims=True)
            else:
                kept = min(best, scores.shape[1])
                fresh = np.partition(scores, scores.shape[1] - kept, axis=1)[:, -kept:]
            both = np.concatenate([highest[low:high], fresh / BINS_PER_UNIT], axis=1)
            highest[low:high] = -np.sort(-both, axis=1)[:, :best]
            counter.add(scores, np.arange(low, high), columns)
        if progress is not None:
            progress(stop, len(right))
    return Histogram(counter.counts), counter.top_pairs(), highest


def _spans(count: int, block: int) -> Iterator[tuple[int, int]]:
    return ((i, min(i + block, count)) for i in range(0, count, block))
