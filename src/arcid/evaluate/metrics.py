"""Error rates of scores: pure functions over arrays, NumPy only.

Conventions, everywhere in ``arcid.evaluate``:

* a score is a similarity, higher is closer; a comparison is accepted where ``score >= threshold``;
* a failed photo scores ``FAILED`` (−inf): its pairs are non-matches at every threshold;
* FMR(t) is the share of impostor (non-mated) scores at or above t, FNMR(t) the share of genuine
  (mated) scores below t, TAR = 1 − FNMR;
* thresholds for a target rate are conservative: the rate at the threshold never exceeds the target,
  and equal scores are accepted or rejected together.

Definitions follow ISO/IEC 19795-1 (verification, identification) and ISO/IEC 30107-3 (attacks).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray, RateUnsupported, UsageError

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.int64]
Convention = Literal["conservative", "interpolated", "nearest"]

FAILED = -math.inf
LOWEST = float(np.finfo(np.float64).min)  # accepts every score except FAILED
RULE_OF_3 = 3
RULE_OF_30 = 30
MIN_ATTACKS = 30  # per species, below which no APCER is stated (ISO/IEC 30107-3)


# --- what the counts can support -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Support:
    """Whether ``trials`` comparisons can state an error rate.

    ``measured``: 30 or more errors are expected (rule of 30: within ±30 % at 90 % confidence).
    ``weak``: 3 to 30; the rate may be shown, with its interval. ``unsupported``: fewer than 3, the
    rate could not be told from zero (rule of 3) and is refused.
    """

    rate: float
    trials: int
    level: Literal["measured", "weak", "unsupported"]

    @property
    def supported(self) -> bool:
        return self.level != "unsupported"

    @property
    def smallest_measured(self) -> float:
        """The smallest rate that the rule of 30 allows."""
        return min(1.0, RULE_OF_30 / self.trials) if self.trials else 1.0


def support(rate: float, trials: int) -> Support:
    """Judge a target rate against the number of trials behind it; never raises on small data."""
    _check_rate(rate)
    expected = rate * trials * (1 + 1e-9)
    level: Literal["measured", "weak", "unsupported"] = (
        "measured" if expected >= RULE_OF_30 else "weak" if expected >= RULE_OF_3 else "unsupported"
    )
    return Support(rate, trials, level)


def require_support(
    rate: float, trials: int, *, what: str = "FMR", allow_unsupported: bool = False
) -> Support:
    """As ``support``; raises ``RateUnsupported`` below the rule of 3 unless allowed by name."""
    found = support(rate, trials)
    if not found.supported and not allow_unsupported:
        raise RateUnsupported(
            f"an {what} of {rate:.1e} cannot be stated from {trials:,} trials: fewer than "
            f"{RULE_OF_3} errors would be seen; the smallest that can be shown is "
            f"{min(1.0, RULE_OF_3 / max(trials, 1)):.1e}, the smallest measured well is "
            f"{found.smallest_measured:.1e}. Use more people, or allow unsupported rates by name",
            rate=rate,
            trials=trials,
            smallest_supported=RULE_OF_3 / max(trials, 1),
        )
    return found


@dataclass(frozen=True, slots=True)
class Rate:
    """A proportion with its 95 % interval and the counts behind it."""

    value: float
    low: float
    high: float
    count: int  # of the event that ``value`` is the share of
    trials: int
    resampled: str = "identities"  # what the interval resamples; "trials": binomial (Wilson)
    support: str = "measured"

    def to_dict(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "count": self.count,
            "trials": self.trials,
            "interval": self.resampled,
            "support": self.support,
        }


def wilson(count: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % interval of a binomial proportion; (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    p, n = count / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return (
        0.0 if count == 0 else max(0.0, centre - half),
        1.0 if count == trials else min(1.0, centre + half),
    )


def binomial_rate(count: int, trials: int) -> Rate:
    """A proportion of independent trials with Wilson's interval."""
    low, high = wilson(count, trials)
    return Rate(count / trials if trials else math.nan, low, high, count, trials, "trials")


# --- verification ----------------------------------------------------------------------------


def split_scores(scores: npt.ArrayLike, same: npt.ArrayLike) -> tuple[Array, Array]:
    """(M,) scores and (M,) same-person flags in; (genuine, impostor) out. Both must be present.

    Raises ``InvalidArray`` on NaN, on different lengths and where one kind is missing.
    """
    values = np.asarray(scores, np.float64)
    flags = np.asarray(same).astype(bool)
    if values.ndim != 1 or values.shape != flags.shape:
        raise InvalidArray(
            f"scores and labels must be two lists of one length, got {values.shape} and "
            f"{flags.shape}"
        )
    return _checked(values[flags], "genuine"), _checked(values[~flags], "impostor")


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


def best_accuracy(scores: npt.ArrayLike, same: npt.ArrayLike) -> tuple[float, float]:
    """(accuracy, threshold) of the best single threshold, in-sample.

    Candidates lie midway between neighbouring scores. Of equally good ones the middle of the widest
    gap is taken, which holds best on new pairs.
    """
    s, candidates, correct = _accuracy_sweep(scores, same)
    best = correct.max()
    rows = np.flatnonzero(correct == best)
    if len(rows) > 1:
        with np.errstate(invalid="ignore"):
            gaps = np.append(np.append(0.0, np.diff(s)), 0.0)[rows]
        gaps[~np.isfinite(gaps)] = 0.0
        rows = rows[gaps == gaps.max()]
    return float(best / len(np.asarray(same))), float(candidates[rows[len(rows) // 2]])


def _accuracy_sweep(
    scores: npt.ArrayLike, same: npt.ArrayLike
) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    values = np.asarray(scores, np.float64)
    flags = np.asarray(same).astype(bool)
    if len(values) == 0 or values.shape != flags.shape:
        raise InvalidArray("accuracy needs as many scores as labels, and at least one pair")
    s, which = np.unique(values, return_inverse=True)
    mated = np.bincount(which, weights=flags, minlength=len(s)).astype(np.int64)
    other = np.bincount(which, weights=~flags, minlength=len(s)).astype(np.int64)
    rejected_right = np.append(0, np.cumsum(other))
    accepted_right = flags.sum() - np.append(0, np.cumsum(mated))
    candidates = np.empty(len(s) + 1)
    candidates[1:-1] = np.where(np.isfinite(s[:-1]), (s[:-1] + s[1:]) / 2, s[1:])
    candidates[0], candidates[-1] = s[0], np.nextafter(s[-1], np.inf)
    # where two floats are neighbours their midpoint is one of them: take the upper
    inner = candidates[1:-1]
    inner[inner <= s[:-1]] = s[1:][inner <= s[:-1]]
    correct = rejected_right + accepted_right
    if s[0] == FAILED:
        candidates[0], correct[0] = LOWEST, -1  # no threshold accepts a failed photo
    return s, candidates, correct


@dataclass(frozen=True, slots=True, eq=False)
class FoldAccuracy:
    """Accuracy of each fold at the threshold chosen on the others."""

    accuracies: Array  # (K,)
    thresholds: Array  # (K,)
    folds: IndexArray  # (M,) fold of each pair, 0..K−1
    accepted: Mask  # (M,) decision on each pair at its fold's threshold

    @property
    def mean(self) -> float:
        return float(self.accuracies.mean())

    @property
    def std(self) -> float:
        """Population standard deviation over the folds, as arcface_torch prints it."""
        return float(self.accuracies.std())

    @property
    def standard_error(self) -> float:
        """Of the mean, as LFW reports it: sample deviation over √K."""
        k = len(self.accuracies)
        return float(self.accuracies.std(ddof=1) / math.sqrt(k)) if k > 1 else math.nan


def contiguous_folds(pairs: int, folds: int) -> IndexArray:
    """(M,) fold numbers in order; the first M mod K folds hold one pair more."""
    if not 2 <= folds <= pairs:
        raise UsageError(f"{folds} folds over {pairs} pairs: use 2 to {pairs}")
    sizes = np.full(folds, pairs // folds)
    sizes[: pairs % folds] += 1
    return np.repeat(np.arange(folds), sizes).astype(np.int64)


def kfold_accuracy(
    scores: npt.ArrayLike, same: npt.ArrayLike, folds: npt.ArrayLike | int = 10
) -> FoldAccuracy:
    """Verification accuracy, the threshold of each fold chosen on all the others (LFW View 2).

    ``folds``: (M,) fold number of each pair, or how many contiguous folds to make. Thresholds come
    from ``best_accuracy``, not from a grid; for arcface_torch's grid see ``arcface_torch_kfold``.
    """
    values = np.asarray(scores, np.float64)
    flags = np.asarray(same).astype(bool)
    split_scores(values, flags)
    if isinstance(folds, (int, np.integer)):
        fold_of = contiguous_folds(len(values), int(folds))
    else:
        fold_of = np.unique(np.asarray(folds), return_inverse=True)[1].astype(np.int64)
    count = int(fold_of.max()) + 1
    if fold_of.shape != values.shape or count < 2:
        raise InvalidArray("folds must give a fold for every pair, at least two in all")
    thresholds = np.array(
        [best_accuracy(values[fold_of != k], flags[fold_of != k])[1] for k in range(count)]
    )
    accepted = values >= thresholds[fold_of]
    right = accepted == flags
    accuracies = np.array([right[fold_of == k].mean() for k in range(count)])
    return FoldAccuracy(accuracies, thresholds, fold_of, accepted)


@dataclass(frozen=True, slots=True, eq=False)
class ArcfaceTorchResult:
    """The numbers that arcface_torch's verification prints."""

    accuracies: Array  # (K,)
    val: float  # mean TAR at FAR 1e-3
    val_std: float
    far: float  # mean FAR reached on the test folds
    tpr: Array  # (400,) mean over folds, per threshold of the coarse grid
    fpr: Array

    @property
    def accuracy(self) -> float:
        return float(self.accuracies.mean())

    @property
    def std(self) -> float:
        return float(self.accuracies.std())


def arcface_torch_kfold(
    squared_distances: npt.ArrayLike,
    same: npt.ArrayLike,
    *,
    folds: int = 10,
    far_target: float = 1e-3,
) -> ArcfaceTorchResult:
    """Verification as arcface_torch publishes it, for comparison with its tables.

    It differs from ``kfold_accuracy``: squared Euclidean distances, accepted where d < t;
    thresholds on the grid 0, 0.01 … 3.99, the first best one taken; folds contiguous. Its TAR uses
    the grid 0, 0.001 … 3.999 and a straight line between the FARs of the other folds (of equal FARs
    the last threshold; threshold 0 where the target is never reached).
    """
    d = np.asarray(squared_distances)
    flags = np.asarray(same).astype(bool)
    if d.ndim != 1 or d.shape != flags.shape or not np.isfinite(d).all():
        raise InvalidArray("distances must be one finite number for every label")
    fold_of = contiguous_folds(len(d), folds)
    coarse, fine = np.arange(0, 4, 0.01), np.arange(0, 4, 0.001)
    tprs, fprs = np.zeros((folds, len(coarse))), np.zeros((folds, len(coarse)))
    accuracies, vals, fars = np.zeros(folds), np.zeros(folds), np.zeros(folds)
    for k in range(folds):
        train, test = fold_of != k, fold_of == k
        hits, alarms = _accepted(d[train], flags[train], coarse)
        correct = hits + (~flags[train]).sum() - alarms
        best = int(np.argmax(correct))
        hits, alarms = _accepted(d[test], flags[test], coarse)
        mated, other = int(flags[test].sum()), int((~flags[test]).sum())
        tprs[k], fprs[k] = hits / max(mated, 1), alarms / max(other, 1)
        accuracies[k] = (hits[best] + other - alarms[best]) / test.sum()
        if not mated or not other or flags[train].all():
            raise InvalidArray("every fold needs pairs of one person and pairs of two")
        far_train = _accepted(d[train], flags[train], fine)[1] / (~flags[train]).sum()
        threshold = 0.0
        if far_train.max() >= far_target:
            last = np.flatnonzero(np.append(far_train[1:] != far_train[:-1], True))
            threshold = float(np.interp(far_target, far_train[last], fine[last]))
        accept = d[test] < threshold
        vals[k] = (accept & flags[test]).sum() / mated
        fars[k] = (accept & ~flags[test]).sum() / other
    return ArcfaceTorchResult(
        accuracies,
        float(vals.mean()),
        float(vals.std()),
        float(fars.mean()),
        tprs.mean(axis=0),
        fprs.mean(axis=0),
    )


def _accepted(d: npt.NDArray[Any], flags: Mask, grid: Array) -> tuple[Any, Any]:
    mated, other = np.sort(d[flags]), np.sort(d[~flags])
    return np.searchsorted(mated, grid, side="left"), np.searchsorted(other, grid, side="left")


@dataclass(frozen=True, slots=True)
class Stump:
    """One split of a C4.5 decision tree: the value that tells the classes apart best."""

    threshold: float  # midway between the neighbouring scores
    gain: float  # information gain in bits


def information_gain_stump(values: npt.ArrayLike, labels: npt.ArrayLike) -> Stump:
    """The binary split of ``values`` with the largest information gain (Quinlan's C4.5).

    Ties go to the lowest threshold. Where all values are equal there is no split: the gain is 0.
    """
    x = np.asarray(values, np.float64)
    y = np.asarray(labels).astype(bool)
    if len(x) == 0 or x.shape != y.shape:
        raise InvalidArray("a split needs as many values as labels, and at least one")
    unique, which = np.unique(x, return_inverse=True)
    if len(unique) == 1:
        return Stump(float(unique[0]), 0.0)
    n = np.cumsum(np.bincount(which))[:-1].astype(np.float64)
    positives = np.cumsum(np.bincount(which, weights=y))[:-1]
    total, all_positives = float(len(x)), float(y.sum())
    after = total - n
    remainder = (
        n * _entropy(positives / n) + after * _entropy((all_positives - positives) / after)
    ) / total
    gains = _entropy(np.array([all_positives / total]))[0] - remainder
    best = int(np.argmax(gains > gains.max() - 1e-12))
    low = unique[best] if np.isfinite(unique[best]) else unique[best + 1]
    return Stump(float((low + unique[best + 1]) / 2), float(gains[best]))


def _entropy(p: Array) -> Array:
    inside = (p > 0) & (p < 1)
    q = np.where(inside, p, 0.5)
    return np.where(inside, -q * np.log2(q) - (1 - q) * np.log2(1 - q), 0.0)


# --- identification --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """What a 1:N run leaves behind, per probe.

    A person's score is the best over their gallery templates. A mated probe's rank is 1 + the
    number of other people who score the same or more, so ties count against it; a failed probe has
    rank ``gallery_people + 1`` and score −inf.
    """

    mated_scores: Array  # (P,) score of the probe's own person
    mated_ranks: IndexArray  # (P,)
    mated_best_other: Array  # (P,) best score of anybody else
    nonmated_scores: Array  # (Q,) best score of each probe whose person is not enrolled
    gallery_people: int


def search(
    probes: npt.NDArray[Any],
    probe_people: npt.ArrayLike,
    gallery: npt.NDArray[Any],
    gallery_people: npt.ArrayLike,
    *,
    failed_probes: npt.ArrayLike | None = None,
    block: int = 1024,
) -> Searches:
    """(P,D) probes against (G,D) gallery templates, unit norm, in blocks of probes.

    A probe is mated where its person is in the gallery. An empty gallery raises ``InvalidArray``.
    """
    people, which = np.unique(np.asarray(gallery_people), return_inverse=True)
    if len(people) == 0 or len(which) != len(gallery):
        raise InvalidArray("the gallery needs at least one template, and a person for each")
    wanted = np.asarray(probe_people)
    if len(wanted) != len(probes):
        raise InvalidArray(f"{len(probes)} probes but {len(wanted)} people")
    failed = np.zeros(len(probes), bool) if failed_probes is None else np.asarray(failed_probes)
    order = np.argsort(which, kind="stable")
    starts = np.searchsorted(which[order], np.arange(len(people)))
    sorted_gallery = np.ascontiguousarray(np.asarray(gallery)[order].T)
    own = np.searchsorted(people, wanted).clip(0, len(people) - 1)
    mated = people[own] == wanted
    top, mine = np.empty(len(probes)), np.full(len(probes), FAILED)
    best_other = np.full(len(probes), FAILED)
    ranks = np.full(len(probes), len(people) + 1, np.int64)
    for start in range(0, len(probes), block):
        rows = slice(start, start + block)
        scores = np.maximum.reduceat(np.asarray(probes[rows]) @ sorted_gallery, starts, axis=1)
        at = np.arange(len(scores))
        top[rows] = scores.max(axis=1)
        mine[rows] = scores[at, own[rows]]
        ranks[rows] = (scores >= mine[rows][:, None].astype(scores.dtype)).sum(axis=1)
        scores[at, own[rows]] = FAILED
        best_other[rows] = scores.max(axis=1)
    for values in (top, mine, best_other):
        values[failed] = FAILED
    ranks[failed] = len(people) + 1
    return Searches(mine[mated], ranks[mated], best_other[mated], top[~mated], len(people))


def cmc(ranks: npt.ArrayLike, max_rank: int = 20) -> Array:
    """(max_rank,) share of mated probes found at rank 1, 2 …"""
    r = np.asarray(ranks)
    if len(r) == 0:
        raise InvalidArray("a CMC needs at least one mated probe")
    return np.asarray([(r <= k).mean() for k in range(1, max_rank + 1)], np.float64)


def fpir(nonmated_scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> Array:
    """False positive identification rate: share of non-mated probes whose best score is >= t."""
    return fmr(_checked(nonmated_scores, "non-mated"), thresholds)


def threshold_at_fpir(nonmated_scores: npt.ArrayLike, rate: float) -> float:
    """The lowest threshold whose FPIR on these probes is at most ``rate``; ties as for FMR."""
    return threshold_at_fmr(_checked(nonmated_scores, "non-mated"), rate)


def fnir(
    mated_scores: npt.ArrayLike, ranks: npt.ArrayLike, threshold: float, *, rank: int = 1
) -> float:
    """False negative identification rate: mated probes not found at ``rank`` or better and >= t."""
    scores, r = np.asarray(mated_scores, np.float64), np.asarray(ranks)
    if len(scores) == 0 or scores.shape != r.shape:
        raise InvalidArray("FNIR needs a score and a rank for every mated probe")
    return float(1.0 - ((scores >= threshold) & (r <= rank)).mean())


def dir_at_fpir(
    searches: Searches, rate: float, *, rank: int = 1, allow_unsupported: bool = False
) -> tuple[float, float]:
    """(detection and identification rate, threshold) at a target FPIR; DIR = 1 − FNIR."""
    require_support(
        rate, len(searches.nonmated_scores), what="FPIR", allow_unsupported=allow_unsupported
    )
    threshold = threshold_at_fpir(searches.nonmated_scores, rate)
    return 1.0 - fnir(searches.mated_scores, searches.mated_ranks, threshold, rank=rank), threshold


# --- quality ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class DiscardCurve:
    """FNMR as the pairs of lowest quality are left out (error-versus-discard)."""

    discarded: Array  # (K,) share left out
    fnmr: Array  # (K,) of what is kept; NaN where nothing is
    threshold: float

    @property
    def area(self) -> float:
        """Mean FNMR up to the last discard share; a quality measure that works brings it down."""
        keep = np.isfinite(self.fnmr)
        x, y = self.discarded[keep], self.fnmr[keep]
        if len(x) < 2:
            return float(y[0]) if len(y) else math.nan
        return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / (x[-1] - x[0]))


def error_versus_discard(
    genuine: npt.ArrayLike,
    quality_a: npt.ArrayLike,
    quality_b: npt.ArrayLike,
    *,
    threshold: float | None = None,
    start_fnmr: float = 0.1,
    discard: npt.ArrayLike | None = None,
) -> DiscardCurve:
    """Grother & Tabassi (TPAMI 2007): is a low quality a warning of a false non-match?

    A pair's quality is the lower of its two photos'. The threshold stays fixed, by default where
    ``start_fnmr`` of all genuine pairs fail; pairs are left out from the lowest quality up, equal
    qualities in the order given. ``discard``: shares, default 0 to 0.5 in steps of 0.01.
    """
    scores = _checked(genuine, "genuine")
    quality = np.minimum(np.asarray(quality_a, np.float64), np.asarray(quality_b, np.float64))
    if quality.shape != scores.shape or np.isnan(quality).any():
        raise InvalidArray("every genuine pair needs a quality for both photos, without NaN")
    shares = np.linspace(0, 0.5, 51) if discard is None else np.asarray(discard, np.float64)
    if threshold is None:
        _check_rate(start_fnmr)
        allowed = math.floor(start_fnmr * len(scores))
        threshold = float(np.sort(scores)[allowed])
    wrong = (scores < threshold)[np.argsort(quality, kind="stable")]
    left = np.append(np.cumsum(wrong[::-1])[::-1], 0)
    out = np.floor(shares * len(scores) + 1e-9).astype(int).clip(0, len(scores))
    kept = len(scores) - out
    rates = np.where(kept > 0, left[out] / np.maximum(kept, 1), math.nan)
    return DiscardCurve(shares, rates, threshold)


# --- presentation attacks --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AttackRates:
    """APCER of every species with enough attacks, BPCER, and what was refused."""

    threshold: float
    apcer: Mapping[str, Rate]
    refused: Mapping[str, int]  # species → attacks, too few to state a rate
    bpcer: Rate

    @property
    def worst_apcer(self) -> Rate | None:
        """The product's APCER is its worst species'; None where every species was refused."""
        return max(self.apcer.values(), key=lambda r: r.value) if self.apcer else None


def attack_rates(
    bona_fide: npt.ArrayLike,
    attacks: Mapping[str, npt.ArrayLike],
    threshold: float,
    *,
    min_attacks: int = MIN_ATTACKS,
) -> AttackRates:
    """ISO/IEC 30107-3 rates of liveness scores (higher is live; live where score >= threshold).

    APCER: share of a species' attacks taken for live. BPCER: share of bona fide presentations taken
    for attacks. Species with fewer than ``min_attacks`` attacks are refused, never averaged in. A
    presentation without a usable face scores −inf: an attack is stopped, a live person turned away.
    """
    live = _checked(bona_fide, "bona fide")
    if not attacks:
        raise InvalidArray("attack rates need at least one species of attack")
    rates: dict[str, Rate] = {}
    refused: dict[str, int] = {}
    for species, scores in attacks.items():
        values = _checked(scores, f"{species} attack")
        if len(values) < min_attacks:
            refused[species] = len(values)
        else:
            rates[species] = binomial_rate(int((values >= threshold).sum()), len(values))
    return AttackRates(
        threshold, rates, refused, binomial_rate(int((live < threshold).sum()), len(live))
    )


def require_species(rates: AttackRates, species: Sequence[str] | None = None) -> None:
    """Raise ``RateUnsupported`` where a species (default: any) was refused for too few attacks."""
    short = {s: n for s, n in rates.refused.items() if species is None or s in species}
    if short:
        listed = ", ".join(f"{s} ({n})" for s, n in sorted(short.items()))
        raise RateUnsupported(
            f"no APCER can be stated for {listed}: a species needs at least {MIN_ATTACKS} attacks",
            **{"species": short},
        )


# --- checks ----------------------------------------------------------------------------------


def _checked(scores: npt.ArrayLike, kind: str) -> Array:
    values = np.asarray(scores, np.float64)
    if values.ndim != 1:
        raise InvalidArray(f"{kind} scores must be one list, got shape {values.shape}")
    if len(values) == 0:
        raise InvalidArray(f"there are no {kind} scores; no rate can be measured")
    if np.isnan(values).any():
        raise InvalidArray(f"{kind} scores hold NaN; a failed photo scores -inf, never NaN")
    return values


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise UsageError(f"a rate must lie between 0 and 1, got {rate}")
