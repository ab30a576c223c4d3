"""Pair lists with one threshold: precision, recall, F1 and accuracy, as deepface publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from arcid.evaluate import metrics
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.metrics import Array, Confusion, IndexArray, Stump
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.protocols._common import jsonable, pair_cosines, photo_counts, unit_vectors
from arcid.evaluate.readers._pairs import PairList

#: Published beside the Keras ArcFace weights for deepface's unit tests (37 + 239 = 276 pairs).
PUBLISHED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"cosine": {"precision": 0.98, "recall": 0.89, "f1": 0.93, "accuracy": 0.97, "pairs": 276}}
)


@dataclass(frozen=True, eq=False)
class DistanceResult:
    """One distance, thresholded by a C4.5 stump; ``threshold`` accepts distances at or below."""

    distance: str
    values: Array  # (M,) distances; +inf where a photo failed
    stump: Stump
    in_sample: Confusion  # thresholds as distances
    left_out: Confusion  # every pair decided by a stump that saw neither of its people

    def to_dict(self) -> dict[str, Any]:
        return {
            "threshold": self.stump.threshold,
            "information_gain_bits": self.stump.gain,
            "in_sample": _ratios(self.in_sample),
            "leave_identity_out": _ratios(self.left_out),
        }


@dataclass(frozen=True, eq=False)
class PairListResult:
    """Distances of a pair list with their thresholds."""

    pair_list: PairList
    contract_id: str
    pairs: PairScores  # cosines
    distances: dict[str, DistanceResult]
    photos: dict[str, Any]

    @property
    def name(self) -> str:
        return self.pair_list.name

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = jsonable(
            {
                "protocol": "pairs",
                "name": self.name,
                "contract_id": self.contract_id,
                "accuracy": self.distances["cosine"].in_sample.accuracy,
                "distances": {k: d.to_dict() for k, d in self.distances.items()},
                "published": {k: dict(v) for k, v in PUBLISHED.items()},
                "people": self.pairs.people,
                "genuine_pairs": int(self.pairs.same.sum()),
                "impostor_pairs": int((~self.pairs.same).sum()),
                "failed_pairs": self.pairs.failed,
                "failed_pairs_rule": "a pair with a failed photo is a non-match",
                **self.photos,
            }
        )
        return found


def evaluate_pair_list(
    pair_list: PairList, embeddings: EmbeddingSet, *, norms: Array | None = None
) -> PairListResult:
    """Cosine, Euclidean and L2-normalised Euclidean distance of each pair, split by a stump.

    Embeddings here are unit norm, so ``euclidean`` equals ``euclidean_l2`` unless ``norms`` gives
    the length of each unit's raw vector. In-sample figures are how such tables are published;
    leave-identity-out decides a pair by a stump fitted without any pair of its people.
    """
    pair_list.require_both_kinds()
    vectors, failed = unit_vectors(pair_list, embeddings)
    people = pair_list.person_numbers()
    cosine = pair_cosines(vectors, failed, pair_list.first, pair_list.second)
    a, b = people[pair_list.first], people[pair_list.second]
    lengths = np.ones(len(vectors)) if norms is None else np.asarray(norms, np.float64)
    la, lb = lengths[pair_list.first], lengths[pair_list.second]
    bounded = np.where(np.isfinite(cosine), cosine, 0.0)
    raw = np.sqrt(np.maximum(la**2 + lb**2 - 2 * la * lb * bounded, 0))
    unit = np.sqrt(np.maximum(2 - 2 * bounded, 0))
    distances = {"cosine": 1 - bounded, "euclidean": raw, "euclidean_l2": unit}
    lost = ~np.isfinite(cosine)
    results = {}
    for name, values in distances.items():
        values[lost] = np.inf
        results[name] = _measure(name, values, pair_list.same, a, b)
    second = np.where((a == b) & ~pair_list.same, people.max() + 1 + np.arange(len(b)), b)
    return PairListResult(
        pair_list,
        embeddings.contract_id,
        PairScores(cosine, pair_list.same, a, second),
        results,
        photo_counts(embeddings),
    )


def _measure(
    name: str, values: Array, same: metrics.Mask, a: IndexArray, b: IndexArray
) -> DistanceResult:
    usable = np.isfinite(values)
    stump = metrics.information_gain_stump(values[usable], same[usable])
    in_sample = _confused(values <= stump.threshold, same, stump.threshold)
    accepted = np.zeros(len(values), bool)
    for person_a, person_b in {tuple(sorted(p)) for p in zip(a.tolist(), b.tolist(), strict=True)}:
        pair = {person_a, person_b}
        touched = np.isin(a, list(pair)) | np.isin(b, list(pair))
        here = ((a == person_a) & (b == person_b)) | ((a == person_b) & (b == person_a))
        others = ~touched & usable
        if others.any() and same[others].any() and not same[others].all():
            fitted = metrics.information_gain_stump(values[others], same[others]).threshold
        else:
            fitted = stump.threshold
        accepted[here] = values[here] <= fitted
    return DistanceResult(
        name, values, stump, in_sample, _confused(accepted, same, stump.threshold)
    )


def _confused(accepted: metrics.Mask, same: metrics.Mask, threshold: float) -> Confusion:
    return Confusion(
        threshold,
        int((accepted & same).sum()),
        int((accepted & ~same).sum()),
        int((~accepted & ~same).sum()),
        int((~accepted & same).sum()),
    )


def _ratios(confusion: Confusion) -> dict[str, Any]:
    data = confusion.to_dict()
    total = confusion.tp + confusion.fp + confusion.tn + confusion.fn
    for name, count, trials in (
        ("accuracy", confusion.tp + confusion.tn, total),
        ("precision", confusion.tp, confusion.tp + confusion.fp),
        ("recall", confusion.tp, confusion.tp + confusion.fn),
    ):
        data[f"{name}_interval"] = list(metrics.wilson(count, trials))
    return data
