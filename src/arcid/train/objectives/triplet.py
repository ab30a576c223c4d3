"""Triplet losses: no class centres, triplets are mined inside a batch."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import InvalidArray
from arcid.train.config.section import key, refuse
from arcid.train.heads.margin import LossSpec, widen


class TripletSpec(LossSpec):
    """Settings of ``TripletLoss``."""

    margin: float = key(0.35, "on the distance", gt=0, lt=4)
    mining: Literal["hard", "semihard"] = key("hard", "which triplets of a batch")
    distance: Literal["cosine", "euclidean"] = key("cosine", "between unit features")

    def check(self) -> None:
        if self.k != 1:
            refuse("k", f"must be 1, triplets have no class centres, got {self.k}")

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
                "set data.per_identity"
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
