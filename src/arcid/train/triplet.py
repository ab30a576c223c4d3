"""Triplet losses and the P×K batches they need: P identities, K photos of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import ConfigError, DatasetInvalid, InvalidArray
from arcid.train.losses import TripletSpec, widen


class TripletLoss(nn.Module):
    """(B,D) features and (B,) labels in, scalar out; triplets are mined inside the batch.

    With d(a,b) = 1 − cos (``distance="cosine"``) or ‖x̂_a − x̂_b‖ (``"euclidean"``), margin m:

        hard      mean over anchors a of   [ m + max_p d(a,p) − min_n d(a,n) ]₊
                  (Hermans et al., In Defense of the Triplet Loss, 2017, eq. 5: batch hard)
        semihard  mean over pairs (a,p) of [ m + d(a,p) − d(a,n*) ]₊,  n* the nearest negative with
                  d(a,n) > d(a,p), or the farthest negative when there is none
                  (Schroff et al., FaceNet, CVPR 2015, sec. 3.2)

    p runs over other photos of a's identity, n over photos of others; anchors without either are
    left out. Distances are float32 whatever the features' type. Raises ``InvalidArray`` when the
    batch holds no triplet at all.
    """

    def __init__(self, config: TripletSpec) -> None:
        super().__init__()
        self.config = config

    def distances(self, features: Tensor) -> Tensor:
        """(B,B) distances of (B,D) features."""
        x = F.normalize(widen(features), dim=1)
        cosine = x @ x.T
        if self.config.distance == "cosine":
            return 1 - cosine
        return (2 - 2 * cosine).clamp_min(1e-8).sqrt()

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        if features.ndim != 2 or labels.shape != features.shape[:1]:
            raise InvalidArray(
                f"need (B,D) features and (B,) labels, got {tuple(features.shape)} and "
                f"{tuple(labels.shape)}"
            )
        with torch.autocast(features.device.type, enabled=False):
            distance = self.distances(features)
        same = labels[:, None] == labels[None]
        positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        anchors = positive.any(dim=1) & (~same).any(dim=1)
        if not bool(anchors.any()):
            raise InvalidArray(
                "no triplet in the batch: it needs two photos of one identity and one of another; "
                "draw batches with PKSampler"
            )
        mine = self._hard if self.config.mining == "hard" else self._semihard
        gaps = mine(distance[anchors], positive[anchors], ~same[anchors])
        return F.relu(self.config.margin + gaps).mean()

    @staticmethod
    def _hard(distance: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        farthest = distance.masked_fill(~positive, -torch.inf).amax(dim=1)
        nearest = distance.masked_fill(~negative, torch.inf).amin(dim=1)
        return farthest - nearest

    @staticmethod
    def _semihard(distance: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        fallback = distance.masked_fill(~negative, -torch.inf).amax(dim=1)
        gaps = []
        for j in torch.nonzero(positive.any(dim=0))[:, 0].tolist():
            pairs = positive[:, j]
            ap, to_all = distance[pairs, j], distance[pairs]
            beyond = negative[pairs] & (to_all > ap[:, None])
            nearest = to_all.masked_fill(~beyond, torch.inf).amin(dim=1)
            gaps.append(ap - torch.where(beyond.any(dim=1), nearest, fallback[pairs]))
        return torch.cat(gaps)


class PKSampler:
    """Batches of P identities × K photos as lists of sample numbers: a ``batch_sampler``.

    ``labels`` (N,) identity of every sample. In an epoch every identity comes once, in random
    order; an identity with fewer than K photos repeats some. The order depends on (seed, epoch)
    alone, ranks take turns with batches, and each gets the same number; the remainder is dropped.
    ``start_batch`` skips batches already seen, to resume. Raises ``DatasetInvalid`` when there are
    fewer identities than one batch per rank needs.
    """

    def __init__(
        self,
        labels: Sequence[int] | npt.NDArray[Any],
        p: int,
        k: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if p < 2 or k < 2:
            raise ConfigError(f"triplets need p ≥ 2 identities of k ≥ 2 photos, got {p} and {k}")
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank must lie in 0..{world_size - 1}, got {rank}")
        ids = np.asarray(labels)
        order = np.argsort(ids, kind="stable")
        _, starts = np.unique(ids[order], return_index=True)
        self._photos = np.split(order, starts[1:]) if len(ids) else []
        if len(self._photos) < p * world_size:
            raise DatasetInvalid(
                f"{len(self._photos)} identities cannot fill a batch of {p} on each of "
                f"{world_size} ranks; lower p"
            )
        self.p, self.k, self.seed = p, k, seed
        self.rank, self.world_size = rank, world_size
        self.epoch, self.start_batch = 0, 0

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        self.epoch, self.start_batch = epoch, start_batch

    def __len__(self) -> int:
        return len(self._photos) // (self.p * self.world_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self._photos))
        for batch in range(self.start_batch, len(self)):
            number = batch * self.world_size + self.rank
            rng = np.random.default_rng([self.seed, self.epoch, number])
            people = order[number * self.p : (number + 1) * self.p]
            yield [int(i) for person in people for i in self._draw(self._photos[person], rng)]

    def _draw(self, photos: npt.NDArray[np.intp], rng: np.random.Generator) -> npt.NDArray[np.intp]:
        if len(photos) >= self.k:
            return rng.choice(photos, self.k, replace=False)
        extra = rng.choice(photos, self.k - len(photos))
        return np.concatenate([rng.permutation(photos), extra])


__all__ = ["PKSampler", "TripletLoss"]
