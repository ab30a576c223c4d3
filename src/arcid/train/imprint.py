"""Class centres laid where a ready network already sees the identities (``classifier.start``).

Fresh centres are random, and a network that knows its photos would be pulled apart until they are
found. Imprinted ones begin at the mean embedding of their identity (Qi et al., "Low-Shot Learning
with Imprinted Weights", CVPR 2018); K sub-centres at K means of its photos, the largest group
first. They keep the length of fresh ones, so that a learning rate means the same.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.train.classifier import INITIAL_STD, Classifier
from arcid.train.data.chips import Unusable, centre
from arcid.train.data.dataset import ChipSet
from arcid.train.validate import embed

_READ = 512  # photos held in memory at once
_ROUNDS = 20


@torch.no_grad()
def imprint(centres: Classifier, backbone: nn.Module, chips: ChipSet, size: int) -> int:
    """Lay this rank's centres; how many photos they stand for. Unreadable photos do not count.

    Each rank looks at the photos of its own classes only, so nothing is exchanged. An identity of
    whom nothing can be read keeps its fresh centre, as do sub-centres beyond its photos.
    """
    device = centres.weight.device
    mine = np.flatnonzero(
        (chips.labels >= centres.classes.start) & (chips.labels < centres.classes.stop)
    )
    features, labels = _embedded(backbone, chips, mine, size, device)
    order = labels.argsort(stable=True)
    counts = torch.bincount(labels - centres.classes.start, minlength=len(centres.classes)).tolist()
    length = INITIAL_STD * math.sqrt(centres.dim)
    for row, own in enumerate(torch.split(features[order], counts)):
        found = means(own, centres.k)
        centres.weight[row, : len(found), : centres.dim] = length * found.to(centres.weight.dtype)
    return len(features)


def means(vectors: Tensor, k: int) -> Tensor:
    """(N,D) unit-norm in; (min(k,N),D) unit-norm means by spherical k-means, largest first.

    The first begins at the mean of all, every next at the vector farthest from those before, so
    the same vectors give the same means (Dhillon and Modha, Machine Learning 2001).
    """
    if not len(vectors):
        return vectors
    found = F.normalize(vectors.mean(0, keepdim=True), dim=1)
    for _ in range(min(k, len(vectors)) - 1):
        farthest = (vectors @ found.T).amax(1).argmin()
        found = torch.cat([found, vectors[farthest, None]])
    nearest = (vectors @ found.T).argmax(1)
    for _ in range(_ROUNDS):
        sums = torch.zeros_like(found).index_add_(0, nearest, vectors)
        kept = torch.bincount(nearest, minlength=len(found))[:, None] > 0
        found = torch.where(kept, F.normalize(sums, dim=1), found)
        before, nearest = nearest, (vectors @ found.T).argmax(1)
        if torch.equal(before, nearest):
            break
    sizes = torch.bincount(nearest, minlength=len(found))
    return found[sizes.argsort(descending=True, stable=True)]


def _embedded(
    backbone: nn.Module, chips: ChipSet, rows: np.ndarray, size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(M,D) unit-norm float32 and (M,) labels of the readable photos among ``rows``."""
    was_training = backbone.training
    backbone.eval()
    features, labels = [torch.zeros(0, 1, device=device)], []
    for start in range(0, len(rows), _READ):
        pixels = []
        for row in rows[start : start + _READ].tolist():
            try:
                pixels.append(centre(chips.store.read(int(chips.rows[row])), size))
            except Unusable:
                continue
            labels.append(int(chips.labels[row]))
        if pixels:
            features.append(F.normalize(embed(backbone, np.stack(pixels), device), dim=1))
    backbone.train(was_training)
    some = features[1:] or features
    return torch.cat(some), torch.tensor(labels, dtype=torch.int64, device=device)


__all__ = ["imprint", "means"]
