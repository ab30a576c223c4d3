"""A whole labelled folder: every photo against every other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from arcid.errors import DatasetInvalid, RateUnsupported
from arcid.evaluate import metrics
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.intervals import OperatingPoint, operating_points
from arcid.evaluate.metrics import binomial_rate
from arcid.evaluate.protocols._common import RATES, jsonable, photo_counts
from arcid.evaluate.protocols.all_pairs import AllPairs, all_pairs
from arcid.evaluate.readers.folder import PeopleFolder
from arcid.evaluate.sources import Progress

_TOP = 1_000_000  # impostors kept: an FMR of 1e-2 of 14,000 photos


@dataclass(frozen=True, eq=False)
class FolderResult:
    """All-pairs statistics with names."""

    name: str
    contract_id: str
    statistics: AllPairs  # over the photos that did not fail
    names: tuple[str, ...]  # of those photos, row by row
    points: list[OperatingPoint]
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
    top: int = _TOP,
    replicates: int = 300,
    seed: int = 0,
    progress: Progress | None = None,
) -> FolderResult:
    """Statistics of all pairs; failed photos leave the histograms and are counted.

    TAR counts their genuine pairs as non-matches. Intervals resample people, each replicate with a
    threshold of its own. Where that takes more pairs than are kept (``top``; ``GENUINE_PAIRS``)
    they are Wilson's, which are too narrow, and the threshold's are missing.
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
    everybody, known = Counter(people.tolist()), np.unique(people[~failed]).tolist()
    photos = [everybody.pop(name) for name in known] + list(everybody.values())
    points = []
    for rate in rates:
        if not metrics.support(rate, stats.impostor.total).supported:
            continue
        try:
            boot = stats.replicates(replicates, seed, photos=photos)
            points += operating_points(boot, [rate])
        except RateUnsupported:
            points.append(_beyond(stats, rate, sum(_pairs(n) for n in photos)))
    return FolderResult(
        folder.name,
        embeddings.contract_id,
        stats,
        tuple(n for n, f in zip(names, failed, strict=True) if not f),
        points,
        sum(_pairs(n) for n in photos) - stats.genuine.total,
        photo_counts(embeddings.select(names)),
    )


def _beyond(stats: AllPairs, rate: float, genuine: int) -> OperatingPoint:
    """A point whose pairs were counted and not kept."""
    threshold, of = stats.threshold_at_fmr(rate), stats.impostor.total
    accepted = round((1 - float(stats.fnmr(threshold)[0])) * stats.genuine.total)
    tar = replace(binomial_rate(accepted, genuine), support=metrics.support(rate, of).level)
    fmr = binomial_rate(round(float(stats.fmr(threshold)[0]) * of), of)
    return OperatingPoint(rate, threshold, tar, fmr, math.nan, math.nan)


def _pairs(photos: int) -> int:
    return photos * (photos - 1) // 2
