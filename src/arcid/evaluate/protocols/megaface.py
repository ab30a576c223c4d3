"""MegaFace challenge 1: rank-1 among up to a million distractors, verification at 1e-6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate import bootstrap, intervals, metrics
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.metrics import Array, Rate
from arcid.evaluate.protocols._common import jsonable
from arcid.evaluate.protocols.all_pairs import Histogram, TopPairs, cross_pairs
from arcid.evaluate.sources import Progress
from arcid.types import FloatArray

SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True, eq=False)
class MegafaceResult:
    """Identification and verification of one probe set among distractors."""

    contract_id: str
    sizes: tuple[int, ...]
    rank_1: dict[int, Rate]  # distractors → share of (probe, mate) pairs found first
    tar: dict[float, Rate]  # FMR → TAR
    thresholds: dict[float, float]
    genuine: Array  # (M,) scores of all ordered (probe, mate) pairs
    impostor: Histogram
    highest_impostors: TopPairs  # probe row, distractor row: faces of one person among them?
    probes: int
    distractors: int
    failed_probes: int
    failed_distractors: int

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = jsonable(
            {
                "protocol": "megaface",
                "contract_id": self.contract_id,
                "rank_1": {str(k): r.to_dict() for k, r in self.rank_1.items()},
                "tar_at_fmr": [
                    {"target_fmr": k, "threshold": self.thresholds[k], "tar": r.to_dict()}
                    for k, r in self.tar.items()
                ],
                "probes": self.probes,
                "distractors": self.distractors,
                "genuine_pairs": len(self.genuine),
                "impostor_pairs": self.impostor.total,
                "failed_probes": self.failed_probes,
                "failed_distractors": self.failed_distractors,
            }
        )
        return found


def evaluate_megaface(
    probes: EmbeddingSet,
    people: Sequence[str],
    distractors: FloatArray | EmbeddingSet,
    *,
    sizes: Sequence[int] = SIZES,
    rates: Sequence[float] = (1e-6, 1e-5, 1e-4),
    replicates: int = bootstrap.REPLICATES,
    seed: int = 0,
    progress: Progress | None = None,
) -> MegafaceResult:
    """Each probe is searched with one photo of its person put among n distractors.

    Over all ordered pairs (probe, mate) of a person, the mate is found at rank 1 where it scores
    above every distractor. The first n distractors are used for size n; sizes beyond what is there
    are cut to it once. Impostors are all probe–distractor scores. A failed probe misses, a failed
    mate is never found, failed distractors are left out. Noise lists of the refined set take photos
    out beforehand (``read_megaface``): a noisy probe is dropped, where InsightFace's script puts
    its person's mean in its place.
    """
    labels = np.asarray(people)
    if len(labels) != len(probes):
        raise InvalidArray(f"{len(probes)} probes but {len(labels)} people")
    if isinstance(distractors, EmbeddingSet):
        probes.require_contract(distractors.contract_id)
        failed_far = int(distractors.failed.sum())
        far = distractors.vectors[~distractors.failed] if failed_far else distractors.vectors
    else:
        far, failed_far = distractors, 0
    if not len(far):
        raise InvalidArray("at least one distractor is needed")
    used = np.flatnonzero(~probes.failed)
    first, second = _mates(labels)
    if not len(first):
        raise InvalidArray("no person has two probes; there is nothing to find")
    genuine = np.einsum(
        "md,md->m",
        probes.vectors[first].astype(np.float64),
        probes.vectors[second].astype(np.float64),
    )
    genuine[probes.failed[first] | probes.failed[second]] = metrics.FAILED
    trials = len(used) * len(far)
    kept_rates = [r for r in rates if metrics.support(r, trials).supported]
    top = max([1000, *(int(r * trials) + 2 for r in kept_rates if r * trials <= 5e6)])
    rank_1: dict[int, Rate] = {}
    best = np.full(len(probes), -np.inf)
    histogram: npt.NDArray[np.int64] = np.zeros(0, np.int64)
    highest: list[TopPairs] = []
    start = 0
    for size in sorted({min(s, len(far)) for s in sizes} | {len(far)}):
        part, extreme, top_scores = cross_pairs(
            probes.vectors[used], far[start:size], top=top, progress=progress
        )
        histogram = part.counts if not len(histogram) else histogram + part.counts
        highest.append(TopPairs(extreme.cosines, used[extreme.first], extreme.second + start))
        best[used] = np.maximum(best[used], top_scores[:, 0])
        start = size
        found = (genuine > best[first]) & np.isfinite(genuine)
        rank_1[size] = intervals.clustered_rate(
            found, labels[first], replicates=replicates, seed=seed
        )
    impostor = Histogram(histogram)
    extremes = _merge(highest, top)
    thresholds = {r: _threshold(r, impostor, extremes) for r in kept_rates}
    return MegafaceResult(
        contract_id=probes.contract_id,
        sizes=tuple(rank_1),
        rank_1=rank_1,
        tar={
            r: intervals.clustered_rate(
                genuine >= t, labels[first], replicates=replicates, seed=seed
            )
            for r, t in thresholds.items()
        },
        thresholds=thresholds,
        genuine=genuine,
        impostor=impostor,
        highest_impostors=extremes,
        probes=len(probes),
        distractors=len(far),
        failed_probes=int(probes.failed.sum()),
        failed_distractors=failed_far,
    )


def _mates(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All ordered pairs of probes of one person."""
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.append(True, labels[order][1:] != labels[order][:-1]))
    first, second = [], []
    for group in np.split(order, starts[1:]):
        a, b = np.meshgrid(group, group, indexing="ij")
        off = ~np.eye(len(group), dtype=bool)
        first.append(a[off])
        second.append(b[off])
    return np.concatenate(first), np.concatenate(second)


def _merge(parts: list[TopPairs], top: int) -> TopPairs:
    cosines = np.concatenate([p.cosines for p in parts])
    first = np.concatenate([p.first for p in parts])
    second = np.concatenate([p.second for p in parts])
    order = np.argsort(-cosines, kind="stable")[:top]
    return TopPairs(cosines[order], first[order], second[order])


def _threshold(rate: float, impostor: Histogram, extremes: TopPairs) -> float:
    allowed = int(rate * impostor.total * (1 + 1e-12))
    if allowed < len(extremes.cosines):
        return float(np.nextafter(extremes.cosines[allowed], np.inf))
    return impostor.threshold(rate)
