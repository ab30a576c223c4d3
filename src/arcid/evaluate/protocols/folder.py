"""A whole labelled folder: every photo against every other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.evaluate import metrics
from arcid.evaluate.metrics import Rate, binomial_rate
from arcid.evaluate.protocols._common import RATES, jsonable, photo_counts
from arcid.evaluate.protocols.all_pairs import TOP_PAIRS, AllPairs, all_pairs
from arcid.evaluate.readers.folder import PeopleFolder
from arcid.evaluate.sources import EmbeddingSet, Progress


@dataclass(frozen=True, slots=True)
class FolderPoint:
    """TAR at a target FMR over all pairs; genuine pairs with a failed photo are non-matches."""

    target_fmr: float
    threshold: float
    fmr: Rate
    tar: float
    support: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "target_fmr": self.target_fmr,
            "threshold": self.threshold,
            "fmr": self.fmr.to_dict(),
            "tar": self.tar,
            "support": self.support,
        }


@dataclass(frozen=True, eq=False)
class FolderResult:
    """All-pairs statistics with names."""

    name: str
    contract_id: str
    statistics: AllPairs  # over the photos that did not fail
    names: tuple[str, ...]  # of those photos, row by row
    points: list[FolderPoint]
    failed_genuine_pairs: int
    photos: dict[str, Any]

    def suspects(self, count: int = 40) -> list[tuple[str, str, float]]:
        """(photo, photo, cosine) of the highest impostors: look at them for wrong labels first."""
        top = self.statistics.highest_impostors
        return [
            (self.names[int(a)], self.names[int(b)], float(c))
            for a, b, c in zip(top.first[:count], top.second[:count], top.cosines, strict=False)
        ]

    def to_dict(self) -> dict[str, Any]:
        stats = self.statistics
        eer, threshold = stats.eer
        found: dict[str, Any] = jsonable(
            {
                "protocol": "folder",
                "name": self.name,
                "contract_id": self.contract_id,
                "people": int(stats.people.max()) + 1,
                "genuine_pairs": stats.genuine.total,
                "impostor_pairs": stats.impostor.total,
                "failed_genuine_pairs": self.failed_genuine_pairs,
                "genuine_mean": stats.genuine.mean,
                "genuine_std": stats.genuine.std,
                "impostor_mean": stats.impostor.mean,
                "impostor_std": stats.impostor.std,
                "d_prime": stats.d_prime,
                "auc": stats.auc,
                "eer": eer,
                "eer_threshold": threshold,
                "tar_at_fmr": [p.to_dict() for p in self.points],
                **self.photos,
            }
        )
        return found


def evaluate_folder(
    folder: PeopleFolder,
    embeddings: EmbeddingSet,
    *,
    rates: Sequence[float] = RATES,
    top: int = TOP_PAIRS,
    replicates: int = 300,
    seed: int = 0,
    progress: Progress | None = None,
) -> FolderResult:
    """Statistics of all pairs; failed photos leave the histograms and are counted.

    TAR counts their genuine pairs as non-matches. FMR intervals resample people where the kept
    impostors reach down to the threshold, else they are Wilson's, which are too narrow.
    """
    names = [p.name for p in folder.photos]
    rows = embeddings.rows(names)
    failed = embeddings.failed[rows]
    good = rows[~failed]
    people = np.asarray(folder.people)
    if len(set(people[~failed].tolist())) < 2:
        raise DatasetInvalid(f"{folder.name}: photos of fewer than two people could be used")
    vectors = (
        embeddings.vectors
        if len(good) == len(embeddings) and (good == np.arange(len(good))).all()
        else embeddings.vectors[good]
    )
    stats = all_pairs(vectors, people[~failed], top=top, progress=progress)
    everybody = np.unique(people, return_inverse=True)[1]
    lost = _pairs(np.bincount(everybody)) - stats.genuine.total
    points = []
    for rate in rates:
        level = metrics.support(rate, stats.impostor.total)
        if not level.supported:
            continue
        threshold = stats.threshold_at_fmr(rate)
        share = float(stats.genuine.share_at_least(threshold))
        tar = share * stats.genuine.total / (stats.genuine.total + lost)
        kept = stats.highest_impostors.cosines
        if threshold > kept[-1]:
            fmr = stats.fmr_interval(threshold, replicates=replicates, seed=seed)
        else:
            count = round(float(stats.fmr(threshold)[0]) * stats.impostor.total)
            fmr = binomial_rate(count, stats.impostor.total)
        points.append(FolderPoint(rate, threshold, fmr, tar, level.level))
    return FolderResult(
        folder.name,
        embeddings.contract_id,
        stats,
        tuple(n for n, f in zip(names, failed, strict=True) if not f),
        points,
        lost,
        photo_counts(embeddings.select(names)),
    )


def _pairs(counts: Any) -> int:
    return int((counts.astype(np.int64) * (counts - 1) // 2).sum())
