"""What several protocols share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from arcid.evaluate.embeddings import EmbeddingSet, failure_counts
from arcid.evaluate.metrics import Array, IndexArray, Mask
from arcid.evaluate.readers._pairs import PairList
from arcid.types import FloatArray

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def jsonable(value: Any) -> Any:
    """The same with NaN and infinite numbers as None, which strict JSON can carry."""
    if isinstance(value, dict):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def photo_counts(embeddings: EmbeddingSet) -> dict[str, Any]:
    """How many photos there were and how many failed, by reason."""
    return {
        "photos": len(embeddings),
        "failed_photos": int(embeddings.failed.sum()),
        "failures": failure_counts(embeddings),
    }


def unit_vectors(pairs: PairList, embeddings: EmbeddingSet) -> tuple[FloatArray, Mask]:
    """(U,D) vector of every unit, the mean over its photos brought to unit norm, and (U,) failed.

    Failed frames of a video are left out of its mean; a unit has failed where all its photos have.
    """
    rows = embeddings.rows([p.name for p in pairs.photos])
    if all(len(u) == 1 for u in pairs.units):
        chosen = rows[[u[0] for u in pairs.units]]
        return embeddings.vectors[chosen], embeddings.failed[chosen]
    flat = rows[[i for u in pairs.units for i in u]]
    starts = np.cumsum([0, *(len(u) for u in pairs.units)])[:-1]
    summed = np.add.reduceat(embeddings.vectors[flat].astype(np.float64), starts, axis=0)
    return normalised(summed)


def normalised(raw: Array) -> tuple[FloatArray, Mask]:
    """(N,D) sums in; unit-norm float32 rows and (N,) True where nothing was summed."""
    norms = np.linalg.norm(raw, axis=1, keepdims=True)
    empty = norms[:, 0] < 1e-12
    unit = np.divide(raw, norms, out=np.zeros_like(raw), where=~empty[:, None])
    return unit.astype(np.float32), empty


def pair_cosines(
    vectors: FloatArray, failed: Mask, first: IndexArray, second: IndexArray, block: int = 100_000
) -> Array:
    """(M,) cosines of pairs of rows; −inf where one of them failed."""
    scores = np.empty(len(first))
    for start in range(0, len(first), block):
        rows = slice(start, start + block)
        scores[rows] = np.einsum(
            "md,md->m",
            vectors[first[rows]].astype(np.float64),
            vectors[second[rows]].astype(np.float64),
        )
    scores[failed[first] | failed[second]] = -np.inf
    return scores


def stratified_folds(same: Mask, folds: int) -> IndexArray:
    """(M,) folds for lists that have none: both kinds of pairs dealt evenly, in order."""
    fold_of = np.empty(len(same), np.int64)
    for kind in (True, False):
        rows = np.flatnonzero(same == kind)
        fold_of[rows] = np.arange(len(rows)) * folds // max(len(rows), 1)
    return fold_of
