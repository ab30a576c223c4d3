"""Softmax losses: plain, with fixed margins, and with margins that adapt to every sample.

The notation is that of ``arcid.train.heads.margin``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from arcid.errors import InvalidArray
from arcid.train.config.section import key, refuse
from arcid.train.heads.margin import (
    ClassificationLoss,
    LossSpec,
    Target,
    margin_cosine,
    straight_through,
)


class SoftmaxSpec(LossSpec):
    """Plain softmax: z_j = W_j·x_i + b_j, nothing normalised, no margin, no sub-centres."""

    def check(self) -> None:
        if self.k != 1:
            refuse("k", f"must be 1, plain softmax has no sub-centres, got {self.k}")

    def build(self) -> ClassificationLoss:
        return SoftmaxLoss()


class SoftmaxLoss(ClassificationLoss):
    """L = −log softmax(W·x + b)_y. The baseline of every paper."""

    normalised = False

    def __init__(self) -> None:
        super().__init__(1.0)

    def target(self, cosine: Tensor, norms: Tensor) -> Target:
        return Target(cosine)


class MarginSpec(LossSpec):
    """z_y = s·(ψ(m1·θ_y + m2) − m3); ``straight_through`` for ``parity: arcface_torch``.

    | name             | m1   | m2  | m3   | s  | source                                          |
    |------------------|------|-----|------|----|-------------------------------------------------|
    | normface         | 1    | 0   | 0    | 20 | Wang et al., NormFace, ACM MM 2017              |
    | sphereface       | 1.35 | 0   | 0    | 64 | Liu et al., CVPR 2017; 1.35 from ArcFace, tab. 2 |
    | cosface          | 1    | 0   | 0.35 | 64 | Wang et al., CosFace, CVPR 2018                 |
    | arcface          | 1    | 0.5 | 0    | 64 | Deng et al., ArcFace, CVPR 2019 / TPAMI 2021    |
    | cm1              | 1    | 0.3 | 0.2  | 64 | ArcFace, eq. 4 and tab. 2                       |
    | cm2              | 0.9  | 0.4 | 0.15 | 64 | the same                                        |
    | subcenter_arcface | 1   | 0.5 | 0    | 64 | Deng et al., ECCV 2020: cos θ_j = max over k=3  |
    """

    m1: float = key(1.0, "multiplies the angle", gt=0, lt=10)
    m2: float = key(0.0, "added to the angle, in radians", ge=0, lt=math.pi)
    m3: float = key(0.0, "taken from the cosine", ge=0, lt=2)
    s: float = key(64.0, "scale", gt=0)
    straight_through: bool = key(False, "the gradient passes the margin by")

    def check(self) -> None:
        if self.straight_through and (self.m1 != 1 or (self.m2 and self.m3)):
            refuse(
                "",
                "arcface_torch has one margin at a time, m2 or m3, and m1 = 1; got "
                f"m1={self.m1:g}, m2={self.m2:g}, m3={self.m3:g}",
            )

    def build(self) -> ClassificationLoss:
        return MarginLoss(self)


class MarginLoss(ClassificationLoss):
    """The combined margin with fixed (m1, m2, m3): see ``MarginSpec``."""

    def __init__(self, config: MarginSpec) -> None:
        super().__init__(config.s)
        self.config = config

    def target(self, cosine: Tensor, norms: Tensor) -> Target:
        c = self.config
        if c.straight_through:
            return Target(c.s * straight_through(cosine, c.m2, c.m3))
        return Target(c.s * margin_cosine(cosine, c.m1, c.m2, c.m3))


class AdaFaceSpec(LossSpec):
    """Settings of ``AdaFaceLoss``."""

    m: float = key(0.4, "margin")
    h: float = key(0.333, "concentration")
    s: float = key(64.0, "scale", gt=0)
    momentum: float = key(0.01, "step of the running mean and deviation", gt=0, le=1)

    def build(self) -> ClassificationLoss:
        return AdaFaceLoss(self)


class AdaFaceLoss(ClassificationLoss):
    """Kim et al., AdaFace, CVPR 2022: the feature's norm stands for image quality.

        q   = clip( (‖x‖ − μ) / (σ + 1e-3) · h, −1, 1 )          no gradient
        z_y = s·( ψ(θ_y − m·q) − (m·q + m) )

    μ, σ: EMA of the batch's mean and standard deviation of norms (clipped to [1e-3, 100]), starting
    at 20 and 100. Where θ_y − m·q leaves [0, π] the paper's code clips the angle and so its
    gradient; here ψ continues.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: AdaFaceSpec) -> None:
        super().__init__(config.s)
        self.config = config
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("std", torch.tensor(100.0))

    def observe(self, cosine: Tensor, norms: Tensor) -> None:
        if len(norms) < 2:
            return
        norms = norms.clamp(1e-3, 100)
        self.mean.lerp_(norms.mean().to(self.mean.dtype), self.config.momentum)
        self.std.lerp_(norms.std().to(self.std.dtype), self.config.momentum)

    def target(self, cosine: Tensor, norms: Tensor) -> Target:
        c = self.config
        norms = norms.detach().clamp(1e-3, 100)
        quality = ((norms - self.mean) / (self.std + 1e-3) * c.h).clamp(-1, 1)
        return Target(c.s * margin_cosine(cosine, 1.0, -c.m * quality, c.m * quality + c.m))


class MagFaceSpec(LossSpec):
    """Settings of ``MagFaceLoss``."""

    m_low: float = key(0.45, "least margin, in radians")
    m_high: float = key(0.8, "largest margin")
    a_low: float = key(10.0, "length with the least margin", gt=0)
    a_high: float = key(110.0, "length with the largest")
    weight: float = key(35.0, "λ_g, of the pull towards long features")
    s: float = key(64.0, "scale", gt=0)

    def check(self) -> None:
        if not self.a_low < self.a_high:
            refuse("a_low", f"must be below a_high={self.a_high:g}, got {self.a_low:g}")

    def build(self) -> ClassificationLoss:
        return MagFaceLoss(self)


class MagFaceLoss(ClassificationLoss):
    """Meng et al., MagFace, CVPR 2021: the margin grows with the feature's norm a = ‖x‖.

        m(a) = m_low + (m_high − m_low)·(a − a_low)/(a_high − a_low)
        L    = −log softmax with z_y = s·ψ(θ_y + m(a))  +  λ_g·( a/a_high² + 1/a )

    a is clipped to [a_low, a_high]; inside, gradients reach the norm.
    """

    def __init__(self, config: MagFaceSpec) -> None:
        super().__init__(config.s)
        self.config = config

    def target(self, cosine: Tensor, norms: Tensor) -> Target:
        c = self.config
        a = norms.clamp(c.a_low, c.a_high)
        margin = c.m_low + (c.m_high - c.m_low) * (a - c.a_low) / (c.a_high - c.a_low)
        penalty = c.weight * (a / c.a_high**2 + 1 / a)
        return Target(c.s * margin_cosine(cosine, 1.0, margin), penalty=penalty)


class CurricularSpec(LossSpec):
    """Settings of ``CurricularFaceLoss``."""

    m: float = key(0.5, "margin, in radians")
    s: float = key(64.0, "scale", gt=0)
    momentum: float = key(0.01, "step of the running mean cosine", gt=0, le=1)

    def build(self) -> ClassificationLoss:
        return CurricularFaceLoss(self)


class CurricularFaceLoss(ClassificationLoss):
    """Huang et al., CurricularFace, CVPR 2020: hard negatives weigh more as training goes on.

        z_y = s·ψ(θ_y + m)
        z_j = s·cos θ_j                  when cos θ_j ≤ ψ(θ_y + m)
              s·cos θ_j·(t + cos θ_j)    otherwise (a hard negative)

    t: EMA of the batch's mean cos θ_y, starting at 0; neither t nor the case has a gradient.
    """

    t: Tensor

    def __init__(self, config: CurricularSpec) -> None:
        super().__init__(config.s)
        self.config = config
        self.register_buffer("t", torch.tensor(0.0))

    def observe(self, cosine: Tensor, norms: Tensor) -> None:
        self.t.lerp_(cosine.mean().to(self.t.dtype), self.config.momentum)

    def target(self, cosine: Tensor, norms: Tensor) -> Target:
        own = margin_cosine(cosine, 1.0, self.config.m)
        return Target(self.config.s * own, pivot=own.detach())

    def negatives(self, cosine: Tensor, pivot: Tensor | None) -> Tensor:
        hard = self._hard(cosine, pivot)
        return self.scale * torch.where(hard, cosine * (self.t + cosine), cosine)

    def negative_slope(self, cosine: Tensor, pivot: Tensor | None) -> Tensor | float:
        one = torch.ones((), dtype=cosine.dtype, device=cosine.device)
        hard = self._hard(cosine, pivot)
        return self.scale * torch.where(hard, self.t + 2 * cosine, one)

    @staticmethod
    def _hard(cosine: Tensor, pivot: Tensor | None) -> Tensor:
        if pivot is None:
            raise InvalidArray("CurricularFace needs the pivot that target() returned")
        return cosine.detach() > pivot[:, None]


__all__ = [
    "AdaFaceLoss",
    "AdaFaceSpec",
    "CurricularFaceLoss",
    "CurricularSpec",
    "MagFaceLoss",
    "MagFaceSpec",
    "MarginLoss",
    "MarginSpec",
    "SoftmaxLoss",
    "SoftmaxSpec",
]
