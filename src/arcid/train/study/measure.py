"""What is measured on a finished network: closed set by class means, verification on strangers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from arcid.errors import ConfigError, DatasetInvalid
from arcid.evaluate.metrics import Array, IndexArray
from arcid.evaluate.protocols.all_pairs import all_pairs
from arcid.train.config.recipe import DataConfig
from arcid.train.data.dataset import SampleSet, open_data
from arcid.train.data.features import embed, read_crops
from arcid.train.data.stream import turns
from arcid.types import FloatArray, Image

MOST_PHOTOS = 4000  # all pairs of so many still fit in memory


@dataclass(frozen=True, eq=False)
class Photos:
    """Centre crops (N,S,S,3) uint8 RGB of labelled photos; unreadable ones are left out."""

    pixels: Image = field(repr=False)
    labels: IndexArray = field(repr=False)  # (N,) int64

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Measured:
    """Photos of one round: of the trained identities, held out of them, and of strangers."""

    train: Photos
    holdout: Photos
    strangers: Photos
    identities: int = 0  # trained on
    photos: int = 0  # of them, whether in ``train`` or not


@dataclass(frozen=True, eq=False)
class Verification:
    """All pairs of strangers. ``samples`` (B,): TAR of the bootstrap over people."""

    tar: float
    eer: float
    auc: float
    samples: Array


def prepare(
    config: DataConfig,
    *,
    photos_each: int = 0,
    closed_photos: int = 0,
    strangers: Photos | None = None,
) -> Measured:
    """Read what is measured of a run's data; the same photos whatever loss and seed.

    ``strangers`` read before are taken as they are. Raises what ``open_data`` raises and
    ``ConfigError`` where the held-out identities have too many photos for all their pairs.
    """
    data = open_data(config.but(cache="none"))
    if strangers is None:
        strangers = Photos(*read_crops(some_of_each(data.held, photos_each)))
        check_strangers(strangers)
    return Measured(
        Photos(*read_crops(some(data.train, closed_photos))),
        Photos(*read_crops(some(data.holdout, closed_photos))),
        strangers,
        len(data.classes),
        len(data.train),
    )


def check_strangers(strangers: Photos) -> None:
    """Raises ``ConfigError`` above ``MOST_PHOTOS``, ``DatasetInvalid`` without genuine pairs."""
    if len(strangers) > MOST_PHOTOS:
        raise ConfigError(
            f"the held-out identities have {len(strangers)} photos, all pairs of at most "
            f"{MOST_PHOTOS} are compared; lower photos_each or data.holdout_identities"
        )
    counts = np.bincount(strangers.labels) if len(strangers) else np.zeros(1)
    if (counts > 0).sum() < 2 or counts.max() < 2:
        raise DatasetInvalid(
            "the held-out identities have no pair of photos; raise data.holdout_identities"
        )


def some(samples: SampleSet, limit: int) -> SampleSet:
    """At most ``limit`` photos, 0 all; the same in every call."""
    if not limit or len(samples) <= limit:
        return samples
    rows = np.sort(np.random.default_rng((0, 21)).choice(len(samples), limit, replace=False))
    return samples.take(rows)


def some_of_each(samples: SampleSet, limit: int) -> SampleSet:
    """At most ``limit`` photos of every identity, 0 all; the same in every call."""
    if not limit:
        return samples
    lots = np.random.default_rng((0, 22)).random(len(samples))
    order = np.lexsort((lots, samples.labels))
    rows = np.sort(order[turns(samples.labels[order]) < limit])
    return samples.take(rows)


def unit_features(backbone: nn.Module, photos: Photos) -> FloatArray:
    """(N,D) float32 unit-norm features."""
    device = next(backbone.parameters(), torch.zeros(0)).device
    found: FloatArray = F.normalize(embed(backbone, photos.pixels, device), dim=1).numpy(force=True)
    return found


def verification(
    backbone: nn.Module, strangers: Photos, fmr: float, *, replicates: int = 1000, seed: int = 0
) -> Verification:
    """All pairs of ``strangers``; replicates draw people, the same ones for every network."""
    vectors = unit_features(backbone, strangers)
    return verify_vectors(vectors, strangers.labels, fmr, replicates=replicates, seed=seed)


def verify_vectors(
    vectors: FloatArray,
    labels: IndexArray,
    fmr: float,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Verification:
    """``verification`` of (N,D) unit vectors made before."""
    stats = all_pairs(vectors, labels, top=len(labels) ** 2)
    boot = stats.replicates(replicates, seed)
    tar = 1 - float(stats.fnmr(stats.threshold_at_fmr(fmr))[0])
    return Verification(tar, stats.eer[0], stats.auc, boot.tar_at_fmr([fmr])[:, 0])


def closed_set(
    train: FloatArray, train_labels: IndexArray, other: FloatArray, other_labels: IndexArray
) -> tuple[float, float]:
    """Share of photos nearest to the mean of their own class, (training, other) photos.

    Means are over training photos; a training photo's own class is the mean of its others, so
    classes with a single one are left out. Works for losses without class centres too. NaN where
    there are no photos.
    """
    classes = int(max(train_labels.max(initial=-1), other_labels.max(initial=-1))) + 1
    sums = np.zeros((classes, train.shape[1]))
    np.add.at(sums, train_labels, train.astype(np.float64))
    counts = np.bincount(train_labels, minlength=classes)
    means = _unit(sums)
    scores = train @ means.T
    rows = np.arange(len(train))
    others = _unit(sums[train_labels] - train)
    scores[rows, train_labels] = np.einsum("nd,nd->n", train, others)
    usable = counts[train_labels] > 1
    hit = scores.argmax(axis=1) == train_labels
    known = counts[other_labels] > 0 if len(other) else np.zeros(0, bool)
    right = (other @ means.T).argmax(axis=1) == other_labels if len(other) else known
    return (
        float(hit[usable].mean()) if usable.any() else float("nan"),
        float(right[known].mean()) if known.any() else float("nan"),
    )


def _unit(rows: Array) -> Array:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), np.float64)


__all__ = [
    "MOST_PHOTOS",
    "Measured",
    "Photos",
    "Verification",
    "check_strangers",
    "closed_set",
    "prepare",
    "some",
    "some_of_each",
    "unit_features",
    "verification",
    "verify_vectors",
]
