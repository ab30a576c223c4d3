"""deepface's distances of vectors, and the thresholds that arcid's calibrations give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.compat.deepface import distances, models
from arcid.compat.deepface.distances import unit as l2_normalize

Vectors = npt.ArrayLike


def find_cosine_distance(source_representation: Vectors, test_representation: Vectors) -> Any:
    """1 − cosine of two (D,) vectors, or (N,M) of (N,D) with (M,D)."""
    return distances.apart(source_representation, test_representation, "cosine")


def find_angular_distance(source_representation: Vectors, test_representation: Vectors) -> Any:
    """Angle in shares of π; shapes as ``find_cosine_distance``."""
    return distances.apart(source_representation, test_representation, "angular")


def find_euclidean_distance(source_representation: Vectors, test_representation: Vectors) -> Any:
    """Length of the difference; shapes as ``find_cosine_distance``."""
    return distances.apart(source_representation, test_representation, "euclidean")


def find_distance(
    alpha_embedding: Vectors,
    beta_embedding: Vectors,
    distance_metric: distances.Metric = "cosine",
) -> Any:
    """By cosine, euclidean, euclidean_l2, angular or a function of your own, to six digits; shapes
    as ``find_cosine_distance``. ``ValueError`` for another name."""
    if callable(distance_metric):
        return np.round(distance_metric(np.asarray(alpha_embedding), np.asarray(beta_embedding)), 6)
    distances.check_metric(distance_metric, None)
    return np.round(distances.apart(alpha_embedding, beta_embedding, distance_metric), 6)


def find_threshold(model_name: str, distance_metric: str = "cosine") -> float:
    """One false match in 10,000 comparisons, by the calibration of the model that answers."""
    distances.check_metric(distance_metric, None)
    model = models.recogniser(model_name)
    return distances.threshold_of(model.name, model.calibration, distance_metric)


__all__ = [
    "find_angular_distance",
    "find_cosine_distance",
    "find_distance",
    "find_euclidean_distance",
    "find_threshold",
    "l2_normalize",
]
