"""Error rates with intervals that resample people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate.bootstrap import (
    REPLICATES,
    PairBootstrap,
    Replicates,
    identity_weights,
    interval,
    ratio,
)
from arcid.evaluate.metrics import (
    Array,
    Mask,
    Rate,
    Searches,
    binomial_rate,
    eer,
    require_support,
    support,
    threshold_at_fmr,
    wilson,
)


def _rate(value: float, samples: Array, count: int, trials: int, level: str = "measured") -> Rate:
    low, high = interval(samples)
    if count in (0, trials) or not low < high:
        # nothing, everything, or the same in all replicates: they say nothing, trials bound it
        low, high = wilson(count, trials)
    return Rate(value, min(low, value), max(high, value), count, trials, "identities", level)


def fmr_rate(boot: Replicates, threshold: float, level: str = "measured") -> Rate:
    """FMR at a threshold with its interval; ``level``: the support of the rate aimed at."""
    count = int(boot.impostor.accepted(np.array([threshold]))[0])
    trials = boot.impostor.count
    return _rate(count / trials, boot.fmr([threshold])[:, 0], count, trials, level)


def fnmr_rate(boot: Replicates, threshold: float) -> Rate:
    """FNMR at a threshold with its interval."""
    trials = boot.genuine.count
    count = trials - int(boot.genuine.accepted(np.array([threshold]))[0])
    return _rate(count / trials, boot.fnmr([threshold])[:, 0], count, trials)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """TAR at a target FMR, the threshold that keeps it, and the FMR it reaches."""

    target_fmr: float
    threshold: float
    tar: Rate
    fmr: Rate
    threshold_low: float
    threshold_high: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "target_fmr": self.target_fmr,
            "threshold": self.threshold,
            "threshold_low": self.threshold_low,
            "threshold_high": self.threshold_high,
            "tar": self.tar.to_dict(),
            "fmr": self.fmr.to_dict(),
        }


def operating_points(
    boot: Replicates, rates: Sequence[float], *, allow_unsupported: bool = False
) -> list[OperatingPoint]:
    """TAR at each target FMR that the impostors support, with intervals.

    Every replicate chooses its own threshold. Unsupported rates (rule of 3) are left out; with
    ``allow_unsupported`` they are stated, marked.
    """
    trials = boot.impostor.count
    kept = [r for r in rates if allow_unsupported or support(r, trials).supported]
    if not kept:
        return []
    thresholds = boot.thresholds_at_fmr(kept)
    shares = boot.tar_at_own(thresholds)
    points = []
    for r, rate in enumerate(kept):
        threshold = boot.impostor.threshold(rate)
        count, level = int(boot.genuine.accepted(np.array([threshold]))[0]), support(rate, trials)
        genuine = boot.genuine.count
        tar = _rate(count / genuine, shares[:, r], count, genuine, level.level)
        reached = fmr_rate(boot, threshold, level.level)
        low, high = interval(thresholds[:, r])
        points.append(OperatingPoint(rate, threshold, tar, reached, low, high))
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
    samples = ratio(hits, trials)
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
