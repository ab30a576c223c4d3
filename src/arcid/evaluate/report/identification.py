"""False positive identifications as the gallery grows, measured by drawing smaller galleries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arcid.evaluate import metrics
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.metrics import Array
from arcid.evaluate.protocols import GalleryResult
from arcid.evaluate.report import plots
from arcid.evaluate.report.document import Figure

DRAWS = 200


def fpir_figure(
    result: GalleryResult, embeddings: EmbeddingSet, marks: plots.Marks, *, seed: int = 0
) -> list[Figure]:
    """FPIR at fixed thresholds over gallery size; nothing where there is too little to see.

    Strangers are the people not enrolled; without any, every probe searches the gallery with its
    own person taken out.
    """
    scores, people, how = _stranger_scores(result, embeddings)
    if scores.shape[1] < 4 or len(scores) < 10:
        return []
    best = scores.max(axis=1)
    thresholds = list(marks)[:3] or [
        (metrics.threshold_at_fpir(best, r), f"FPIR {r:g} with everybody")
        for r in (0.1, 0.01)
        if metrics.support(r, len(best)).supported
    ]
    series = {
        f"cosine {t:.2f} ({label})": _by_size(scores, people, t, seed) for t, label in thresholds
    }
    series = {name: points for name, points in series.items() if any(p[1] > 0 for p in points)}
    if not series:
        return []
    return [
        plots.by_gallery_size(
            "False positive identifications by gallery size",
            f"Share of searches that name a stranger at a fixed threshold: {how}. "
            "Measured by drawing smaller galleries; shaded: 95 % intervals over people.",
            series,
            "FPIR",
        )
    ]


def _stranger_scores(
    result: GalleryResult, embeddings: EmbeddingSet
) -> tuple[Array, list[str], str]:
    """(Q,P) best score of each stranger's photo with each enrolled person, −inf for their own."""
    folder = result.split.folder
    names = [p.name for p in folder.photos]
    enrolled = embeddings.rows([names[int(i)] for i in result.split.enrolled])
    who = np.array([folder.people[int(i)] for i in result.split.enrolled])
    usable = ~embeddings.failed[enrolled]
    enrolled, who = enrolled[usable], who[usable]
    searching = result.split.strangers if len(result.split.strangers) else result.split.probes
    probes = embeddings.rows([names[int(i)] for i in searching])
    people = [folder.people[int(i)] for i in searching]
    order = np.argsort(who, kind="stable")
    members, starts = np.unique(who[order], return_index=True)
    product = embeddings.vectors[probes] @ embeddings.vectors[enrolled[order]].T
    scores = np.maximum.reduceat(product, starts, axis=1).astype(np.float64)
    scores[embeddings.failed[probes]] = metrics.FAILED
    scores[np.asarray(people)[:, None] == members[None]] = metrics.FAILED
    how = (
        "searches by people who are not enrolled"
        if len(result.split.strangers)
        else "each probe searched without its own person"
    )
    return scores, people, how


def _by_size(
    scores: Array, people: Sequence[str], threshold: float, seed: int
) -> list[tuple[int, float, float, float]]:
    rng = np.random.default_rng(seed)
    ids = np.unique(np.asarray(people), return_inverse=True)[1]
    everybody = scores.shape[1]
    sizes = sorted({int(n) for n in np.geomspace(2, everybody, 8).round()})
    points = []
    for size in sizes:
        values, spread = np.empty(DRAWS), np.empty(DRAWS)
        for d in range(DRAWS):
            members = rng.permutation(everybody)[:size]
            named = scores[:, members].max(axis=1) >= threshold
            weights = rng.multinomial(ids.max() + 1, np.full(ids.max() + 1, 1 / (ids.max() + 1)))
            values[d] = named.mean()
            spread[d] = (weights[ids] * named).sum() / max(weights[ids].sum(), 1)
        low, high = np.percentile(spread, [2.5, 97.5])
        points.append((size, float(values.mean()), float(low), float(high)))
    return points
