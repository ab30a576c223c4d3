"""Two photos, one person or not: FMR, FNMR, ROC, EER, AUC, d′."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray, UsageError
from arcid.evaluate.metrics.rates import (
    LOWEST,
    Array,
    Convention,
    _check_rate,
    _checked,
    require_support,
)


def fmr(impostor: npt.ArrayLike, thresholds: npt.ArrayLike) -> Array:
    """False match rate at each threshold: share of impostor scores >= t."""
    scores = np.sort(_checked(impostor, "impostor"))
    below = np.searchsorted(scores, np.asarray(thresholds, np.float64), side="left")
    return np.asarray(1.0 - below / len(scores), np.float64)


def fnmr(genuine: npt.ArrayLike, thresholds: npt.ArrayLike) -> Array:
    """False non-match rate at each threshold: share of genuine scores < t."""
    scores = np.sort(_checked(genuine, "genuine"))
    below = np.searchsorted(scores, np.asarray(thresholds, np.float64), side="left")
    return np.asarray(below / len(scores), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """The operating points of a set of scores, one per distinct score, strictest first.

    Row 0 accepts nothing (threshold +inf). ``fmr`` and ``tar`` rise; DET plots ``fmr`` against
    ``fnmr``. With failed photos the last row, which would accept them, closes the curve at (1, 1).
    """

    thresholds: Array
    fmr: Array
    tar: Array

    @property
    def fnmr(self) -> Array:
        return 1.0 - self.tar

    def thinned(self, points: int = 400) -> Roc:
        """At most about ``points`` rows for a plot, spaced evenly in log FMR and in TAR."""
        if len(self.fmr) <= points:
            return self
        floor = self.fmr[self.fmr > 0].min(initial=1.0)
        wanted = np.geomspace(floor, 1.0, points // 2)
        rows = np.concatenate(
            [
                [0, len(self.fmr) - 1],
                np.searchsorted(self.fmr, wanted).clip(0, len(self.fmr) - 1),
                np.searchsorted(self.tar, np.linspace(0, 1, points // 2)).clip(
                    0, len(self.fmr) - 1
                ),
            ]
        )
        rows = np.unique(rows)
        return Roc(self.thresholds[rows], self.fmr[rows], self.tar[rows])


def roc(genuine: npt.ArrayLike, impostor: npt.ArrayLike) -> Roc:
    """Every operating point; equal scores share one."""
    g, i = _checked(genuine, "genuine"), _checked(impostor, "impostor")
    scores = np.concatenate([g, i])
    mated = np.zeros(len(scores), bool)
    mated[: len(g)] = True
    order = np.argsort(-scores, kind="stable")
    scores, mated = scores[order], mated[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    accepted = last + 1
    hits = np.cumsum(mated)[last]
    return Roc(
        np.append(np.inf, scores[last]),
        np.append(0.0, (accepted - hits) / len(i)),
        np.append(0.0, hits / len(g)),
    )


def threshold_at_fmr(impostor: npt.ArrayLike, rate: float) -> float:
    """The lowest threshold whose FMR on these scores is at most ``rate``.

    With n scores, floor(rate · n) may be accepted; the threshold is the next float above the
    highest score that may not. Failed photos stay rejected even where everything may be accepted.
    """
    _check_rate(rate)
    scores = _checked(impostor, "impostor")
    allowed = math.floor(rate * len(scores) * (1 + 1e-12))
    if allowed >= len(scores):
        return LOWEST
    position = len(scores) - 1 - allowed
    return float(np.nextafter(np.partition(scores, position)[position], np.inf))


def tar_at_fmr(
    genuine: npt.ArrayLike,
    impostor: npt.ArrayLike,
    rate: float,
    *,
    convention: Convention = "conservative",
    allow_unsupported: bool = False,
) -> float:
    """True accept rate at a target FMR (TAR@FAR).

    ``conservative`` (ours): TAR at ``threshold_at_fmr``; the measured FMR never exceeds the target.
    ``interpolated``: TAR on straight lines between the ROC's vertices.
    ``nearest``: as arcface_torch's IJB evaluation: TAR at the ROC vertex whose FMR is nearest the
    target, above or below, after collinear vertices are dropped; the highest TAR of equal FMRs.

    Raises ``RateUnsupported`` where the impostors are too few for the rate.
    """
    g, i = _checked(genuine, "genuine"), _checked(impostor, "impostor")
    require_support(rate, len(i), allow_unsupported=allow_unsupported)
    if convention == "conservative":
        return float((g >= threshold_at_fmr(i, rate)).mean())
    if convention not in ("interpolated", "nearest"):
        raise UsageError(
            f"convention {convention!r} is unknown; use conservative, interpolated or nearest"
        )
    return tar_from_roc(roc(g, i), len(g), len(i), rate, convention=convention)


def tar_from_roc(
    curve: Roc,
    genuine: int,
    impostor: int,
    rate: float,
    *,
    convention: Literal["interpolated", "nearest"] = "nearest",
) -> float:
    """TAR off a whole ROC (not thinned) of so many scores; conventions as ``tar_at_fmr``."""
    if convention == "interpolated":
        top = np.flatnonzero(np.append(curve.fmr[1:] != curve.fmr[:-1], True))
        return float(np.interp(rate, curve.fmr[top], curve.tar[top]))
    hits, alarms = np.round(curve.tar * genuine), np.round(curve.fmr * impostor)
    corner = np.ones(len(hits), bool)
    corner[1:-1] = (np.diff(hits, 2) != 0) | (np.diff(alarms, 2) != 0)
    distance = np.abs(curve.fmr[corner][::-1] - rate)
    return float(curve.tar[corner][::-1][np.argmin(distance)])


def eer(genuine: npt.ArrayLike, impostor: npt.ArrayLike) -> tuple[float, float]:
    """(equal error rate, threshold) where FMR = FNMR on straight lines between ROC vertices."""
    return eer_from_roc(roc(genuine, impostor))


def eer_from_roc(curve: Roc) -> tuple[float, float]:
    """As ``eer``, off a whole ROC (not thinned)."""
    gap = curve.fmr - curve.fnmr  # −1 at the strict end, rises to 1
    after = int(np.argmax(gap >= 0))
    before = after - 1
    step = gap[after] - gap[before]
    part = -gap[before] / step if step > 0 else 0.0
    rate = curve.fmr[before] + part * (curve.fmr[after] - curve.fmr[before])
    threshold = curve.thresholds[after]
    if np.isfinite(curve.thresholds[before]) and np.isfinite(threshold):
        threshold += (1 - part) * (curve.thresholds[before] - threshold)
    return float(rate), float(threshold)


def auc(genuine: npt.ArrayLike, impostor: npt.ArrayLike) -> float:
    """Area under the ROC: chance that a genuine score beats an impostor's, ties counted half."""
    g = _checked(genuine, "genuine")
    i = np.sort(_checked(impostor, "impostor"))
    below = np.searchsorted(i, g, side="left").astype(np.float64)
    equal = np.searchsorted(i, g, side="right") - below
    return float((below + 0.5 * equal).mean() / len(i))


def d_prime(genuine: npt.ArrayLike, impostor: npt.ArrayLike) -> float:
    """Difference of the means over the root mean variance (population); failed scores left out."""
    g, i = _checked(genuine, "genuine"), _checked(impostor, "impostor")
    g, i = g[np.isfinite(g)], i[np.isfinite(i)]
    if not len(g) or not len(i):
        raise InvalidArray("d′ needs scores of both kinds that did not fail")
    spread = math.sqrt((g.var() + i.var()) / 2)
    gap = float(g.mean() - i.mean())
    return gap / spread if spread > 0 else math.copysign(math.inf, gap) if gap else 0.0


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts at one threshold and the ratios made of them."""

    threshold: float
    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def accuracy(self) -> float:
        return (self.tp + self.tn) / (self.tp + self.fp + self.tn + self.fn)

    @property
    def precision(self) -> float:
        """Share of accepted pairs that are one person; 0 where nothing is accepted."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "tp": self.tp,
            "fp": self.fp,
            "tn": self.tn,
            "fn": self.fn,
            "accuracy": self.accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


def confusion(genuine: npt.ArrayLike, impostor: npt.ArrayLike, threshold: float) -> Confusion:
    """Counts of accepted and rejected pairs at a threshold; either kind may be empty here."""
    g, i = np.asarray(genuine, np.float64), np.asarray(impostor, np.float64)
    tp, fp = int((g >= threshold).sum()), int((i >= threshold).sum())
    return Confusion(float(threshold), tp, fp, len(i) - fp, len(g) - tp)
