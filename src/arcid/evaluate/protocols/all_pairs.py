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
from arcid.evaluate.bootstrap import REPLICATES, Replicates, SortedPairs, identity_weights
from arcid.evaluate.metrics import FAILED, Array, IndexArray, auc, eer, require_support
from arcid.evaluate.sources import Progress
from arcid.types import FloatArray

BINS_PER_UNIT = 4096  # a power of two, so that scaling is exact
TOP_PAIRS = 10_000
KEPT_WHOLE = 1_000_000  # pairs that are no trouble to keep
GENUINE_PAIRS = 1_000_000  # kept exactly: all of most sets
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

    def surely_at_least(self, cosine: npt.ArrayLike) -> Array:
        """Share of scores in bins that lie at or above each cosine as a whole."""
        position = np.asarray(cosine, np.float64) * BINS_PER_UNIT + _OFFSET + 0.5
        first = np.ceil(position).clip(0, _BINS).astype(np.int64)
        return np.asarray(self._at_least[first] / max(self.total, 1), np.float64)

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
        """Exact up to the kept genuine pairs' highest; above it a pair in the threshold's own bin
        of 1/4096 of cosine counts as missed."""
        t = np.atleast_1d(np.asarray(thresholds, np.float64))
        low, total = self.lowest_genuine.cosines, max(self.genuine.total, 1)
        exact = np.searchsorted(low, t, side="left") / total
        inside = (len(low) >= total) | (t <= low.max(initial=-math.inf))
        return np.where(inside, exact, 1.0 - self.genuine.surely_at_least(t))

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
    def _whole(self) -> tuple[Array, Array] | None:
        """All (genuine, impostor) cosines, where all were kept."""
        genuine, impostor = self.lowest_genuine.cosines, self.highest_impostors.cosines
        kept = (len(genuine), len(impostor)) == (self.genuine.total, self.impostor.total)
        return (genuine, impostor) if kept else None

    @property
    def auc(self) -> float:
        """To the width of a bin, exact where all pairs were kept."""
        if self._whole is not None:
            return auc(*self._whole)
        below = np.append(0, np.cumsum(self.impostor.counts))
        middle = below[:-1] + self.impostor.counts / 2
        pairs = float(self.genuine.total) * self.impostor.total
        return float((self.genuine.counts * (middle / pairs)).sum())

    @property
    def eer(self) -> tuple[float, float]:
        """(rate, threshold), to the width of a bin, exact where all pairs were kept."""
        if self._whole is not None:
            return eer(*self._whole)
        edges = self.genuine.edges
        gap = self.impostor.share_at_least(edges) - (1 - self.genuine.share_at_least(edges))
        after = int(np.argmax(gap <= 0))
        g0, g1 = gap[after - 1], gap[after]
        part = g0 / (g0 - g1) if g0 != g1 else 0.0
        threshold = edges[after - 1] + part * (edges[after] - edges[after - 1])
        return float(self.impostor.share_at_least(threshold)), float(threshold)

    def replicates(
        self, count: int = REPLICATES, seed: int = 0, *, photos: npt.ArrayLike | None = None
    ) -> Replicates:
        """Replicates over people, for rates whose thresholds lie among the kept impostors.

        The pairs of people a and b weigh w_a · w_b; all impostor pairs together weigh
        ((Σ w n)² − Σ (w n)²) / 2 for n photos of a person, so the rest need not be stored.
        ``photos`` (P,): each person's, failed ones with them, people without any other last;
        genuine pairs with a failed photo then count as missed. Raises ``RateUnsupported`` where not
        all genuine pairs were kept.
        """
        low, top = self.lowest_genuine, self.highest_impostors
        if len(low.cosines) < self.genuine.total:
            raise RateUnsupported(
                f"of {self.genuine.total:,} genuine pairs {len(low.cosines):,} were kept"
            )
        everybody = np.bincount(self.people) if photos is None else np.asarray(photos)
        good = np.bincount(self.people, minlength=len(everybody))
        weights = identity_weights(len(good), count, seed)
        lost = _pairs(everybody) - _pairs(good)
        failed = np.repeat(np.arange(len(good)), lost)
        owner = np.concatenate([self.people[low.first[::-1]], failed])
        scores = np.concatenate([low.cosines[::-1], np.full(len(failed), FAILED)])
        genuine = SortedPairs(weights, scores, owner, owner, squared=False)
        impostor = SortedPairs(
            weights, top.cosines, self.people[top.first], self.people[top.second], squared=True,
            count=self.impostor.total, total=((weights @ good) ** 2 - weights**2 @ good**2) / 2,
        )  # fmt: skip
        return Replicates(weights, genuine, impostor)


def enough(photos: int, rate: float) -> int:
    """Impostor pairs to keep, so that replicates find their thresholds at an FMR of ``rate``: all
    where they are few, for few people can weigh very differently from one replicate to another."""
    pairs = photos * photos / 2
    return math.ceil(max(TOP_PAIRS, min(pairs, KEPT_WHOLE), min(8 * rate, 1.0) * pairs))


def _pairs(photos: npt.NDArray[Any]) -> IndexArray:
    found: IndexArray = photos.astype(np.int64) * (photos - 1) // 2
    return found


def all_pairs(
    vectors: FloatArray,
    people: npt.ArrayLike,
    *,
    top: int = TOP_PAIRS,
    block: int = _BLOCK,
    progress: Progress | None = None,
) -> AllPairs:
    """(N,D) float32 unit vectors and N labels in; statistics of all N(N−1)/2 scores out.

    ``vectors`` may be a memory map. The ``top`` highest impostors and the ``GENUINE_PAIRS`` lowest
    genuine pairs are kept, 24 bytes each and up to five times that on the way. Raises
    ``InvalidArray`` on a single person, on nobody with two photos, and on vectors that are not unit
    norm.
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
    genuine, impostor = _Counter(GENUINE_PAIRS, lowest=True), _Counter(top)
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
