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

from arcid.errors import RateUnsupported
from arcid.evaluate.metrics import FAILED, LOWEST, Array, IndexArray, Mask, split_scores
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


class Replicates:
    """Replicates of verification rates over people.

    ``weights`` (B,P) says how often each person was drawn. Of impostors the highest pairs are
    enough where low rates alone are asked for. Cost: low rates touch only those; totals of millions
    of pairs go through people × people count tables where those are smaller than the pairs.
    """

    def __init__(self, weights: Array, genuine: SortedPairs, impostor: SortedPairs) -> None:
        self.weights, self.genuine, self.impostor = weights, genuine, impostor

    def fmr(self, thresholds: npt.ArrayLike) -> Array:
        """(B,T) false match rates."""
        return self.impostor.share_at(np.asarray(thresholds, np.float64))

    def fnmr(self, thresholds: npt.ArrayLike) -> Array:
        """(B,T) false non-match rates."""
        return 1.0 - self.genuine.share_at(np.asarray(thresholds, np.float64))

    def thresholds_at_fmr(self, rates: Sequence[float]) -> Array:
        """(B,R) thresholds, chosen again in every replicate."""
        return self.impostor.thresholds_at(rates)

    def tar_at_own(self, thresholds: Array) -> Array:
        """(B,R) true accept rates at (B,R) thresholds, every replicate's own."""
        shares = [self.genuine.share_at_own(column) for column in thresholds.T]
        return np.stack(shares, axis=1)

    def tar_at_fmr(self, rates: Sequence[float]) -> Array:
        """(B,R) true accept rates, the threshold chosen again in every replicate."""
        return self.tar_at_own(self.thresholds_at_fmr(rates))


class PairBootstrap(Replicates):
    """Replicates of listed pairs."""

    def __init__(self, pairs: PairScores, replicates: int = REPLICATES, seed: int = 0) -> None:
        split_scores(pairs.scores, pairs.same)
        self.pairs = pairs
        weights = identity_weights(pairs.people, replicates, seed)
        super().__init__(weights, self._sorted(weights, True), self._sorted(weights, False))

    def _sorted(self, weights: Array, same: bool) -> SortedPairs:
        p = self.pairs
        rows = np.flatnonzero(p.same == same)
        rows = rows[np.argsort(-p.scores[rows], kind="stable")]
        return SortedPairs(weights, p.scores[rows], p.first[rows], p.second[rows], squared=not same)

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


class SortedPairs:
    """Pairs by falling score with the people in them, and weighted counts of the first of them.

    ``squared``: impostor pairs, which weigh w_a · w_b; genuine ones weigh w_a. Where ``scores``
    holds the highest pairs alone, ``count`` says how many there are in all and ``total`` (B,) what
    all weigh in each replicate; asking below the kept ones then raises ``RateUnsupported``.
    """

    def __init__(
        self,
        weights: Array,
        scores: Array,
        a: IndexArray,
        b: IndexArray,
        *,
        squared: bool,
        count: int | None = None,
        total: Array | None = None,
    ) -> None:
        self.weights, self.scores, self.a, self.b = weights, scores, a, b
        self.squared = squared
        self.count = len(scores) if count is None else count
        self._total = total
        self._ascending = scores[::-1]

    @cached_property
    def total(self) -> Array:
        """(B,) what all pairs weigh."""
        if self._total is not None:
            return self._total
        return _sums(self.weights, self.a, self.b, squared=self.squared)

    def accepted(self, thresholds: Array) -> IndexArray:
        """How many pairs reach each threshold (unweighted); failed ones never do."""
        length = len(self.scores)
        if 0 < length < self.count and np.min(thresholds, initial=np.inf) <= self.scores[-1]:
            raise self._too_few()
        reached = length - np.searchsorted(self._ascending, thresholds, side="left")
        finite = length - np.searchsorted(self._ascending, FAILED, side="right")
        return np.minimum(reached, finite).astype(np.int64)

    def threshold(self, rate: float) -> float:
        """The lowest threshold that at most ``rate`` of all pairs reach (``threshold_at_fmr``)."""
        allowed = math.floor(rate * self.count * (1 + 1e-12))
        if allowed < len(self.scores):
            return float(np.nextafter(self.scores[allowed], np.inf))
        if len(self.scores) < self.count:
            raise self._too_few()
        return LOWEST

    def _too_few(self) -> RateUnsupported:
        return RateUnsupported(
            f"of {self.count:,} pairs the {len(self.scores):,} highest were kept, down to "
            f"{self.scores[-1]:.3f}; count again with a larger top"
        )

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
        return np.where(np.isnan(thresholds), np.nan, ratio(sums, self.total))

    def thresholds_at(self, rates: Sequence[float]) -> Array:
        """(B,R): the threshold of each replicate's weighted rate, conservative as for the whole;
        NaN for a replicate that drew no such pair."""
        count = len(self.scores)
        thresholds = np.empty((len(self.weights), len(rates)))
        for r, rate in enumerate(rates):
            reach = int(min(count, max(64, 8 * rate * self.count)))
            while True:
                lengths = self._lengths(reach, rate)
                sums = self.prefix_sums(lengths)
                allowed = rate * self.total * (1 + 1e-12)
                if reach >= count or (sums[:, -1] > allowed).all():
                    break
                reach = min(count, reach * 4)
            none = self.total == 0
            if count < self.count and ((sums[:, -1] <= allowed) & ~none).any():
                raise self._too_few()
            # the highest score that may no longer be accepted stands just behind the prefix
            fits = (sums <= allowed[:, None]).sum(axis=1)
            first_out = lengths[np.maximum(fits, 1) - 1]
            first_out[fits == 0] = 0
            first_out = np.where(fits == len(lengths), count, first_out)
            padded = np.append(self.scores, np.finfo(np.float64).min)
            thresholds[:, r] = np.where(none, np.nan, np.nextafter(padded[first_out], np.inf))
        return thresholds

    def _lengths(self, reach: int, rate: float) -> IndexArray:
        if reach <= _EXACT_PAIRS // 50:
            return np.arange(1, reach + 1, dtype=np.int64)
        centre = max(1.0, min(rate * self.count, reach))
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
