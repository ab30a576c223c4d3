"""Accuracy of finished files on labelled photographs: all pairs, by ``arcid.evaluate``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from arcid.errors import ExportRefused
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.differences import Difference, compare_tar
from arcid.evaluate.intervals import OperatingPoint, operating_points
from arcid.evaluate.metrics.rates import support
from arcid.evaluate.metrics.verification import auc
from arcid.evaluate.pairs import PairScores
from arcid.train.export.crops import LabelledCrops
from arcid.train.export.tolerance import TAR_FMR, TAR_POINTS
from arcid.types import FloatArray

RATES = (1e-2, 1e-3, 1e-4)
REPLICATES = 400


@dataclass(frozen=True, slots=True, eq=False)
class Accuracy:
    """Verification accuracy on all pairs of a set, with 95 % intervals over identities."""

    dataset: str
    photos: int
    people: int
    pairs: PairScores
    auc: float
    points: tuple[OperatingPoint, ...]  # rates the impostor pairs support

    def to_dict(self) -> dict[str, Any]:
        """For manifests and ``--json``."""
        return {
            "dataset": self.dataset,
            "photos": self.photos,
            "people": self.people,
            "genuine_pairs": len(self.pairs.genuine),
            "impostor_pairs": len(self.pairs.impostor),
            "auc": round(self.auc, 6),
            "tar": [
                {
                    "fmr": p.target_fmr,
                    "value": round(p.tar.value, 5),
                    "low": round(p.tar.low, 5),
                    "high": round(p.tar.high, 5),
                    "support": p.tar.support,
                }
                for p in self.points
            ],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A network and its file on the same photos."""

    before: Accuracy
    after: Accuracy
    difference: Difference


def accuracy(vectors: FloatArray, crops: LabelledCrops) -> Accuracy:
    """(N,D) unit-norm vectors of the photos of ``crops``, in their order."""
    first, second = np.triu_indices(len(crops), 1)
    cosines = (vectors @ vectors.T)[first, second]
    pairs = PairScores.from_labels(cosines, crops.labels[first], crops.labels[second])
    points = operating_points(PairBootstrap(pairs, REPLICATES), RATES)
    return Accuracy(
        crops.name,
        len(crops),
        pairs.people,
        pairs,
        auc(pairs.genuine, pairs.impostor),
        tuple(points),
    )


def compare(before: Accuracy, after: Accuracy) -> Difference:
    """TAR of the second minus that of the first, on the same pairs, at ``rate_for`` them."""
    return compare_tar(
        before.pairs, after.pairs, rate_for(before.pairs), replicates=REPLICATES,
        allow_unsupported=True,
    )  # fmt: skip


def rate_for(pairs: PairScores) -> float:
    """FMR 1e-4, or the smallest of 1e-3 and 1e-2 that the pairs support."""
    trials = len(pairs.impostor)
    rates = [rate for rate in sorted(RATES) if support(rate, trials).supported]
    return max(next(iter(rates), RATES[0]), TAR_FMR)


def require_close(difference: Difference) -> None:
    """Raise ``ExportRefused`` where quantising moved the TAR by more than half a point."""
    if abs(difference.difference) > TAR_POINTS:
        raise ExportRefused(
            f"{difference.metric} is {100 * difference.b:.2f} % after and "
            f"{100 * difference.a:.2f} % before quantising; a difference of at most "
            f"{100 * TAR_POINTS:g} points shares the float model's contract (--own-contract lets "
            "it be a model of its own)",
            **difference.to_dict(),
        )


__all__ = ["Accuracy", "Measured", "accuracy", "compare", "rate_for", "require_close"]
