"""How a distilled student uses its dimensions: effective rank on photos it should not know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from arcid.train.data.dataset import open_data
from arcid.train.data.features import embed, read_crops
from arcid.train.objectives.distil import effective_rank
from arcid.train.weights.restore import restore_backbone

PHOTOS = 1000


@dataclass(frozen=True, slots=True)
class StudentReport:
    """``effective_rank`` of unit-norm embeddings, 1 to ``dim``; ``photos`` of the kind ``which``.

    It cannot exceed the number of photos either.
    """

    effective_rank: float
    dim: int
    photos: int
    which: str


def measure_student(run: Path, photos: int = PHOTOS) -> StudentReport:
    """The newest checkpoint of ``run`` on at most ``photos`` crops.

    Identities held out whole come first, then photos held out of their classes; without either,
    photos that were trained on, and ``which`` says so.
    """
    restored = restore_backbone(run)
    data = open_data(restored.config.data, need_identities=False)
    choices = (
        (data.held, "of identities held out"),
        (data.holdout, "held out"),
        (data.unlabelled, "without identity, trained on"),
        (data.train, "trained on"),
    )
    samples, which = next((c, w) for c, w in choices if len(c) or c is data.train)
    order = np.sort(np.random.default_rng(0).permutation(len(samples))[:photos])
    pixels, _ = read_crops(samples.take(order))
    features = embed(restored.backbone, pixels, torch.device("cpu"))
    rank = effective_rank(F.normalize(features, dim=1))
    return StudentReport(rank, features.shape[1], len(pixels), which)


__all__ = ["PHOTOS", "StudentReport", "measure_student"]
