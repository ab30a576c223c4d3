"""Intervals that resample people, not pairs, and the paired comparison of two models.

Photos of one person hang together, and one person takes part in many impostor pairs, so pairs are
far from independent: resampling them gives intervals that are much too narrow. Here each replicate
draws the people with replacement. A person drawn w times gives their genuine pairs weight w; the
impostor pairs of two people weigh w·v (Bolle, Ratha & Pankanti 2004: the subsets bootstrap).
Intervals are the 2.5 and 97.5 percentiles of the replicates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate.metrics import (
    FAILED,
    Array,
    IndexArray,
    Mask,
    Rate,
    Searches,
    binomial_rate,
    eer,
    require_support,
    split_scores,
    support,
    tar_at_fmr,
    threshold_at_fmr,
    wilson,
)

REPLICATES = 300
_EXACT_PAIRS = 100_000  # up to here every score is a threshold of the replicates
_GRID = 24  # thresholds a target rate above that


@dataclass(frozen=True, eq=False)
class PairScores:
    """Scored pairs with their people: what every verification metric takes.

    ``first`` and ``second`` number the people of both sides, 0 … people − 1. Failed pairs score
    ``FAILED``. Raises ``InvalidArray`` where the arrays disagree.
    """

    scores: Array  # (M,) float64, higher is closer
    same: Mask  # (M,)
    first: IndexArray  # (M,)
    second: IndexArray  # (M,)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "scores", np.asarray(self.scores, np.float64))
        set_(self, "same", np.asarray(self.same).astype(bool))
        for name in ("first", "second"):
            set_(self, name, np.asarray(getattr(self, name), np.int64))
        shapes = {a.shape for a in (self.scores, self.same, self.first, self.second)}
        if len(shapes) != 1 or self.scores.ndim != 1:
            raise InvalidArray(f"scores, labels and people must be of one length, got {shapes}")
        if np.isnan(self.scores).any():
            raise InvalidArray("scores hold NaN; a failed photo scores -inf, never NaN")
        wrong = np.flatnonzero((self.first == self.second) != self.same)
        if len(wrong):
            raise InvalidArray(
                f"pair {wrong[0]} is labelled {'same' if self.same[wrong[0]] else 'different'} "
                "but its people say otherwise"
            )

    @classmethod
    def from_labels(
        cls, scores: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike
    ) -> PairScores:
        """People by any labels (names, numbers); a pair is one person where they are equal."""
        a, b = np.asarray(first), np.asarray(second)
        ids = np.unique(np.concatenate([a, b]), return_inverse=True)[1]
        return cls(np.asarray(scores), a == b, ids[: len(a)], ids[len(a) :])

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def genuine(self) -> Array:
        return self.scores[self.same]

    @property
    def impostor(self) -> Array:
        return self.scores[~self.same]

    @property
    def failed(self) -> int:
        """How many pairs have a failed photo."""
        return int((self.scores == FAILED).sum())

    @property
    def people(self) -> int:
        return int(max(self.first.max(initial=-1), self.second.max(initial=-1))) + 1


def people_of_pairs(
    first: npt.ArrayLike, second: npt.ArrayLike, same: npt.ArrayLike, photos: int
) -> IndexArray:
    """(photos,) person numbers where only pairs are labelled, as in ``.bin`` files.

    Photos joined by genuine pairs, directly or in a chain, are one person. People met in
    unconnected pairs stay apart, so an interval made of these is somewhat too narrow.
    """
    parent = np.arange(photos)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    flags = np.asarray(same).astype(bool)
    for a, b in zip(np.asarray(first)[flags], np.asarray(second)[flags], strict=True):
        parent[root(int(a))] = root(int(b))
    roots = [root(i) for i in range(photos)]
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


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

    def tar_at_fmr(self, rates: Sequence[float]) -> Array:
        """(B,R) true accept rates, the threshold chosen again in every replicate."""
        genuine, thresholds = self._nested(True), self.thresholds_at_fmr(rates)
        return np.stack([genuine.share_at_own(thresholds[:, r]) for r in range(len(rates))], axis=1)

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
        return _ratio(correct, totals)


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
        return _ratio(sums, np.broadcast_to(self.total[:, None], sums.shape))

    def share_at_own(self, thresholds: Array) -> Array:
        """(B,) share of pairs that reach each replicate's own threshold."""
        lengths = self.accepted(thresholds)
        sums = np.empty(len(lengths))
        for row, (weights, length) in enumerate(zip(self.weights, lengths, strict=True)):
            sums[row] = _sums(
                weights[None], self.a[:length], self.b[:length], squared=self.squared
            )[0]
        return _ratio(sums, self.total)

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


def _ratio(part: Array, whole: Array) -> Array:
    """NaN where the whole is empty."""
    out: Array = np.divide(part, whole, out=np.full(part.shape, math.nan), where=whole > 0)
    return out


# --- rates with intervals --------------------------------------------------------------------


def _rate(value: float, samples: Array, count: int, trials: int, level: str = "measured") -> Rate:
    low, high = interval(samples)
    if count in (0, trials) or not math.isfinite(low):
        # nothing (or everything) happened: replicates say nothing, the rule of 3 bounds it
        low, high = wilson(count, trials)
    return Rate(value, min(low, value), max(high, value), count, trials, "identities", level)


def fmr_rate(boot: PairBootstrap, threshold: float) -> Rate:
    """FMR at a threshold with its interval."""
    impostor = boot.pairs.impostor
    count = int((impostor >= threshold).sum())
    return _rate(count / len(impostor), boot.fmr([threshold])[:, 0], count, len(impostor))


def fnmr_rate(boot: PairBootstrap, threshold: float) -> Rate:
    """FNMR at a threshold with its interval."""
    genuine = boot.pairs.genuine
    count = int((genuine < threshold).sum())
    return _rate(count / len(genuine), boot.fnmr([threshold])[:, 0], count, len(genuine))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """TAR at a target FMR, and the threshold that keeps it."""

    target_fmr: float
    threshold: float
    tar: Rate
    threshold_low: float
    threshold_high: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "target_fmr": self.target_fmr,
            "threshold": self.threshold,
            "threshold_low": self.threshold_low,
            "threshold_high": self.threshold_high,
            "tar": self.tar.to_dict(),
        }


def operating_points(
    boot: PairBootstrap, rates: Sequence[float], *, allow_unsupported: bool = False
) -> list[OperatingPoint]:
    """TAR at each target FMR that the impostors support, with intervals.

    Unsupported rates (rule of 3) are left out; with ``allow_unsupported`` they are stated, marked.
    """
    genuine, impostor = boot.pairs.genuine, boot.pairs.impostor
    kept = [r for r in rates if allow_unsupported or support(r, len(impostor)).supported]
    if not kept:
        return []
    thresholds = boot.thresholds_at_fmr(kept)
    shares = [boot._nested(True).share_at_own(thresholds[:, r]) for r in range(len(kept))]
    points = []
    for r, rate in enumerate(kept):
        threshold = threshold_at_fmr(impostor, rate)
        count = int((genuine >= threshold).sum())
        tar = _rate(
            count / len(genuine),
            shares[r],
            count,
            len(genuine),
            support(rate, len(impostor)).level,
        )
        low, high = interval(thresholds[:, r])
        points.append(OperatingPoint(rate, threshold, tar, low, high))
    return points


def eer_rate(boot: PairBootstrap) -> tuple[Rate, float]:
    """(EER with its interval, threshold)."""
    genuine, impostor = boot.pairs.genuine, boot.pairs.impostor
    value, threshold = eer(genuine, impostor)
    count = round(value * len(genuine))
    return _rate(value, boot.eer(), count, len(genuine)), threshold


def accuracy_rate(boot: PairBootstrap, accepted: Mask) -> Rate:
    """Share of right decisions with its interval; the decisions themselves stay fixed."""
    right = int((np.asarray(accepted).astype(bool) == boot.pairs.same).sum())
    total = len(boot.pairs)
    return _rate(right / total, boot.accuracy(accepted), right, total)


def clustered_rate(
    events: npt.ArrayLike,
    people: npt.ArrayLike,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Rate:
    """A share of probes (or photos) with an interval that resamples their people."""
    happened = np.asarray(events).astype(bool)
    ids = np.unique(np.asarray(people), return_inverse=True)[1]
    if happened.shape != ids.shape:
        raise InvalidArray(f"{len(happened)} events but {len(ids)} people")
    if len(happened) == 0:
        return binomial_rate(0, 0)
    weights = identity_weights(int(ids.max()) + 1, replicates, seed)
    trials = weights @ np.bincount(ids, minlength=weights.shape[1])
    hits = weights @ np.bincount(ids, weights=happened, minlength=weights.shape[1])
    samples = _ratio(hits, trials)
    return _rate(float(happened.mean()), samples, int(happened.sum()), len(happened))


@dataclass(frozen=True, slots=True)
class IdentificationPoint:
    """DIR at a target FPIR; FNIR = 1 − DIR."""

    target_fpir: float
    rank: int
    threshold: float
    dir: Rate

    @property
    def fnir(self) -> Rate:
        d = self.dir
        return Rate(
            1 - d.value, 1 - d.high, 1 - d.low, d.trials - d.count, d.trials, d.resampled, d.support
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "target_fpir": self.target_fpir,
            "rank": self.rank,
            "threshold": self.threshold,
            "dir": self.dir.to_dict(),
            "fnir": self.fnir.to_dict(),
        }


def identification_point(
    searches: Searches,
    mated_people: npt.ArrayLike,
    nonmated_people: npt.ArrayLike,
    rate: float,
    *,
    rank: int = 1,
    replicates: int = REPLICATES,
    seed: int = 0,
    allow_unsupported: bool = False,
) -> IdentificationPoint:
    """DIR at a target FPIR; replicates draw mated and non-mated people, and the threshold anew.

    Raises ``RateUnsupported`` where the non-mated probes are too few.
    """
    other = searches.nonmated_scores
    level = require_support(rate, len(other), what="FPIR", allow_unsupported=allow_unsupported)
    threshold = threshold_at_fmr(other, rate)
    inside = searches.mated_ranks <= rank
    found = inside & (searches.mated_scores >= threshold)
    order = np.argsort(-other, kind="stable")
    strangers = np.unique(np.asarray(nonmated_people), return_inverse=True)[1][order]
    enrolled = np.unique(np.asarray(mated_people), return_inverse=True)[1]
    padded = np.append(other[order], np.finfo(np.float64).min)
    w_other = identity_weights(int(strangers.max()) + 1, replicates, seed)
    w_mated = identity_weights(int(enrolled.max()) + 1, replicates, seed + 1)
    samples = np.empty(replicates)
    for b in range(replicates):
        taken = np.cumsum(w_other[b, strangers])
        allowed = rate * taken[-1] * (1 + 1e-12)
        own = np.nextafter(padded[np.searchsorted(taken, allowed, side="right")], np.inf)
        weight = w_mated[b, enrolled]
        samples[b] = (weight * (inside & (searches.mated_scores >= own))).sum() / weight.sum()
    dir_ = _rate(float(found.mean()), samples, int(found.sum()), len(found), level.level)
    return IdentificationPoint(rate, rank, threshold, dir_)


# --- two models ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """B − A of one number, from replicates that drew the same people for both."""

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    share_b_higher: float  # of the replicates; ties count half

    @property
    def significant(self) -> bool:
        """The 95 % interval of the difference leaves out zero."""
        return self.low > 0 or self.high < 0

    def describe(self, *, higher_is_better: bool = True) -> str:
        """One sentence: which is better and by how much."""
        half = (self.high - self.low) / 2
        amount = f"{abs(self.difference):.4f} ± {half:.4f} ({self.metric})"
        if not self.significant:
            return f"no difference can be told: B − A = {self.difference:+.4f} ± {half:.4f} " + (
                f"({self.metric})"
            )
        better = "B" if (self.difference > 0) == higher_is_better else "A"
        return f"{better} is better by {amount}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "a": self.a,
            "b": self.b,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "share_b_higher": self.share_b_higher,
            "significant": self.significant,
        }


def paired_difference(
    metric: str,
    a: PairBootstrap,
    b: PairBootstrap,
    value: Callable[[PairScores], float],
    samples: Callable[[PairBootstrap], Array],
) -> Difference:
    """Compare two models on the same pairs, any metric.

    ``value`` gives the number of all pairs, ``samples`` the (B,) replicates of a bootstrap. Raises
    ``InvalidArray`` unless both scored the same pairs of the same people.
    """
    same_pairs = len(a.pairs) == len(b.pairs) and all(
        np.array_equal(getattr(a.pairs, name), getattr(b.pairs, name))
        for name in ("same", "first", "second")
    )
    if not same_pairs or not np.array_equal(a.weights, b.weights):
        raise InvalidArray(
            "a paired comparison needs both models' scores of the same pairs, in one order, and "
            "the same seed"
        )
    left, right = value(a.pairs), value(b.pairs)
    gap = samples(b) - samples(a)
    low, high = interval(gap)
    higher = float(((gap > 0) + 0.5 * (gap == 0))[np.isfinite(gap)].mean())
    return Difference(metric, left, right, right - left, low, high, higher)


def compare_tar(
    a: PairScores,
    b: PairScores,
    rate: float,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    allow_unsupported: bool = False,
) -> Difference:
    """TAR at a target FMR of two models, each at its own threshold."""
    require_support(rate, int((~a.same).sum()), allow_unsupported=allow_unsupported)
    return paired_difference(
        f"TAR@FMR={rate:g}",
        PairBootstrap(a, replicates, seed),
        PairBootstrap(b, replicates, seed),
        lambda p: tar_at_fmr(p.genuine, p.impostor, rate, allow_unsupported=True),
        lambda boot: boot.tar_at_fmr([rate])[:, 0],
    )


def compare_accuracy(
    a: PairScores,
    b: PairScores,
    accepted_a: Mask,
    accepted_b: Mask,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Difference:
    """Accuracy of two models' decisions on the same pairs (for example k-fold decisions)."""
    boots = PairBootstrap(a, replicates, seed), PairBootstrap(b, replicates, seed)
    accepted = {id(boots[0]): accepted_a, id(boots[1]): accepted_b}
    pairs = {id(a): accepted_a, id(b): accepted_b}
    return paired_difference(
        "accuracy",
        *boots,
        lambda p: float((np.asarray(pairs[id(p)]).astype(bool) == p.same).mean()),
        lambda boot: boot.accuracy(accepted[id(boot)]),
    )
