"""A whole labelled folder: every photo against every other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.evaluate import metrics
from arcid.evaluate.bootstrap import identity_weights, interval
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.metrics import Mask, Rate, binomial_rate, wilson
from arcid.evaluate.protocols._common import RATES, jsonable, photo_counts
from arcid.evaluate.protocols.all_pairs import TOP_PAIRS, AllPairs, all_pairs
from arcid.evaluate.readers.folder import PeopleFolder
from arcid.evaluate.sources import Progress


@dataclass(frozen=True, slots=True)
class FolderPoint:
    """TAR at a target FMR over all pairs; genuine pairs with a failed photo are non-matches."""

    target_fmr: float
    threshold: float
    fmr: Rate
    tar_rate: Rate
    support: str

    @property
    def tar(self) -> float:
        return self.tar_rate.value

    def to_dict(self) -> dict[str, Any]:
        return {
            "target_fmr": self.target_fmr,
            "threshold": self.threshold,
            "fmr": self.fmr.to_dict(),
            "tar": self.tar_rate.to_dict(),
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
    impostors reach down to the threshold, else they are Wilson's, which are too narrow; TAR
    intervals likewise where the kept genuine pairs reach up to it.
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
        tar = _tar(stats, people, ~failed, threshold, replicates, seed)
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


def _tar(
    stats: AllPairs, people: Any, good: Mask, threshold: float, replicates: int, seed: int
) -> Rate:
    """TAR with the interval over people; a genuine pair with a failed photo is a non-match."""
    names, everybody = np.unique(people, return_inverse=True)
    totals = _pairs_each(np.bincount(everybody))
    usable = _pairs_each(np.bincount(everybody[good], minlength=len(names)))
    total, low = int(totals.sum()), stats.lowest_genuine
    if len(low.cosines) < stats.genuine.total and threshold > low.cosines[-1]:
        accepted = round(float(stats.genuine.share_at_least(threshold)) * stats.genuine.total)
        return binomial_rate(accepted, total)
    number = np.searchsorted(names, np.unique(people[good]))
    missed = number[stats.people[low.first[low.cosines < threshold]]]
    misses = np.bincount(missed, minlength=len(names)) + totals - usable
    weights = identity_weights(len(names), replicates, seed)
    drawn = weights @ totals
    samples = np.divide(
        drawn - weights @ misses, drawn, out=np.full(len(drawn), np.nan), where=drawn > 0
    )
    accepted = total - int(misses.sum())
    value = accepted / total
    low_end, high_end = wilson(accepted, total) if accepted in (0, total) else interval(samples)
    return Rate(value, min(low_end, value), max(high_end, value), accepted, total)


def _pairs(counts: Any) -> int:
    return int(_pairs_each(counts).sum())


def _pairs_each(counts: Any) -> Any:
    return counts.astype(np.int64) * (counts - 1) // 2
