"""Score → probability that both faces are one person, and likelihood ratio.

At equal prior odds; the odds of the probability are the likelihood ratio. Two maps are fitted:
logistic (two numbers, smooth, rises everywhere) and isotonic (pool adjacent violators, no shape
assumed). Both are judged on people who had no part in the fit, by Cllr: the cost of the log
likelihood ratio in bits, 0 for perfect, 1 for knowing nothing (Brümmer & du Preez, CSL 2006). At
equal priors it is the log-loss over ln 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate.metrics import Array
from arcid.evaluate.protocols.all_pairs import all_pairs
from arcid.types import FloatArray

FOLDS = 5
PREFERENCE = 0.02  # isotonic is taken where its Cllr is lower by this share
_ECE_BINS = 15
_FINITE = 1e-12


class Map(Protocol):
    """A fitted map."""

    def __call__(self, cosine: npt.ArrayLike) -> Array:
        """Probability at each cosine."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The ``probability`` block of ``calibration.json``."""
        ...


@dataclass(frozen=True, slots=True)
class Logistic:
    """p = 1 / (1 + exp(−intercept − slope · cosine))."""

    intercept: float
    slope: float

    def __call__(self, cosine: npt.ArrayLike) -> Array:
        z = self.intercept + self.slope * np.asarray(cosine, np.float64)
        return np.asarray(1 / (1 + np.exp(-np.clip(z, -700, 700))))

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "logistic",
            "intercept": round(self.intercept, 6),
            "slope": round(self.slope, 6),
        }


@dataclass(frozen=True, eq=False)
class Isotonic:
    """Straight lines between (cosine, probability) points, level beyond both ends."""

    cosine: Array
    probability: Array

    def __call__(self, cosine: npt.ArrayLike) -> Array:
        x = np.asarray(cosine, np.float64)
        return np.asarray(np.interp(x, self.cosine, self.probability))

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "isotonic",
            "cosine": [round(float(c), 6) for c in self.cosine],
            "probability": [float(f"{p:.6g}") for p in self.probability],
        }


@dataclass(frozen=True, eq=False)
class Scores:
    """Cosines with how many genuine and impostor pairs have each."""

    cosine: Array  # (M,) ascending
    genuine: Array  # (M,)
    impostor: Array

    @classmethod
    def of(cls, genuine: npt.ArrayLike, impostor: npt.ArrayLike) -> Scores:
        """From lists of scores; both must be present."""
        g, i = np.asarray(genuine, np.float64), np.asarray(impostor, np.float64)
        values, back = np.unique(np.concatenate([g, i]), return_inverse=True)
        own = np.bincount(back[: len(g)], minlength=len(values))
        other = np.bincount(back[len(g) :], minlength=len(values))
        return cls(values, own.astype(np.float64), other.astype(np.float64))

    @classmethod
    def of_people(cls, vectors: FloatArray, labels: npt.ArrayLike) -> Scores:
        """All pairs of (N,D) vectors, counted in bins of 1/4096 of cosine."""
        stats = all_pairs(vectors, labels, top=1)
        used = (stats.genuine.counts + stats.impostor.counts) > 0
        return cls(
            stats.genuine.centres[used],
            stats.genuine.counts[used].astype(np.float64),
            stats.impostor.counts[used].astype(np.float64),
        )

    def __post_init__(self) -> None:
        if not self.genuine.sum() or not self.impostor.sum():
            raise InvalidArray("a probability needs genuine and impostor pairs")

    def shares(self) -> tuple[Array, Array]:
        """Both kinds as shares of their total."""
        return self.genuine / self.genuine.sum(), self.impostor / self.impostor.sum()


def fit_logistic(scores: Scores) -> Logistic:
    """Newton's method on the log-loss, both kinds of pairs weighing the same in total."""
    own, other = scores.shares()
    weight = (own + other) / 2
    target = own / (own + other)
    design = np.stack([np.ones_like(scores.cosine), scores.cosine], axis=1)
    beta = logistic_regression(design, weight, target)
    return Logistic(float(beta[0]), max(float(beta[1]), 1e-6))


def logistic_regression(design: Array, weight: Array, target: Array) -> Array:
    """(M,K) values, (M,) weights and shares of one kind → (K,) coefficients, by Newton's method."""
    beta = np.zeros(design.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -500, 500)))
        gradient = design.T @ (weight * (target - p))
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design
        step = np.clip(np.linalg.solve(hessian + 1e-9 * np.eye(len(beta)), gradient), -20, 20)
        beta += step
        if np.abs(step).max() < 1e-10:
            break
    return beta


def pool_adjacent_violators(values: npt.ArrayLike, weights: npt.ArrayLike) -> Array:
    """The rising sequence nearest to ``values`` in weighted squares (Ayer et al. 1955)."""
    means: list[float] = []
    masses: list[float] = []
    lengths: list[int] = []
    pairs = zip(np.asarray(values, np.float64), np.asarray(weights, np.float64), strict=True)
    for value, weight in pairs:
        mean, mass, length = float(value), float(weight), 1
        while means and means[-1] >= mean:
            before = masses.pop()
            mean = (mean * mass + means.pop() * before) / (mass + before)
            mass += before
            length += lengths.pop()
        means.append(mean)
        masses.append(mass)
        lengths.append(length)
    return np.repeat(means, lengths)


def fit_isotonic(scores: Scores) -> Isotonic:
    """Isotonic regression, with one genuine pair added at the lowest score and one impostor at the
    highest, so that no likelihood ratio is zero or infinite."""
    genuine, impostor = scores.genuine.copy(), scores.impostor.copy()
    genuine[0] += 1
    impostor[-1] += 1
    own, other = Scores(scores.cosine, genuine, impostor).shares()
    fitted = pool_adjacent_violators(own / (own + other), own + other)
    edge = np.flatnonzero(np.diff(fitted) > 0)
    corners = np.unique(np.concatenate([[0], edge, edge + 1, [len(fitted) - 1]]))
    return Isotonic(scores.cosine[corners], fitted[corners])


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a map does on pairs that it was not fitted to, at equal priors."""

    cllr: float  # bits
    log_loss: float  # nats
    ece: float  # expected calibration error: mean gap between stated and observed, 15 bins

    def to_dict(self) -> dict[str, float]:
        return {k: float(f"{getattr(self, k):.5g}") for k in ("cllr", "log_loss", "ece")}


def assess(mapping: Map, scores: Scores) -> Quality:
    """Cllr, log-loss and expected calibration error on these pairs."""
    own, other = scores.shares()
    p = np.clip(mapping(scores.cosine), _FINITE, 1 - _FINITE)
    loss = float((-own * np.log(p) - other * np.log1p(-p)).sum() / 2)
    weight = (own + other) / 2
    bins = np.minimum((p * _ECE_BINS).astype(int), _ECE_BINS - 1)
    stated = np.bincount(bins, weight * p, minlength=_ECE_BINS)
    observed = np.bincount(bins, own / 2, minlength=_ECE_BINS)
    return Quality(loss / math.log(2), loss, float(np.abs(stated - observed).sum()))


@dataclass(frozen=True, slots=True)
class Choice:
    """The map to use and what both were worth on held-out people."""

    mapping: Map
    held_out: dict[str, Quality]
    folds: int

    def to_dict(self) -> dict[str, Any]:
        found = self.mapping.to_dict()
        if self.held_out:
            judged = {name: q.to_dict() for name, q in self.held_out.items()}
            found["held_out"] = {"folds": self.folds, **judged}
        return found


def choose(
    vectors: FloatArray, labels: npt.ArrayLike, *, folds: int = FOLDS, seed: int = 0
) -> Choice:
    """Fit both maps to all pairs of (N,D) vectors; the one to use is found by cross-validation.

    People are dealt into folds; a fold's pairs of its own people judge the maps fitted to the pairs
    of all the others. The logistic map is kept unless the isotonic one's Cllr is 2 % lower. Folds
    without genuine pairs are left out.
    """
    people = np.unique(np.asarray(labels), return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(int(people.max()) + 1)
    fold_of = (order % folds)[people]
    found: dict[str, list[Quality]] = {"logistic": [], "isotonic": []}
    for fold in range(folds):
        try:
            test = Scores.of_people(vectors[fold_of == fold], people[fold_of == fold])
            train = Scores.of_people(vectors[fold_of != fold], people[fold_of != fold])
        except InvalidArray:
            continue
        found["logistic"].append(assess(fit_logistic(train), test))
        found["isotonic"].append(assess(fit_isotonic(train), test))
    everything = Scores.of_people(vectors, people)
    used = len(found["logistic"])
    if not used:
        return Choice(fit_logistic(everything), {}, 0)
    held_out = {
        name: Quality(
            *(float(np.mean([getattr(q, k) for q in each])) for k in ("cllr", "log_loss", "ece"))
        )
        for name, each in found.items()
    }
    better = held_out["isotonic"].cllr < (1 - PREFERENCE) * held_out["logistic"].cllr
    mapping: Map = fit_isotonic(everything) if better else fit_logistic(everything)
    return Choice(mapping, held_out, used)
