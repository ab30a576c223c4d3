"""A probe against a gallery: ranks, CMC, FPIR, FNIR, DIR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate.metrics.rates import (
    FAILED,
    Array,
    IndexArray,
    Mask,
    _checked,
    require_support,
)
from arcid.evaluate.metrics.verification import (
    fmr,
    threshold_at_fmr,
)


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """What a 1:N run leaves behind, per probe.

    A person's score is the best over their gallery templates. A mated probe's rank is 1 + the
    number of other people who score the same or more, so ties count against it; a failed probe has
    rank ``gallery_people + 1`` and score −inf.
    """

    mated_scores: Array  # (P,) score of the probe's own person
    mated_ranks: IndexArray  # (P,)
    mated_best_other: Array  # (P,) best score of anybody else
    nonmated_scores: Array  # (Q,) best score of each probe whose person is not enrolled
    gallery_people: int

    def found_by(self, rank: int) -> Mask:
        """(P,) whether each mated probe was found at ``rank`` or better; a failed one never is,
        however few people there are."""
        found: Mask = self.mated_ranks <= min(rank, self.gallery_people)
        return found


def search(
    probes: npt.NDArray[Any],
    probe_people: npt.ArrayLike,
    gallery: npt.NDArray[Any],
    gallery_people: npt.ArrayLike,
    *,
    failed_probes: npt.ArrayLike | None = None,
    block: int = 1024,
) -> Searches:
    """(P,D) probes against (G,D) gallery templates, unit norm, in blocks of probes.

    A probe is mated where its person is in the gallery. An empty gallery raises ``InvalidArray``.
    """
    people, which = np.unique(np.asarray(gallery_people), return_inverse=True)
    if len(people) == 0 or len(which) != len(gallery):
        raise InvalidArray("the gallery needs at least one template, and a person for each")
    wanted = np.asarray(probe_people)
    if len(wanted) != len(probes):
        raise InvalidArray(f"{len(probes)} probes but {len(wanted)} people")
    failed = np.zeros(len(probes), bool) if failed_probes is None else np.asarray(failed_probes)
    order = np.argsort(which, kind="stable")
    starts = np.searchsorted(which[order], np.arange(len(people)))
    sorted_gallery = np.ascontiguousarray(np.asarray(gallery)[order].T)
    own = np.searchsorted(people, wanted).clip(0, len(people) - 1)
    mated = people[own] == wanted
    top, mine = np.empty(len(probes)), np.full(len(probes), FAILED)
    best_other = np.full(len(probes), FAILED)
    ranks = np.full(len(probes), len(people) + 1, np.int64)
    for start in range(0, len(probes), block):
        rows = slice(start, start + block)
        scores = np.maximum.reduceat(np.asarray(probes[rows]) @ sorted_gallery, starts, axis=1)
        at = np.arange(len(scores))
        top[rows] = scores.max(axis=1)
        mine[rows] = scores[at, own[rows]]
        ranks[rows] = (scores >= mine[rows][:, None].astype(scores.dtype)).sum(axis=1)
        scores[at, own[rows]] = FAILED
        best_other[rows] = scores.max(axis=1)
    for values in (top, mine, best_other):
        values[failed] = FAILED
    ranks[failed] = len(people) + 1
    return Searches(mine[mated], ranks[mated], best_other[mated], top[~mated], len(people))


def cmc(ranks: npt.ArrayLike, max_rank: int = 20) -> Array:
    """(max_rank,) share of mated probes found at rank 1, 2 …"""
    r = np.asarray(ranks)
    if len(r) == 0:
        raise InvalidArray("a CMC needs at least one mated probe")
    return np.asarray([(r <= k).mean() for k in range(1, max_rank + 1)], np.float64)


def fpir(nonmated_scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> Array:
    """False positive identification rate: share of non-mated probes whose best score is >= t."""
    return fmr(_checked(nonmated_scores, "non-mated"), thresholds)


def threshold_at_fpir(nonmated_scores: npt.ArrayLike, rate: float) -> float:
    """The lowest threshold whose FPIR on these probes is at most ``rate``; ties as for FMR."""
    return threshold_at_fmr(_checked(nonmated_scores, "non-mated"), rate)


def fnir(
    mated_scores: npt.ArrayLike, ranks: npt.ArrayLike, threshold: float, *, rank: int = 1
) -> float:
    """False negative identification rate: mated probes not found at ``rank`` or better and >= t."""
    scores, r = np.asarray(mated_scores, np.float64), np.asarray(ranks)
    if len(scores) == 0 or scores.shape != r.shape:
        raise InvalidArray("FNIR needs a score and a rank for every mated probe")
    return float(1.0 - ((scores >= threshold) & (r <= rank)).mean())


def dir_at_fpir(
    searches: Searches, rate: float, *, rank: int = 1, allow_unsupported: bool = False
) -> tuple[float, float]:
    """(detection and identification rate, threshold) at a target FPIR; DIR = 1 − FNIR."""
    require_support(
        rate, len(searches.nonmated_scores), what="FPIR", allow_unsupported=allow_unsupported
    )
    threshold = threshold_at_fpir(searches.nonmated_scores, rate)
    return 1.0 - fnir(searches.mated_scores, searches.mated_ranks, threshold, rank=rank), threshold
