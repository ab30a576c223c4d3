"""deepface's distances, thresholds and confidence over arcid's calibrated vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.calibration import Calibration
from arcid.decide import DEFAULT_FMR

Metric = str | Callable[[Any, Any], float]
METRICS = ("cosine", "euclidean", "euclidean_l2", "angular")


def check_metric(metric: Metric, threshold: float | None) -> None:
    """``ValueError`` for an unknown one; one of your own needs a threshold."""
    if callable(metric):
        if threshold is None:
            raise ValueError("a distance_metric of your own needs a threshold")
    elif metric not in METRICS:
        raise ValueError("Invalid distance_metric passed - ", metric)


def distance(a: Any, b: Any, metric: Metric) -> float:
    """Of two vectors, rounded to six digits."""
    if callable(metric):
        return round(float(metric(a, b)), 6)
    return round(float(apart(a, b, metric)), 6)


def apart(a: npt.ArrayLike, b: npt.ArrayLike, metric: str) -> Any:
    """The distance of two vectors (D,), or (N,M) of (N,D) with (M,D). ``ValueError`` for others."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.ndim not in (1, 2) or x.ndim != y.ndim or x.shape[-1] != y.shape[-1]:
        raise ValueError(f"vectors must be (D,) and (D,), or (N,D) and (M,D): {x.shape}, {y.shape}")
    one, x, y = x.ndim == 1, np.atleast_2d(x), np.atleast_2d(y)
    if metric != "euclidean":
        x, y = unit(x, axis=1), unit(y, axis=1)
    if metric.startswith("euclidean"):
        found = np.linalg.norm(x[:, None] - y[None], axis=2)
    else:
        cosines = np.clip(x @ y.T, -1, 1)
        found = 1 - cosines if metric == "cosine" else np.arccos(cosines) / math.pi
    return found[0, 0] if one else found


def unit(x: npt.ArrayLike, axis: int | None = None, epsilon: float = 1e-10) -> Any:
    """Divided by their length, along ``axis`` or altogether."""
    array = np.asarray(x)
    return array / (np.linalg.norm(array, axis=axis, keepdims=axis is not None) + epsilon)


def of_cosine(cosine: float, metric: str) -> float:
    """The distance of two vectors of length 1 with that cosine."""
    if metric == "cosine":
        return 1 - cosine
    if metric == "angular":
        return math.acos(cosine) / math.pi
    return math.sqrt(max(2 - 2 * cosine, 0.0))


def between(cosine: float, metric: str) -> float:
    """The distance of two vectors with that cosine, rounded to six digits."""
    return max(round(of_cosine(min(max(cosine, -1.0), 1.0), metric), 6), 0.0)


def to_cosine(value: float, metric: str) -> float:
    """The cosine that lies so far apart."""
    if metric == "cosine":
        return 1 - value
    if metric == "angular":
        return math.cos(min(max(value, 0.0), 1.0) * math.pi)
    return 1 - value**2 / 2


def threshold_of(name: str, calibration: Calibration | None, metric: str) -> float:
    """The distance below which arcid says yes: one false match in 10,000 comparisons.
    ``ValueError`` for a model whose scores nobody measured."""
    if calibration is None:
        raise ValueError(
            f"{name} has no calibration, so arcid knows no threshold for it: pass threshold=, or "
            f"measure it with arcid calibrate PHOTOS --model {name}"
        )
    return round(of_cosine(calibration.threshold_at_fmr(DEFAULT_FMR).cosine, metric), 6)


def confidence(
    value: float, threshold: float, metric: Metric, calibration: Calibration | None
) -> float:
    """0 to 49 where the distance is above the threshold, 51 to 100 where it is not: within either
    half by the calibrated probability that both faces are one person's."""
    verified = value <= threshold
    if calibration is None or callable(metric):
        return 51.0 if verified else 49.0
    found = calibration.probability(min(to_cosine(value, metric), 1.0))
    limit = calibration.probability(min(to_cosine(threshold, metric), 1.0))
    if verified:
        share = (found - limit) / (1 - limit) if limit < 1 else 1.0
        return round(51 + 49 * min(max(share, 0.0), 1.0), 2)
    return round(49 * min(max(found / limit if limit else 0.0, 0.0), 1.0), 2)


__all__ = [
    "METRICS",
    "Metric",
    "apart",
    "between",
    "check_metric",
    "confidence",
    "distance",
    "threshold_of",
    "unit",
]
