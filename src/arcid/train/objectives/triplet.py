"""Triplet losses: no class centres, triplets are mined inside a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import ConfigError, InvalidArray
from arcid.train.heads.margin import LossSpec, widen


@dataclass(frozen=True)
class TripletSpec(LossSpec):
    """Triplets of a batch; ``margin`` on ``distance``, ``mining`` hard or semihard.

    See ``TripletLoss`` for the equations.
    """

    margin: float = 0.35
    mining: str = "hard"
    distance: str = "cosine"

    def __post_init__(self) -> None:
        if self.k != 1:
            raise ConfigError(f"triplets have no class centres: k must be 1, got {self.k}")
        if not 0 < self.margin < 4:
            raise ConfigError(f"margin must lie in (0, 4), got {self.margin}")
        if self.mining not in ("hard", "semihard"):
            raise ConfigError(f"mining must be hard or semihard, got {self.mining!r}")
        if self.distance not in ("cosine", "euclidean"):
            raise ConfigError(f"distance must be cosine or euclidean, got {self.distance!r}")

    def build(self) -> TripletLoss:
        return TripletLoss(self)


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


__all__ = ["TripletLoss", "TripletSpec"]
