"""IJB-B and IJB-C: template verification and open-set identification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate import intervals, metrics
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.intervals import IdentificationPoint, OperatingPoint
from arcid.evaluate.metrics import Array, IndexArray, Mask, Rate
from arcid.evaluate.pairs import PairScores, people_of_pairs
from arcid.evaluate.protocols._common import RATES, jsonable, normalised, photo_counts
from arcid.evaluate.readers.ijb import IjbMeta
from arcid.types import FloatArray

FPIRS = (1e-2, 1e-1)


def pool_templates(
    vectors: npt.NDArray[Any],
    templates: IndexArray,
    media: IndexArray,
    *,
    weights: npt.ArrayLike | None = None,
    failed: Mask | None = None,
) -> tuple[IndexArray, FloatArray, Mask]:
    """Mean over the frames of each media, sum over the media of each template, unit norm.

    (N,D) vectors with template and media ids in; (T,) ids in order, (T,D) unit vectors and (T,)
    failed out. ``weights`` (N,) multiply the vectors first: detector score, quality, raw norm.
    Failed photos are left out; a template without any other has failed.
    """
    scale = np.ones(len(vectors)) if weights is None else np.asarray(weights, np.float64)
    if not (len(vectors) == len(templates) == len(media) == len(scale)):
        raise InvalidArray("vectors, templates, media and weights must be of one length")
    if not np.isfinite(scale).all() or (scale < 0).any():
        raise InvalidArray("weights must be finite and not negative")
    keep = np.ones(len(vectors), bool) if failed is None else ~np.asarray(failed)
    ids = np.unique(templates)
    rows = np.flatnonzero(keep)
    rows = rows[np.lexsort((media[rows], templates[rows]))]
    pooled = np.zeros((len(ids), vectors.shape[1]))
    if len(rows):
        t, m = templates[rows], media[rows]
        new_media = np.append(True, (t[1:] != t[:-1]) | (m[1:] != m[:-1]))
        starts = np.flatnonzero(new_media)
        counts = np.diff(np.append(starts, len(rows)))
        means = np.empty((len(starts), vectors.shape[1]), np.float32)
        for low in range(0, len(starts), 4096):  # bounds the copy of the gathered rows
            high = min(low + 4096, len(starts))
            begin, end = starts[low], starts[high] if high < len(starts) else len(rows)
            part = rows[begin:end]
            weighted = vectors[part] * scale[part].astype(np.float32)[:, None]
            means[low:high] = np.add.reduceat(weighted, starts[low:high] - begin, axis=0)
        means /= counts.astype(np.float32)[:, None]
        of_template = t[starts]
        first = np.flatnonzero(np.append(True, of_template[1:] != of_template[:-1]))
        pooled[np.searchsorted(ids, of_template[first])] = np.add.reduceat(
            means, first, axis=0, dtype=np.float64
        )
    unit, empty = normalised(pooled)
    return ids, unit, empty


def template_scores(
    vectors: FloatArray, failed: Mask, first: IndexArray, second: IndexArray
) -> Array:
    """(M,) cosines of pairs of template rows, by whole matrix products where pairs are dense."""
    scores = np.empty(len(first), np.float64)
    left, a = np.unique(first, return_inverse=True)
    right, b = np.unique(second, return_inverse=True)
    if len(left) * len(right) <= 128 * len(first):
        order = np.argsort(a, kind="stable")
        bounds = np.searchsorted(a[order], np.arange(0, len(left) + 512, 512))
        other = np.ascontiguousarray(vectors[right].T)
        for k in range(len(bounds) - 1):
            block = order[bounds[k] : bounds[k + 1]]
            product = vectors[left[512 * k : 512 * (k + 1)]] @ other
            scores[block] = product[a[block] - 512 * k, b[block]]
    else:
        for start in range(0, len(first), 65_536):
            rows = slice(start, start + 65_536)
            scores[rows] = np.einsum("md,md->m", vectors[first[rows]], vectors[second[rows]])
    scores[failed[first] | failed[second]] = metrics.FAILED
    return scores


@dataclass(frozen=True, eq=False)
class GallerySearch:
    """1:N against one gallery."""

    name: str
    searches: metrics.Searches
    cmc: Array  # (20,), or as many as there are people
    rank_1: Rate
    rank_5: Rate
    rank_10: Rate
    points: list[IdentificationPoint]

    def to_dict(self) -> dict[str, Any]:
        return {
            "gallery": self.name,
            "gallery_people": self.searches.gallery_people,
            "mated_probes": len(self.searches.mated_scores),
            "nonmated_probes": len(self.searches.nonmated_scores),
            "rank_1": self.rank_1.to_dict(),
            "rank_5": self.rank_5.to_dict(),
            "rank_10": self.rank_10.to_dict(),
            "cmc": self.cmc.tolist(),
            "dir_at_fpir": [p.to_dict() for p in self.points],
        }


@dataclass(frozen=True, eq=False)
class IjbResult:
    """1:1 over all listed template pairs, 1:N over each gallery."""

    name: str
    contract_id: str
    pairs: PairScores
    points: list[OperatingPoint]
    arcface_torch: dict[float, float]  # TAR by its nearest-vertex lookup, for its tables
    auc: float
    eer: float
    galleries: list[GallerySearch]
    templates: int
    failed_templates: int
    photos: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = jsonable(
            {
                "protocol": "ijb",
                "name": self.name,
                "contract_id": self.contract_id,
                "tar_at_fmr": [p.to_dict() for p in self.points],
                "tar_arcface_torch": {f"{k:g}": v for k, v in self.arcface_torch.items()},
                "auc": self.auc,
                "eer": self.eer,
                "identification": [g.to_dict() for g in self.galleries],
                "templates": self.templates,
                "failed_templates": self.failed_templates,
                "genuine_pairs": int(self.pairs.same.sum()),
                "impostor_pairs": int((~self.pairs.same).sum()),
                "failed_pairs": self.pairs.failed,
                **self.photos,
            }
        )
        return found


def evaluate_ijb(
    meta: IjbMeta,
    embeddings: EmbeddingSet,
    *,
    weights: npt.ArrayLike | None = None,
    rates: Sequence[float] = RATES,
    fpirs: Sequence[float] = FPIRS,
    replicates: int = 100,
    seed: int = 0,
) -> IjbResult:
    """Pool the photos into templates, score the pairs, search the galleries.

    ``weights``: (N,) of each photo, by default the faceness of the meta file; hand in ones for
    plain pooling, or faceness × raw norm for what arcface_torch does. People for the intervals are
    the subjects of the 1:N lists, else templates joined by genuine pairs. Rates beyond what the
    data supports are left out.
    """
    chosen = embeddings.select([p.name for p in meta.photos])
    ids, vectors, failed = pool_templates(
        chosen.vectors,
        meta.templates,
        meta.media,
        weights=meta.faceness if weights is None else weights,
        failed=chosen.failed,
    )
    first, second = np.searchsorted(ids, meta.pair_first), np.searchsorted(ids, meta.pair_second)
    scores = template_scores(vectors, failed, first, second)
    people = _subjects(meta, ids, first, second)
    clash = (people[first] == people[second]) != meta.pair_same
    a, b = people[first], people[second].copy()
    b[clash & ~meta.pair_same] = people.max() + 1  # the list says they are two people
    b[clash & meta.pair_same] = a[clash & meta.pair_same]
    pairs = PairScores(scores, meta.pair_same, a, b)
    genuine, impostor = metrics.split_scores(pairs.scores, pairs.same)
    kept = [r for r in rates if metrics.support(r, len(impostor)).supported]
    curve = metrics.roc(genuine, impostor)
    boot = PairBootstrap(pairs, replicates, seed)
    return IjbResult(
        name=meta.name,
        contract_id=embeddings.contract_id,
        pairs=pairs,
        points=intervals.operating_points(boot, kept),
        arcface_torch={
            r: metrics.tar_from_roc(curve, len(genuine), len(impostor), r) for r in kept
        },
        auc=metrics.auc(genuine, impostor),
        eer=metrics.eer_from_roc(curve)[0],
        galleries=[
            _search(meta, name, ids, vectors, failed, fpirs, replicates, seed)
            for name in meta.galleries
            if meta.probes is not None
        ],
        templates=len(ids),
        failed_templates=int(failed.sum()),
        photos=photo_counts(chosen),
    )


def _subjects(meta: IjbMeta, ids: IndexArray, first: IndexArray, second: IndexArray) -> IndexArray:
    """(T,) person of each template: listed subjects first, then chains of genuine pairs."""
    chains = people_of_pairs(first, second, meta.pair_same, len(ids))
    subject_of: dict[int, int] = {}
    lists = [*meta.galleries.values(), *([meta.probes] if meta.probes else [])]
    for templates, subjects in lists:
        subject_of.update(zip(templates.tolist(), subjects.tolist(), strict=True))
    if not all(int(t) in subject_of for t in ids):
        return chains
    return np.unique([subject_of[int(t)] for t in ids], return_inverse=True)[1].astype(np.int64)


def _search(
    meta: IjbMeta,
    name: str,
    ids: IndexArray,
    vectors: FloatArray,
    failed: Mask,
    fpirs: Sequence[float],
    replicates: int,
    seed: int,
) -> GallerySearch:
    if meta.probes is None:
        raise InvalidArray("a search needs the list of probes")
    gallery_templates, gallery_people = meta.galleries[name]
    probe_templates, probe_people = meta.probes
    gallery, probes = np.searchsorted(ids, gallery_templates), np.searchsorted(ids, probe_templates)
    usable = ~failed[gallery]
    enrolled = np.isin(probe_people, gallery_people)
    found = metrics.search(
        vectors[probes],
        probe_people,
        vectors[gallery][usable],
        gallery_people[usable],
        failed_probes=failed[probes],
    )
    lost = enrolled & ~np.isin(probe_people, gallery_people[usable])
    if lost.any():  # enrolment failed: such probes are misses, not strangers
        found = _with_misses(found, probe_people, gallery_people[usable], lost)
        enrolled_order = np.concatenate(
            [probe_people[enrolled & ~lost], probe_people[enrolled & lost]]
        )
    else:
        enrolled_order = probe_people[enrolled]
    strangers = probe_people[~enrolled]
    points = [
        intervals.identification_point(
            found, enrolled_order, strangers, rate, replicates=replicates, seed=seed
        )
        for rate in fpirs
        if len(strangers) and metrics.support(rate, len(strangers)).supported
    ]
    first, fifth, tenth = (
        intervals.clustered_rate(
            found.found_by(k), enrolled_order, replicates=replicates, seed=seed
        )
        for k in (1, 5, 10)
    )
    cmc = metrics.cmc(found.mated_ranks, min(20, found.gallery_people))
    return GallerySearch(name, found, cmc, first, fifth, tenth, points)


def _with_misses(
    found: metrics.Searches, probe_people: IndexArray, usable_people: IndexArray, lost: Mask
) -> metrics.Searches:
    count = int(lost.sum())
    strangers = ~np.isin(probe_people, usable_people)
    return metrics.Searches(
        np.append(found.mated_scores, np.full(count, metrics.FAILED)),
        np.append(found.mated_ranks, np.full(count, found.gallery_people + 1)),
        np.append(found.mated_best_other, np.full(count, metrics.FAILED)),
        found.nonmated_scores[~lost[strangers]],
        found.gallery_people,
    )
