"""Several recognisers' cosines of a pair → one score: which weights, and what they bring.

A member's calibration says how many times likelier a cosine is for one person than for two. Taken
as independent, the members' log-likelihood ratios add up; logistic fusion fits how much each one
counts, since members err together (Brümmer et al., *Fusion of heterogeneous speaker recognition
systems in the STBU submission for the NIST SRE 2006*, 2007). Where the calibrations are logistic,
both are weighted sums of cosines, so an ensemble of weighted unit vectors, which a gallery holds
and searches like any other, ranks pairs exactly as they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate.metrics import Array, Mask
from arcid.evaluate.probability import Logistic, Scores, fit_logistic, logistic_regression

LEAST = 1e-3  # share below which a member adds nothing and is given no weight


@dataclass(frozen=True, slots=True)
class Fusion:
    """Log-likelihood ratio = intercept + Σ slope · cosine, in nats."""

    intercept: float
    slopes: tuple[float, ...]  # of the members, none negative

    def __call__(self, cosines: npt.ArrayLike) -> Array:
        """(K,M) cosines of M pairs → (M,) log-likelihood ratios. Raises ``InvalidArray``."""
        values = np.asarray(cosines, np.float64)
        if len(values) != len(self.slopes):
            raise InvalidArray(f"{len(self.slopes)} members were fused, {len(values)} handed in")
        fused: Array = self.intercept + np.asarray(self.slopes) @ values
        return fused

    @property
    def weights(self) -> tuple[float, ...]:
        """Shares of an ensemble whose cosine orders pairs as this does; 0: leave the member out."""
        total = sum(self.slopes)
        return tuple(round(slope / total, 4) for slope in self.slopes)


def sum_of_ratios(calibrations: Sequence[Logistic]) -> Fusion:
    """The sum of the log-likelihood ratios of calibrations at equal prior odds."""
    return Fusion(sum(c.intercept for c in calibrations), tuple(c.slope for c in calibrations))


def fit_each(cosines: npt.ArrayLike, same: Mask) -> Fusion:
    """``sum_of_ratios`` of calibrations fitted to (K,M) cosines of these pairs."""
    values = np.asarray(cosines, np.float64)
    return sum_of_ratios([fit_logistic(Scores.of(one[same], one[~same])) for one in values])


def fit_together(cosines: npt.ArrayLike, same: Mask) -> Fusion:
    """Logistic fusion: (K,M) cosines and (M,) labels of pairs of people who are not judged by it.

    Both kinds of pairs weigh the same in total. A member that would count against its own cosine,
    or next to nothing, is left out. Raises ``InvalidArray`` unless both kinds of pairs are there.
    """
    values = np.asarray(cosines, np.float64)
    same = np.asarray(same, bool)
    if values.ndim != 2 or values.shape[1] != len(same):
        raise InvalidArray(f"(K,M) cosines need M labels, got {values.shape} and {len(same)}")
    if same.all() or not same.any():
        raise InvalidArray("a fusion is fitted to pairs of one person and pairs of two")
    weight = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    kept = list(range(len(values)))
    while True:
        design = np.stack([np.ones(len(same)), *values[kept]], axis=1)
        beta = logistic_regression(design, weight, same.astype(np.float64))
        low = int(np.argmin(beta[1:]))
        if len(kept) == 1 or beta[1 + low] >= LEAST * beta[1:].sum():
            break
        del kept[low]
    slopes = np.zeros(len(values))
    slopes[kept] = np.maximum(beta[1:], 1e-6)
    return Fusion(float(beta[0]), tuple(map(float, slopes)))


__all__ = ["Fusion", "fit_each", "fit_together", "sum_of_ratios"]
