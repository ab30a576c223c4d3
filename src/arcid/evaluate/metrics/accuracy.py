"""Accuracy at a threshold: k folds, arcface_torch's own way, and a C4.5 stump."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray, UsageError
from arcid.evaluate.metrics.rates import (
    FAILED,
    LOWEST,
    Array,
    IndexArray,
    Mask,
    split_scores,
)


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
