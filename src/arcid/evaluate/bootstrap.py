"""Replicates that resample people, not pairs.

Photos of one person hang together, and one person takes part in many impostor pairs, so pairs are
far from independent: resampling them gives intervals that are much too narrow. Here each replicate
draws the people with replacement. A person drawn w times gives their genuine pairs weight w; the
impostor pairs of two people weigh w·v (Bolle, Ratha & Pankanti 2004: the subsets bootstrap).
Intervals are the 2.5 and 97.5 percentiles of the replicates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from arcid.evaluate.metrics import FAILED, Array, IndexArray, Mask, split_scores
from arcid.evaluate.pairs import PairScores

REPLICATES = 300
_EXACT_PAIRS = 100_000  # up to here every score is a threshold of the replicates
_GRID = 24  # thresholds a target rate above that


def identity_weights(people: int, replicates: int = REPLICATES, seed: int = 0) -> Array:
    """(B,P) how often each person was drawn in each replicate; every row sums to P."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(people, np.full(people, 1 / people), replicates).astype(np.float64)


def interval(samples: Array) -> tuple[float, float]:
    """2.5 and 97.5 percentiles of (B,) replicates, NaN replicates left out."""
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return math.nan, math.nan
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


class PairBootstrap:
    """Replicates of verification rates over people.

    Cost: low rates touch only the highest impostors; totals of millions of pairs go through people
    × people count tables where those are smaller than the pairs.
    """

    def __init__(self, pairs: PairScores, replicates: int = REPLICATES, seed: int = 0) -> None:
        split_scores(pairs.scores, pairs.same)
        self.pairs = pairs
        self.weights = identity_weights(pairs.people, replicates, seed)
        self._counters: dict[bool, _Nested] = {}

    def _nested(self, same: bool) -> _Nested:
        if same not in self._counters:
            p = self.pairs
            rows = np.flatnonzero(p.same == same)
            rows = rows[np.argsort(-p.scores[rows], kind="stable")]
            self._counters[same] = _Nested(
                self.weights,
                p.scores[rows],
                p.first[rows],
                p.second[rows],
                squared=not same,
            )
        return self._counters[same]

    def fmr(self, thresholds: npt.ArrayLike) -> Array:
        """(B,T) false match rates."""
        return self._nested(False).share_at(np.asarray(thresholds, np.float64))

    def fnmr(self, thresholds: npt.ArrayLike) -> Array:
        """(B,T) false non-match rates."""
        return 1.0 - self._nested(True).share_at(np.asarray(thresholds, np.float64))

    def thresholds_at_fmr(self, rates: Sequence[float]) -> Array:
        """(B,R) thresholds, chosen again in every replicate."""
        return self._nested(False).thresholds_at(rates)

    def tar_at_own(self, thresholds: Array) -> Array:
        """(B,R) true accept rates at (B,R) thresholds, every replicate's own."""
        genuine = self._nested(True)
        return np.stack([genuine.share_at_own(column) for column in thresholds.T], axis=1)

    def tar_at_fmr(self, rates: Sequence[float]) -> Array:
        """(B,R) true accept rates, the threshold chosen again in every replicate."""
        return self.tar_at_own(self.thresholds_at_fmr(rates))

    def eer(self) -> Array:
        """(B,) equal error rates, on a grid of 400 thresholds about the observed one."""
        finite = self.pairs.scores[np.isfinite(self.pairs.scores)]
        if not len(finite):
            return np.full(len(self.weights), 0.5)
        grid = np.unique(np.quantile(finite, np.linspace(0, 1, 400)))
        gap = self.fmr(grid) - self.fnmr(grid)  # falls along the grid
        fnmrs = self.fnmr(grid)
        after = np.clip((gap > 0).sum(axis=1), 1, len(grid) - 1)
        rows = np.arange(len(gap))
        g0, g1 = gap[rows, after - 1], gap[rows, after]
        part = np.divide(g0, g0 - g1, out=np.zeros_like(g0), where=g0 != g1).clip(0, 1)
        rate: Array = fnmrs[rows, after - 1] * (1 - part) + fnmrs[rows, after] * part
        return rate

    def accuracy(self, accepted: Mask) -> Array:
        """(B,) share of right decisions, given the decision on each pair."""
        right = np.asarray(accepted).astype(bool) == self.pairs.same
        p, totals = self.pairs, np.zeros(len(self.weights))
        correct = np.zeros(len(self.weights))
        for same in (True, False):
            kind = p.same == same
            good = kind & right
            totals += _sums(self.weights, p.first[kind], p.second[kind], squared=not same)
            correct += _sums(self.weights, p.first[good], p.second[good], squared=not same)
        return ratio(correct, totals)


class _Nested:
    """Weighted counts of score-sorted pairs (highest first), for nested prefixes."""

    def __init__(
        self, weights: Array, scores: Array, a: IndexArray, b: IndexArray, *, squared: bool
    ) -> None:
        self.weights, self.scores, self.a, self.b = weights, scores, a, b
        self.squared = squared
        self._ascending = scores[::-1]

    @cached_property
    def total(self) -> Array:
        return _sums(self.weights, self.a, self.b, squared=self.squared)

    def accepted(self, thresholds: Array) -> IndexArray:
        """How many pairs reach each threshold (unweighted); failed ones never do."""
        count = len(self.scores) - np.searchsorted(self._ascending, thresholds, side="left")
        finite = len(self.scores) - np.searchsorted(self._ascending, FAILED, side="right")
        return np.minimum(count, finite).astype(np.int64)

    def prefix_sums(self, lengths: IndexArray) -> Array:
        """(B,T) weighted counts of the first ``lengths`` pairs."""
        unique, back = np.unique(lengths, return_inverse=True)
        sums = np.zeros((len(self.weights), len(unique)))
        start = 0
        for column, end in enumerate(unique):
            if end > start:
                rows = slice(start, end)
                sums[:, column] = _sums(
                    self.weights, self.a[rows], self.b[rows], squared=self.squared
                )
            start = end
        return np.asarray(np.cumsum(sums, axis=1)[:, back], np.float64)

    def share_at(self, thresholds: Array) -> Array:
        sums = self.prefix_sums(self.accepted(thresholds))
        return ratio(sums, np.broadcast_to(self.total[:, None], sums.shape))

    def share_at_own(self, thresholds: Array) -> Array:
        """(B,) share of pairs that reach each replicate's own threshold."""
        lengths = self.accepted(thresholds)
        sums = np.empty(len(lengths))
        for row, (weights, length) in enumerate(zip(self.weights, lengths, strict=True)):
            sums[row] = _sums(
                weights[None], self.a[:length], self.b[:length], squared=self.squared
            )[0]
        return ratio(sums, self.total)

    def thresholds_at(self, rates: Sequence[float]) -> Array:
        """(B,R): the threshold of each replicate's weighted rate, conservative as for the whole."""
        count = len(self.scores)
        thresholds = np.empty((len(self.weights), len(rates)))
        for r, rate in enumerate(rates):
            reach = int(min(count, max(64, 8 * rate * count)))
            while True:
                lengths = self._lengths(reach, rate)
                sums = self.prefix_sums(lengths)
                allowed = rate * self.total * (1 + 1e-12)
                if reach >= count or (sums[:, -1] > allowed).all():
                    break
                reach = min(count, reach * 4)
            # the highest score that may no longer be accepted stands just behind the prefix
            fits = (sums <= allowed[:, None]).sum(axis=1)
            first_out = lengths[np.maximum(fits, 1) - 1]
            first_out[fits == 0] = 0
            first_out = np.where(fits == len(lengths), count, first_out)
            padded = np.append(self.scores, np.finfo(np.float64).min)
            thresholds[:, r] = np.nextafter(padded[first_out], np.inf)
        return thresholds

    def _lengths(self, reach: int, rate: float) -> IndexArray:
        if reach <= _EXACT_PAIRS // 50:
            return np.arange(1, reach + 1, dtype=np.int64)
        centre = max(1.0, rate * len(self.scores))
        wide = np.geomspace(max(1.0, centre / 64), reach, _GRID)
        near = np.geomspace(max(1.0, centre / 2), min(reach, centre * 2), 2 * _GRID)
        return np.unique(np.concatenate([wide, near]).astype(np.int64))


def _sums(weights: Array, a: IndexArray, b: IndexArray, *, squared: bool) -> Array:
    """(B,) total weight of pairs: w_a for genuine, w_a · w_b for impostor pairs."""
    people = weights.shape[1]
    if not len(a):
        return np.zeros(len(weights))
    if not squared:
        return np.asarray(weights @ np.bincount(a, minlength=people), np.float64)
    if people * people <= 2**25 and len(a) > people * people / 64:
        table = np.bincount(a * people + b, minlength=people * people).reshape(people, people)
        product = weights.astype(np.float32) @ table.astype(np.float32)
        return np.asarray(np.einsum("bp,bp->b", product.astype(np.float64), weights), np.float64)
    if len(weights) * len(a) <= 2**22:
        return np.asarray(np.einsum("bm,bm->b", weights[:, a], weights[:, b]), np.float64)
    return np.array([row[a] @ row[b] for row in weights])


def ratio(part: Array, whole: Array) -> Array:
    """NaN where the whole is empty."""
    out: Array = np.divide(part, whole, out=np.full(part.shape, math.nan), where=whole > 0)
    return out
