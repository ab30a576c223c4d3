"""Margins on cosines: the core that every softmax loss here shares.

Notation: x_i is a feature, W_j the centre of class j (of K sub-centres the nearest), both of unit
length; cos θ_j = W_j · x_i, y the class of x_i, s the scale. Every softmax loss here is

    L = −log  exp(z_y) / ( exp(z_y) + Σ_{j≠y} exp(z_j) ),      z_j = s·cos θ_j for j ≠ y
    z_y = s·( ψ(m1·θ_y + m2) − m3 ),                            the combined margin

and a name in ``arcid.train.objectives.losses`` is a choice of (m1, m2, m3, s). The families that
adapt (AdaFace, MagFace, CurricularFace) hand the same core margins of their own for every sample.

ψ continues the cosine monotonically (Liu et al., SphereFace, CVPR 2017, eq. 7, here for any
angle): ψ(φ) = (−1)^k·cos φ − 2k with k = ⌊φ/π⌋, so a sample at θ + m > π is still pushed the
right way.

The gradient runs *through* the margin: ∂ψ/∂cos θ = m1·(−1)^k·sin(φ)/sin(θ). It is infinite at
cos θ = ±1 when m2 ≠ 0, so there θ is held ``ANGLE_MARGIN`` radians inside (0, π), in the gradient
only. What reaches the feature is (∂ψ/∂cos θ)·sin θ = m1·sin φ and stays below m1 in any case.
Angles, exponentials and sums are float32 (float64 for float64 input) whatever the input's type.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from arcid.errors import InvalidArray
from arcid.train.config.section import Section, key
from arcid.train.heads.collective import call

#: Radians that θ is held inside (0, π) when the gradient of the margin is taken: it bounds
#: ∂ψ/∂cos θ by m1/ANGLE_MARGIN. float32 cannot tell angles below 3.5e-4 from 0.
ANGLE_MARGIN = 1e-3


def widen(x: Tensor) -> Tensor:
    """float16 and bfloat16 to float32; wider types as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class _MarginCosine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cosine: Tensor, m1: float, m2: Tensor, m3: Tensor) -> Tensor:
        theta = torch.acos(cosine.clamp(-1, 1))
        phi = m1 * theta + m2
        k = torch.floor(phi / math.pi)
        sign = 1 - 2 * torch.remainder(k, 2)
        ctx.m1 = m1
        ctx.save_for_backward(theta, m2)
        ctx.shapes = (m2.shape, m3.shape)
        return sign * torch.cos(phi) - 2 * k - m3

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        theta, m2 = ctx.saved_tensors
        theta = theta.clamp(ANGLE_MARGIN, math.pi - ANGLE_MARGIN)
        phi = ctx.m1 * theta + m2
        slope = (1 - 2 * torch.remainder(torch.floor(phi / math.pi), 2)) * torch.sin(phi)
        into_m2 = (-grad * slope).sum_to_size(ctx.shapes[0]) if ctx.needs_input_grad[2] else None
        into_m3 = (-grad).sum_to_size(ctx.shapes[1]) if ctx.needs_input_grad[3] else None
        return grad * ctx.m1 * slope / torch.sin(theta), None, into_m2, into_m3


def margin_cosine(
    cosine: Tensor, m1: float = 1.0, m2: float | Tensor = 0.0, m3: float | Tensor = 0.0
) -> Tensor:
    """ψ(m1·θ + m2) − m3 for cosines of any shape; float32 or float64 out.

    ``m2`` (radians) and ``m3`` may be tensors that broadcast, one margin for each sample, and
    receive gradients. ψ and the bound on its gradient at ±1: see the module. Source: Deng et al.,
    ArcFace, eq. 4 (combined margin), with a continuation beyond π.
    """
    cosine = widen(cosine)
    if m1 == 1.0 and isinstance(m2, float | int) and m2 == 0:
        return cosine - m3
    out: Tensor = call(
        _MarginCosine,
        cosine,
        float(m1),
        torch.as_tensor(m2, dtype=cosine.dtype, device=cosine.device),
        torch.as_tensor(m3, dtype=cosine.dtype, device=cosine.device),
    )
    return out


def straight_through(cosine: Tensor, m2: float, m3: float) -> Tensor:
    """cos(θ + m2) − m3 forward, as if it were the cosine itself backward: arcface_torch's margins.

    ψ does not continue beyond π here, and a hard sample is pulled no less than an easy one.
    """
    cosine = widen(cosine)
    with torch.no_grad():
        shift = torch.cos(torch.acos(cosine.clamp(-1, 1)) + m2) - cosine if m2 else 0.0
    return cosine + shift - m3


@dataclass(frozen=True)
class Target:
    """What a loss makes of the samples' own classes.

    ``logit``   (B,) z_y, with gradient
    ``pivot``   (B,) cosine beyond which a negative counts as hard, or None when all count alike
    ``penalty`` (B,) added to the sample's cross-entropy, or None
    """

    logit: Tensor
    pivot: Tensor | None = None
    penalty: Tensor | None = None


class ClassificationLoss(nn.Module, ABC):
    """A softmax loss in the parts a sharded classifier needs; ``forward`` puts them together.

    Negatives are modulated element by element (``negatives``, ``negative_slope``) so that the
    classifier can walk over classes in chunks and recompute them in backward.
    """

    #: False only for plain softmax: logits are W·x + b rather than cosines.
    normalised: bool = True

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def observe(self, cosine: Tensor, norms: Tensor) -> None:
        """Take a training batch's (B,) target cosines and feature norms into running statistics.

        Called before ``target``, on the global batch, so that every rank keeps the same values.
        """

    @abstractmethod
    def target(self, cosine: Tensor, norms: Tensor) -> Target:
        """(B,) cosines to the own class and (B,) feature norms in, ``Target`` out."""

    def negatives(self, cosine: Tensor, pivot: Tensor | None) -> Tensor:
        """z_j for (B,C) cosines to other classes; −inf stays −inf."""
        return cosine * self.scale

    def negative_slope(self, cosine: Tensor, pivot: Tensor | None) -> Tensor | float:
        """∂z_j/∂cos θ_j, same arguments."""
        return self.scale

    def forward(self, cosine: Tensor, labels: Tensor, norms: Tensor | None = None) -> Tensor:
        """Mean loss from the whole (B,C) or, with sub-centres, (B,C,K) cosine matrix.

        ``labels`` (B,) int64; ``norms`` (B,) lengths of the features, needed by AdaFace and
        MagFace. For plain softmax the matrix holds logits. The classifier computes the same value
        without ever holding this matrix.
        """
        cosine = widen(cosine)
        if cosine.ndim == 3:
            cosine = cosine.amax(dim=2)
        if cosine.ndim != 2 or labels.shape != cosine.shape[:1]:
            raise InvalidArray(
                f"cosines must be (B,C) or (B,C,K) and labels (B,), got {tuple(cosine.shape)} "
                f"and {tuple(labels.shape)}"
            )
        norms = torch.ones_like(cosine[:, 0]) if norms is None else norms.to(cosine.dtype)
        own = cosine.gather(1, labels[:, None])[:, 0]
        if self.training:
            self.observe(own.detach(), norms.detach())
        target = self.target(own, norms)
        logits = self.negatives(cosine, target.pivot)
        logits = logits.scatter(1, labels[:, None], target.logit[:, None].to(logits.dtype))
        losses = F.cross_entropy(logits, labels, reduction="none")
        return (losses if target.penalty is None else losses + target.penalty).mean()


class LossSpec(Section, ABC):
    """Base of the settings of a loss; ``build()`` makes the loss."""

    k: int = key(1, "sub-centres a class that it was published with", ge=1)

    @abstractmethod
    def build(self) -> nn.Module:
        """The loss with these settings."""


__all__ = [
    "ANGLE_MARGIN",
    "ClassificationLoss",
    "LossSpec",
    "Target",
    "margin_cosine",
    "straight_through",
    "widen",
]
