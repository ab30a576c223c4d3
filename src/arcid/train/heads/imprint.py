"""Class-weight imprinting: centres that start at the mean feature of their identity.

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

from arcid.train.data.dataset import SampleSet
from arcid.train.data.features import embed_samples
from arcid.train.heads.classifier import INITIAL_STD, Classifier

_ROUNDS = 20


@torch.no_grad()
def imprint(centres: Classifier, backbone: nn.Module, samples: SampleSet) -> None:
    """Lay this rank's centres. Unreadable photos do not count.

    Each rank looks at the photos of its own classes only, so nothing is exchanged. An identity of
    whom nothing can be read keeps its fresh centre, as do sub-centres beyond its photos.
    """
    device = centres.weight.device
    mine = np.flatnonzero(
        (samples.labels >= centres.classes.start) & (samples.labels < centres.classes.stop)
    )
    was_training = backbone.training
    found, rows = [], []
    for features, read, _ in embed_samples(backbone.eval(), samples, mine, device):
        if read:
            found.append(F.normalize(features, dim=1))
            rows += read
    backbone.train(was_training)
    if not rows:
        return
    labels = torch.from_numpy(samples.labels[rows] - centres.classes.start)
    order = labels.argsort(stable=True)
    counts = torch.bincount(labels, minlength=len(centres.classes)).tolist()
    length = INITIAL_STD * math.sqrt(centres.dim)
    for row, own in enumerate(torch.split(torch.cat(found)[order], counts)):
        laid = length * means(own, centres.k).to(centres.weight.dtype)
        centres.weight[row, : len(laid), : centres.dim] = laid


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


__all__ = ["imprint", "means"]
