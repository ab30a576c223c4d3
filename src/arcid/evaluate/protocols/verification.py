"""Verification in folds: LFW, CFP, AgeDB-30, CALFW, CPLFW, YTF, ``.bin`` sets, masked variants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arcid.errors import InvalidArray, UsageError
from arcid.evaluate import bootstrap, intervals, metrics
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.intervals import OperatingPoint
from arcid.evaluate.metrics import ArcfaceTorchResult, FoldAccuracy, Mask, Rate
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.protocols._common import (
    RATES,
    jsonable,
    pair_cosines,
    photo_counts,
    stratified_folds,
    unit_vectors,
)
from arcid.evaluate.readers._pairs import PairList


@dataclass(frozen=True, slots=True)
class Mistake:
    """One pair that was decided wrongly, or a photo behind it that failed."""

    kind: str  # "false_match" | "false_non_match"
    first: str  # unit names
    second: str
    cosine: float  # −inf: a photo failed
    margin: float  # how far on the wrong side of its threshold


@dataclass(frozen=True, eq=False)
class VerificationResult:
    """What a verification set says about a model."""

    pair_list: PairList
    contract_id: str
    pairs: PairScores
    folds: FoldAccuracy
    folds_from: str  # "list", "contiguous" or "stratified"
    accuracy: Rate
    auc: float
    eer: Rate
    eer_threshold: float
    d_prime: float
    points: list[OperatingPoint]
    arcface_torch: ArcfaceTorchResult | None  # None: the folds do not allow it
    photos: dict[str, Any]
    in_sample_accuracy: float
    fixed_threshold: float | None

    @property
    def name(self) -> str:
        return self.pair_list.name

    def mistakes(self, count: int = 20) -> list[Mistake]:
        """The worst wrong decisions of both kinds, furthest from the threshold first."""
        wrong = np.flatnonzero(self.folds.accepted != self.pairs.same)
        thresholds = self.folds.thresholds[self.folds.folds[wrong]]
        margin = np.abs(self.pairs.scores[wrong] - thresholds)
        order = np.argsort(-margin, kind="stable")
        names, listed = self.pair_list.unit_names, self.pair_list
        found: list[Mistake] = []
        for position in order:
            i = int(wrong[position])
            kind = "false_non_match" if self.pairs.same[i] else "false_match"
            if sum(m.kind == kind for m in found) < count:
                a, b = names[int(listed.first[i])], names[int(listed.second[i])]
                found.append(
                    Mistake(kind, a, b, float(self.pairs.scores[i]), float(margin[position]))
                )
        return found

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; accuracy and rates are fractions."""
        failed = int((self.pairs.scores == metrics.FAILED).sum())
        data: dict[str, Any] = {
            "protocol": "verification",
            "name": self.name,
            "contract_id": self.contract_id,
            "accuracy": self.accuracy.value,
            "accuracy_interval": self.accuracy.to_dict(),
            "accuracy_std_over_folds": self.folds.std,
            "accuracy_standard_error": self.folds.standard_error,
            "accuracy_in_sample": self.in_sample_accuracy,
            "fold_accuracies": self.folds.accuracies.tolist(),
            "fold_thresholds": self.folds.thresholds.tolist(),
            "folds_from": self.folds_from,
            "fixed_threshold": self.fixed_threshold,
            "auc": self.auc,
            "eer": self.eer.to_dict(),
            "eer_threshold": self.eer_threshold,
            "d_prime": self.d_prime,
            "tar_at_fmr": [p.to_dict() for p in self.points],
            "people": self.pairs.people,
            "genuine_pairs": int(self.pairs.same.sum()),
            "impostor_pairs": int((~self.pairs.same).sum()),
            "failed_pairs": failed,
            "failed_pairs_rule": "a pair with a failed photo is a non-match",
            **self.photos,
        }
        if self.arcface_torch is not None:
            data["arcface_torch"] = {
                "accuracy": self.arcface_torch.accuracy,
                "accuracy_std": self.arcface_torch.std,
                "val_at_far_1e-3": self.arcface_torch.val,
                "far": self.arcface_torch.far,
            }
        found: dict[str, Any] = jsonable(data)
        return found


def verify(
    pair_list: PairList,
    embeddings: EmbeddingSet,
    *,
    folds: int = 10,
    threshold: float | None = None,
    rates: Sequence[float] = RATES,
    replicates: int = bootstrap.REPLICATES,
    seed: int = 0,
) -> VerificationResult:
    """Accuracy with the threshold of each fold chosen on the others, and the rates.

    Folds come from the list; without any, both kinds of pairs are dealt over ``folds`` in order.
    ``threshold`` decides all pairs by one cosine instead, chosen elsewhere (View 1: on the train
    list). Accuracy's interval resamples people with the decisions held. Rates that the impostors
    cannot support are left out. Raises ``DatasetInvalid`` where embeddings are missing or only one
    kind of pair is there.
    """
    pair_list.require_both_kinds()
    people = pair_list.person_numbers()
    vectors, failed = unit_vectors(pair_list, embeddings)
    scores = pair_cosines(vectors, failed, pair_list.first, pair_list.second)
    first, second = people[pair_list.first], people[pair_list.second]
    if pair_list.people is None:
        first, second = _apart(first, second, pair_list.same, len(people))
    pairs = PairScores(scores, pair_list.same, first, second)
    fold_of, folds_from = pair_list.folds, "list"
    if fold_of is None:
        folds = max(2, min(folds, int(pair_list.same.sum()), int((~pair_list.same).sum())))
        fold_of, folds_from = stratified_folds(pair_list.same, folds), "stratified"
    if threshold is None:
        decided = metrics.kfold_accuracy(scores, pair_list.same, fold_of)
    else:
        decided = _fixed(scores, pair_list.same, threshold)
    boot = PairBootstrap(pairs, replicates, seed)
    eer, eer_threshold = intervals.eer_rate(boot)
    return VerificationResult(
        pair_list=pair_list,
        contract_id=embeddings.contract_id,
        pairs=pairs,
        folds=decided,
        folds_from=folds_from if threshold is None else "none",
        accuracy=intervals.accuracy_rate(boot, decided.accepted),
        auc=metrics.auc(pairs.genuine, pairs.impostor),
        eer=eer,
        eer_threshold=eer_threshold,
        d_prime=_d_prime(pairs),
        points=intervals.operating_points(boot, rates),
        arcface_torch=_parity(scores, pair_list.same),
        photos=photo_counts(embeddings),
        in_sample_accuracy=metrics.best_accuracy(scores, pair_list.same)[0],
        fixed_threshold=threshold,
    )


def _apart(first: Any, second: Any, same: Mask, people: int) -> tuple[Any, Any]:
    """People guessed by chains may join a pair that is labelled different: keep the label."""
    clash = (first == second) & ~same
    second = second.copy()
    second[clash] = people + np.arange(int(clash.sum()))
    return first, second


def _d_prime(pairs: PairScores) -> float:
    try:
        return metrics.d_prime(pairs.genuine, pairs.impostor)
    except InvalidArray:  # every pair of a kind failed; the rates say so
        return math.nan


def _fixed(scores: metrics.Array, same: Mask, threshold: float) -> FoldAccuracy:
    accepted = (scores >= threshold) & (scores > metrics.FAILED)
    return FoldAccuracy(
        np.array([(accepted == same).mean()]),
        np.array([threshold]),
        np.zeros(len(scores), np.int64),
        accepted,
    )


def _parity(scores: metrics.Array, same: Mask) -> ArcfaceTorchResult | None:
    """arcface_torch's numbers, over its contiguous folds; failed pairs are as far as can be."""
    squared = np.where(np.isfinite(scores), 2 - 2 * scores, 4.0).clip(0, 4)
    try:
        return metrics.arcface_torch_kfold(squared, same)
    except (InvalidArray, UsageError):
        return None
