"""FMR beyond the data: a tail fitted to the highest impostor scores, with its interval.

Two tails, both fitted by probability-weighted moments (Hosking & Wallis, Technometrics 1987):

* ``generalised_weibull`` (de Valk, Extremes 2016), used for thresholds:
  −log FMR(t) = y₀ · (1 + θ (t − u) / σ)^(1/θ) with y₀ = −log FMR(u). θ = 1 is an exponential tail,
  θ ≈ ½ a Gaussian one.
* ``generalised_pareto``, the classical limit: FMR(t) = FMR(u) · (1 + ξ (t − u) / σ)^(−1/ξ). It
  holds near u; a few decades below, Gaussian-like scores outrun it (docs/decisions/0006).

Rule for u: the highest 1 % of the impostor scores are fitted, at most 100,000 of them; fewer than
100 are refused.

Intervals draw people with replacement. A pair of people drawn v and w times weighs v·w, which
counts the pair's own noise three times (Owen 2007); ``shrinkage`` puts that right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from arcid.errors import RateUnsupported, UsageError
from arcid.evaluate.metrics import Array, IndexArray

Kind = Literal["generalised_weibull", "generalised_pareto"]
TAIL_SHARE = 1e-2
MIN_EXCEEDANCES = 100
MAX_EXCEEDANCES = 100_000
RULE = "the highest 1 % of the impostor scores, at most 100,000"
_SHAPES = (-6.0, 6.0)  # of the generalised Weibull tail
_NODES, _NODE_WEIGHTS = np.polynomial.laguerre.laggauss(48)


@dataclass(frozen=True, slots=True)
class Tail:
    """FMR(t) at and above the cosine ``start``."""

    kind: Kind
    start: float  # u
    rate: float  # FMR(u)
    shape: float  # θ or ξ
    scale: float  # σ, in cosine

    def fmr(self, cosine: npt.ArrayLike) -> Array:
        """FMR at each cosine from ``start`` up; 0 beyond a bounded tail's end."""
        excess = (np.asarray(cosine, np.float64) - self.start) / self.scale
        grown = _unit_exceedance_inverse(self.shape, excess)
        if self.kind == "generalised_pareto":
            return np.asarray(self.rate * np.exp(-grown))
        with np.errstate(over="ignore"):
            return np.asarray(self.rate ** np.exp(grown))

    def cosine(self, fmr: npt.ArrayLike) -> Array:
        """The cosine at which FMR falls to each rate; may exceed 1."""
        rate = np.asarray(fmr, np.float64)
        if self.kind == "generalised_pareto":
            grown = np.log(self.rate / rate)
        else:
            grown = np.log(np.log(rate) / math.log(self.rate))
        return np.asarray(self.start + self.scale * _unit_exceedance(self.shape, grown))


def fit(
    exceedances: npt.ArrayLike, start: float, rate: float, *, kind: Kind = "generalised_weibull"
) -> Tail:
    """Fit a tail to the scores above ``start``, which a share ``rate`` of all scores exceed.

    Raises ``RateUnsupported`` below 100 exceedances and ``UsageError`` on scores that do not vary.
    """
    scores = np.sort(np.asarray(exceedances, np.float64))
    if len(scores) < MIN_EXCEEDANCES:
        raise RateUnsupported(
            f"a tail needs at least {MIN_EXCEEDANCES} exceedances, got {len(scores)}; use more "
            "people or ask for measured rates only"
        )
    if not 0 < rate < 1:
        raise UsageError(f"a tail starts at a rate between 0 and 1, got {rate}")
    moments = _moments(scores - start, np.ones((1, len(scores))))
    shape, scale = _solve(kind, moments, np.array([rate]))
    return Tail(kind, float(start), float(rate), float(shape[0]), float(scale[0]))


def exceedance_count(pairs: int) -> int:
    """How many of so many impostor scores the stated rule fits; 0 where they are too few."""
    count = min(int(TAIL_SHARE * pairs), MAX_EXCEEDANCES)
    return count if count >= MIN_EXCEEDANCES else 0


class TailBootstrap:
    """The fitted tail of all impostor pairs and its replicates over people.

    ``cosines`` (K,), ``first`` and ``second``: the highest pairs, highest first, with their people;
    ``totals`` (B,): weight of all impostor pairs in each replicate of ``weights`` (B,P); ``pairs``:
    their number; ``exposure`` (P,): impostor pairs of each person. Replicates that hold none of the
    highest pairs say nothing of the tail: they are left out and counted in ``dropped``. Raises
    ``RateUnsupported`` where the pairs are too few for a tail, or most replicates hold none.
    """

    def __init__(
        self,
        cosines: Array,
        first: IndexArray,
        second: IndexArray,
        pairs: int,
        weights: Array,
        totals: Array,
        exposure: Array,
        *,
        kind: Kind = "generalised_weibull",
    ) -> None:
        count = min(exceedance_count(pairs), len(cosines) - 1)
        if count < MIN_EXCEEDANCES:
            raise RateUnsupported(
                f"{pairs:,} impostor pairs are too few for a tail, which is fitted to {RULE} and "
                f"needs {MIN_EXCEEDANCES} of them; use more people"
            )
        scores = cosines[:count][::-1]
        self.first, self.second = first[:count][::-1], second[:count][::-1]
        self.start = float(cosines[count])
        self.exposure = exposure
        self.exceedances = scores
        self.tail = fit(scores, self.start, count / pairs, kind=kind)
        drawn = _moments_by_row(scores - self.start, weights, self.first, self.second)
        usable = (drawn[:, 0] > 0) & (drawn[:, 1] > 0) & (totals > 0)
        self.dropped = int((~usable).sum())
        if self.dropped > len(weights) / 2:
            raise RateUnsupported(
                f"{self.dropped} of {len(weights)} draws of people hold none of the high scores: "
                "a few pairs of people made them all, so no tail can be fitted; use more people"
            )
        drawn, totals = drawn[usable], totals[usable]
        rates = np.clip(drawn[:, 0] / totals, 1e-12, 0.5)
        shape, scale = _solve(kind, drawn[:, 1:], rates)
        self.replicates = [
            Tail(kind, self.start, float(r), float(a), float(s))
            for r, a, s in zip(rates, shape, scale, strict=True)
        ]

    def cosine_interval(self, fmr: float) -> tuple[float, float]:
        """95 % interval of the cosine at which FMR is ``fmr``."""
        best = float(self.tail.cosine(fmr))
        samples = np.array([float(t.cosine(fmr)) for t in self.replicates])
        factor = self._factor(fmr)
        low, high = np.percentile(samples, [2.5, 97.5])
        return best + factor * (min(low, best) - best), best + factor * (max(high, best) - best)

    def fmr_interval(self, cosine: float) -> tuple[float, float]:
        """95 % interval of FMR at a cosine in the tail, taken on the log scale."""
        best = math.log(max(float(self.tail.fmr(cosine)), 1e-300))
        samples = [math.log(max(float(t.fmr(cosine)), 1e-300)) for t in self.replicates]
        factor = self._factor(math.exp(best))
        low, high = np.percentile(samples, [2.5, 97.5])
        ends = (best + factor * (min(low, best) - best), best + factor * (max(high, best) - best))
        return math.exp(ends[0]), min(1.0, math.exp(ends[1]))

    def to_dict(self) -> dict[str, Any]:
        """The ``tail`` block of ``calibration.json``."""
        shapes = [t.shape for t in self.replicates]
        low, high = np.percentile(shapes, [2.5, 97.5])
        t = self.tail
        return {
            "kind": t.kind,
            "start": t.start,
            "rate": t.rate,
            "shape": t.shape,
            "shape_low": float(min(low, t.shape)),
            "shape_high": float(max(high, t.shape)),
            "scale": t.scale,
            "exceedances": len(self.exceedances),
            "rule": RULE,
        }

    def _factor(self, fmr: float) -> float:
        return shrinkage(self.first, self.second, self._influence(fmr), self.exposure)

    def _influence(self, fmr: float) -> Array:
        """(K,) what each exceedance adds to the cosine at ``fmr``, up to a common factor."""
        y = self.exceedances - self.start
        n = len(y)
        base = _moments(y, np.ones((1, n)))[0]
        theta = np.array([self.tail.rate, base[0], base[1]])

        def at(values: Array) -> float:
            shape, scale = _solve(self.tail.kind, values[None, 1:], values[:1])
            made = Tail(self.tail.kind, self.start, float(values[0]), shape[0], scale[0])
            return float(made.cosine(fmr))

        steps = 1e-4 * theta
        gradient = np.array([(at(theta + e) - at(theta - e)) for e in np.diag(steps)]) / (2 * steps)
        below = np.cumsum(y)  # E[min(y, Y)] of each exceedance
        minima = (below + y * (n - 1 - np.arange(n))) / n
        parts = np.stack(
            [np.full(n, theta[0]), y - base[0], minima - 2 * base[1]]
        )  # of the rate, and of both moments given an exceedance
        return np.asarray(gradient @ parts)


def shrinkage(first: IndexArray, second: IndexArray, influence: Array, exposure: Array) -> float:
    """By how much an interval from products of people's weights is too wide: a factor up to 1.

    With y the summed influence of a pair of people and S that of one person, less what falls to
    them by their ``exposure`` (P,), the products have variance Σ S² + Σ y² and the dyadic-robust
    variance is Σ S² − Σ y².
    """
    if not len(first):
        return 1.0
    shared, own = _spread(first, second, influence, exposure)
    return math.sqrt(max(shared - own, own) / (shared + own)) if shared + own > 0 else 1.0


def effective_matches(first: IndexArray, second: IndexArray, exposure: Array) -> float:
    """How many independent false matches are worth as much as these pairs of photos.

    ``first`` and ``second`` (K,) are the people of each false match, ``exposure`` (P,) impostor
    pairs of each person. With y the matches of one pair of people the number is (Σ y)² / V, V the
    dyadic-robust variance of Σ y and at least Σ y²: (Σ y)² / Σ y² is Kish's effective size (Survey
    Sampling, 1965), so no pair of people counts more than once, however many photos it has, and
    people who resemble everybody lower the number further. For independent matches it is K.
    """
    if not len(first):
        return 0.0
    shared, own = _spread(first, second, np.ones(len(first)), exposure)
    return float(len(first) ** 2 / max(shared - own, own))


def _spread(
    first: IndexArray, second: IndexArray, influence: Array, exposure: Array
) -> tuple[float, float]:
    """Σ S² over people and Σ y² over pairs of people, as in ``shrinkage``."""
    people = len(exposure)
    low, high = np.minimum(first, second), np.maximum(first, second)
    pairs = np.unique(low * people + high, return_inverse=True)[1]
    own = (np.bincount(pairs, weights=influence) ** 2).sum()
    each = np.bincount(first, weights=influence, minlength=people)
    each += np.bincount(second, weights=influence, minlength=people)
    each -= each.sum() * exposure / exposure.sum()
    return float((each**2).sum()), float(own)


# --- moments and their solutions -------------------------------------------------------------


def _moments(excess: Array, weights: Array) -> Array:
    """(B,2) mean and probability-weighted moment E[Y (1 − F(Y))] of ascending (K,) excesses.

    Weights are whole numbers: a weight of w stands for w equal observations.
    """
    total = weights.sum(axis=1, keepdims=True)
    above = total - np.cumsum(weights, axis=1)
    share = (above + (weights - 1) / 2) / np.maximum(total - 1, 1)
    first = (weights @ excess) / total[:, 0]
    second = (weights * share) @ excess / total[:, 0]
    return np.stack([first, second], axis=1)


def _moments_by_row(excess: Array, weights: Array, first: IndexArray, second: IndexArray) -> Array:
    """(B,3) weight of the exceedances and both their moments, one replicate at a time."""
    out = np.empty((len(weights), 3))
    for row, people in enumerate(weights):
        w = people[first] * people[second]
        out[row, 0] = w.sum()
        out[row, 1:] = _moments(excess, w[None])[0] if out[row, 0] else 0.0
    return out


def _solve(kind: Kind, moments: Array, rates: Array) -> tuple[Array, Array]:
    """(B,) shapes and scales that have these moments."""
    mean, weighted = moments[:, 0], moments[:, 1]
    if not (mean > 0).all() or not np.isfinite(moments).all():
        raise UsageError("the highest impostor scores do not vary; no tail can be fitted to them")
    if kind == "generalised_pareto":
        ratio = mean / (mean - 2 * weighted)
        return 2 - ratio, 2 * weighted * ratio
    depth = -np.log(rates)
    low, high = (np.full(len(mean), end) for end in _SHAPES)
    for _ in range(50):
        middle = (low + high) / 2
        first, second = _weibull_moments(middle, depth)
        light = second / first > weighted / mean  # a light tail spends more of its mean low
        low, high = np.where(light, middle, low), np.where(light, high, middle)
    shape = (low + high) / 2
    return shape, mean / _weibull_moments(shape, depth)[0]


def _weibull_moments(shape: Array, depth: Array) -> tuple[Array, Array]:
    """Moments of h_θ(1 + E / y₀) for a standard exponential E, by Gauss–Laguerre quadrature."""
    values = _unit_exceedance(shape[:, None], np.log1p(_NODES / depth[:, None]))
    halves = _unit_exceedance(shape[:, None], np.log1p(_NODES / 2 / depth[:, None]))
    return values @ _NODE_WEIGHTS, halves @ _NODE_WEIGHTS / 2


def _unit_exceedance(shape: Any, grown: Any) -> Any:
    """(e^(shape · grown) − 1) / shape, its limit at shape 0 included."""
    safe = np.where(np.abs(shape) < 1e-9, 1.0, shape)
    return np.where(np.abs(shape) < 1e-9, grown, np.expm1(safe * grown) / safe)


def _unit_exceedance_inverse(shape: float, excess: Array) -> Array:
    """The inverse of ``_unit_exceedance``; +inf beyond a bounded tail's end."""
    if abs(shape) < 1e-9:
        return excess
    inside = np.maximum(1 + shape * excess, 0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(inside) / shape)
