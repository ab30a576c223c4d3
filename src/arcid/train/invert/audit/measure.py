"""How often pictures made of vectors pass for the person, and beside it how often people do.

Every rate is taken at a threshold of the recogniser's own calibration. Intervals resample people
(``arcid.evaluate``). Scores are cosines of single pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.embed import resized
from arcid.errors import RateUnsupported
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.intervals import clustered_rate, fmr_rate, fnmr_rate
from arcid.evaluate.metrics import Array, Rate, require_support, threshold_at_fmr
from arcid.evaluate.pairs import PairScores
from arcid.train.invert.audit.recognisers import Recogniser, Role
from arcid.train.invert.people import People
from arcid.types import Crops, FloatArray, Image

FMRS = (1e-3, 1e-4)


@dataclass(frozen=True, slots=True)
class Point:
    """Shares accepted at one threshold.

    ``same``: a picture against the photo whose vector it was made of; ``other``: against another
    photo of the person; ``stranger``: against photos of everybody else; ``genuine`` and
    ``impostor``: real photos against another one of the person, and of others. ``source``:
    "calibration", "extrapolated" beyond what it supports, or "these people": no calibration.
    """

    target_fmr: float
    cosine_threshold: float
    source: str
    same: Rate
    other: Rate
    stranger: Rate
    genuine: Rate
    impostor: Rate

    def to_dict(self) -> dict[str, Any]:
        rates = ("same", "other", "stranger", "genuine", "impostor")
        return {
            "target_fmr": self.target_fmr,
            "cosine_threshold": self.cosine_threshold,
            "source": self.source,
            **{name: getattr(self, name).to_dict() for name in rates},
        }


@dataclass(frozen=True, slots=True)
class Against:
    """What one recogniser takes the pictures for.

    ``cosines``: means of the five kinds of ``Point``. ``rank1``: pictures whose person comes first
    in a gallery of one other photo of each of ``gallery`` people; ``rank1_photos``: the same of the
    photos themselves; chance is 1 / ``gallery``.
    """

    recogniser: str
    role: Role
    cosines: Mapping[str, float]
    points: tuple[Point, ...]
    unsupported: tuple[str, ...]  # why a rate has no point
    rank1: Rate
    rank1_photos: Rate
    gallery: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "recogniser": self.recogniser,
            "role": self.role,
            "cosines": dict(self.cosines),
            "points": [point.to_dict() for point in self.points],
            "unsupported": list(self.unsupported),
            "rank1": self.rank1.to_dict(),
            "rank1_photos": self.rank1_photos.to_dict(),
            "gallery": self.gallery,
            "chance": 1 / self.gallery,
        }


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Seen:
    """(N,D), (G,D), (G,D) unit-norm vectors of pictures, photos and other photos; the first N of
    the G people are those attacked."""

    pictures: FloatArray
    photos: FloatArray
    others: FloatArray

    @classmethod
    def by(cls, recogniser: Recogniser, pictures: Image, people: People) -> Seen:
        """What a recogniser makes of them, no detector in between."""
        size = recogniser.embedder.size
        parts = [
            recogniser.embedder.embed(resized(Crops(pixels), size)).vectors
            for pixels in (pictures, people.photos, people.others)
        ]
        return cls(*parts)


def against(recogniser: Recogniser, seen: Seen, seed: int = 0) -> Against:
    """Rates, intervals and ranks of one recogniser. At least two people."""
    count, people = len(seen.pictures), len(seen.photos)
    own = np.arange(count)
    real = _cosines(seen.photos, seen.others)
    made = _cosines(seen.pictures, seen.others)
    same = np.einsum("nd,nd->n", seen.pictures, seen.photos[:count], dtype=np.float64)
    strange = ~np.eye(count, people, dtype=bool)
    rows, columns = np.indices(real.shape)
    pairs = PairScores.from_labels(real.ravel(), rows.ravel(), columns.ravel())
    boot = PairBootstrap(pairs, seed=seed)
    impostor = pairs.impostor
    points, unsupported = [], []
    for fmr in FMRS:
        try:
            cosine, source = _threshold(recogniser, impostor, fmr)
        except RateUnsupported as error:
            unsupported.append(error.message)
            continue
        missed = fnmr_rate(boot, cosine)
        points.append(
            Point(
                fmr, cosine, source,
                clustered_rate(same >= cosine, own, seed=seed),
                clustered_rate(made[own, own] >= cosine, own, seed=seed),
                clustered_rate((made >= cosine)[strange], np.nonzero(strange)[0], seed=seed),
                Rate(1 - missed.value, 1 - missed.high, 1 - missed.low,
                     missed.trials - missed.count, missed.trials, missed.resampled, missed.support),
                fmr_rate(boot, cosine),
            )
        )  # fmt: skip
    means = {
        "same": float(same.mean()), "other": float(made[own, own].mean()),
        "stranger": float(made[strange].mean()), "genuine": float(pairs.genuine.mean()),
        "impostor": float(impostor.mean()),
    }  # fmt: skip
    return Against(
        recogniser.name, recogniser.role, means, tuple(points), tuple(unsupported),
        clustered_rate(made.argmax(axis=1) == own, own, seed=seed),
        clustered_rate(real.argmax(axis=1)[:count] == own, own, seed=seed), people,
    )  # fmt: skip


def frechet(first: FloatArray, second: FloatArray) -> float:
    """Fréchet distance of two sets of vectors (N,D), (M,D), each taken as normally distributed.

    d² = |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) (Dowson & Landau 1982; Heusel et al. 2017 take it of
    Inception's features). Of few vectors it is too large: compare it with that of as many others.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    shift = a.mean(axis=0) - b.mean(axis=0)
    # with A, B centred and scaled, tr (Σ₁Σ₂)^½ is the sum of singular values of A Bᵀ
    left, right = (x - x.mean(axis=0) for x in (a, b))
    left, right = left / np.sqrt(max(len(a) - 1, 1)), right / np.sqrt(max(len(b) - 1, 1))
    common = np.linalg.svd(left @ right.T, compute_uv=False).sum()
    return float(shift @ shift + (left**2).sum() + (right**2).sum() - 2 * common)


def as_int8(vectors: FloatArray) -> FloatArray:
    """(N,D) unit-norm vectors as they come back from eight bits a number, one scale a vector."""
    scale = np.abs(vectors).max(axis=1, keepdims=True) / 127
    back = np.round(vectors / scale) * scale
    return np.asarray(back / np.linalg.norm(back, axis=1, keepdims=True), np.float32)


def _threshold(recogniser: Recogniser, impostor: Array, fmr: float) -> tuple[float, str]:
    if recogniser.calibration is not None:
        found = recogniser.calibration.threshold_at_fmr(fmr, allow_extrapolation=True)
        return found.cosine, "extrapolated" if found.extrapolated else "calibration"
    require_support(fmr, len(impostor))
    return threshold_at_fmr(impostor, fmr), "these people"


def _cosines(first: FloatArray, second: FloatArray) -> npt.NDArray[np.float64]:
    return first.astype(np.float64) @ second.T.astype(np.float64)


__all__ = ["FMRS", "Against", "Point", "Seen", "against", "as_int8", "frechet"]
