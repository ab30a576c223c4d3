"""Proportions with their uncertainty, and what a number of trials can support."""

from __future__ import annotations

import math
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
