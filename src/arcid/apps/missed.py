"""How many people a gallery's index misses, measured on that gallery by reading every vector."""

from __future__ import annotations

import numpy as np

from arcid.errors import UsageError
from arcid.evaluate.metrics import wilson
from arcid.gallery import Gallery
from arcid.gallery.records import IndexMisses
from arcid.types import Embeddings, FloatArray

LIKE = 0.7  # cosine of a probe to the face that it was made of: another photo of that person
BATCH = 64


def measure(
    gallery: Gallery, collection: str, contract_id: str, *, searches: int = 500, seed: int = 0
) -> IndexMisses:
    """Search for vectors near random stored faces, by the index and by reading every vector.

    The answer is kept in the gallery, and stated by its searches. Memory holds a block of the
    gallery at a time. Raises ``UsageError`` where nobody is enrolled.
    """
    if searches < 1:
        raise UsageError(f"at least 1 search is needed, got {searches}")
    probes = _probes(gallery, collection, contract_id, searches, np.random.default_rng(seed))
    best, owners = np.full(len(probes), -2.0, np.float32), np.full(len(probes), "", object)
    for _, people, rows in gallery.vectors(collection, contract_id):
        cosines = probes @ rows.T
        nearest = cosines.argmax(axis=1)
        found = cosines[np.arange(len(probes)), nearest]
        better = found > best
        best[better] = found[better]
        owners[better] = np.array(people, object)[nearest[better]]
    missed = 0
    for start in range(0, len(probes), BATCH):
        asked = Embeddings(probes[start : start + BATCH], contract_id)
        for i, hits in enumerate(gallery.search(collection, asked, k=1)):
            same = hits and (hits[0].person_id == owners[start + i])
            missed += not (same or (hits and hits[0].cosine >= best[start + i] - 1e-6))
    interval = wilson(missed, len(probes))
    return gallery.keep_index_misses(collection, contract_id, len(probes), missed, interval)


def _probes(
    gallery: Gallery, collection: str, contract_id: str, count: int, rng: np.random.Generator
) -> FloatArray:
    """(N,D) unit vectors with cosine ``LIKE`` to faces drawn from all alike (reservoir)."""
    kept: list[FloatArray] = []
    seen = 0
    for _, _, rows in gallery.vectors(collection, contract_id):
        for row in rows:
            seen += 1
            if len(kept) < count:
                kept.append(row)
            elif (place := int(rng.integers(seen))) < count:
                kept[place] = row
    if not kept:
        raise UsageError(f"collection {collection!r} holds no face of that model to search for")
    faces = np.stack(kept)
    aside = rng.standard_normal(faces.shape).astype(np.float32)
    aside -= (aside * faces).sum(axis=1, keepdims=True) * faces
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    return np.asarray(LIKE * faces + np.sqrt(1 - LIKE**2) * aside, np.float32)


__all__ = ["measure"]
