"""Error versus discard: does a quality measure foretell errors?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate.metrics.rates import (
    Array,
    _check_rate,
    _checked,
)


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
