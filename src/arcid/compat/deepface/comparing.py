"""Whether two pictures are of one person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from arcid.compat.deepface import distances, models, pictures
from arcid.compat.deepface.distances import Metric
from arcid.compat.deepface.faces import Area, find_faces, refuse_spoofs, vectors
from arcid.compat.deepface.modules.exceptions import (
    DataTypeError,
    DimensionMismatchError,
)
from arcid.compat.deepface.tables import Row
from arcid.types import FloatArray


def verify(
    img1_path: Any,
    img2_path: Any,
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    distance_metric: Metric = "cosine",
    enforce_detection: bool = True,
    align: bool = True,
    expand_percentage: int = 0,
    normalization: str = "base",
    silent: bool = False,
    threshold: float | None = None,
    anti_spoofing: bool = False,
) -> Row:
    """Whether two pictures, or two vectors, are of one person; of several faces the closest pair.

    ``threshold`` None: at one false match in 10,000 comparisons by the model's calibration.
    ``normalization`` and ``expand_percentage`` change nothing: faces are laid on the model's
    template. Raises ``ValueError`` as deepface does, with its cause.
    """
    began = time.perf_counter()
    model = models.recogniser(model_name)
    distances.check_metric(distance_metric, threshold)
    sides: list[tuple[FloatArray, list[Area]]] = []
    for name, source in (("img1_path", img1_path), ("img2_path", img2_path)):
        if pictures.is_vector(source):
            sides.append(_given(source, name, model.name, model.embedder.dim, len(sides) + 1))
            continue
        try:
            found, live = find_faces(
                source, detector_backend, enforce=enforce_detection, anti_spoofing=anti_spoofing
            )
            refuse_spoofs(live, "Spoof detected in given image.")
            sides.append((vectors(found, model, by_points=align)[0], found.areas))
        except ValueError as error:
            raise ValueError(f"Exception while processing {name}") from error
    (first, areas1), (second, areas2) = sides
    pairs = [
        (distances.distance(a, b, distance_metric), i, j)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
    ]
    found_distance, i, j = min(pairs)
    if threshold is None:
        threshold = distances.threshold_of(model.name, model.calibration, str(distance_metric))
    return {
        "verified": found_distance <= threshold,
        "distance": found_distance,
        "threshold": threshold,
        "confidence": distances.confidence(
            found_distance, threshold, distance_metric, model.calibration
        ),
        "model": model.name,
        "detector_backend": detector_name(detector_backend),
        "similarity_metric": _name(distance_metric),
        "facial_areas": {"img1": areas1[i], "img2": areas2[j]},
        "time": round(time.perf_counter() - began, 2),
    }


def detector_name(backend: str) -> str:
    """The detector that answers to a name of deepface's."""
    return backend if backend == models.SKIP else models.detector(backend)[0]


def _given(
    source: Sequence[Any], argument: str, name: str, dim: int, number: int
) -> tuple[FloatArray, list[Area]]:
    if not all(isinstance(one, (float, int, np.floating)) for one in source):
        raise DataTypeError(
            f"When passing {argument} as a list, ensure that all its items are of type float."
        )
    if len(source) != dim:
        raise DimensionMismatchError(
            f"embeddings of {name} should have {dim} dimensions, but {number}-th image has "
            f"{len(source)} dimensions input"
        )
    nowhere = dict.fromkeys(("x", "y", "w", "h", "left_eye", "right_eye"))
    return np.asarray([source], np.float32), [nowhere]


def _name(metric: str | Callable[..., Any]) -> str:
    return metric if isinstance(metric, str) else getattr(metric, "__name__", "custom")


__all__ = ["detector_name", "verify"]
