"""Margin losses on cosines: one core, many names.

Notation: x_i is a feature, W_j the centre of class j (of K sub-centres the nearest), both of unit
length; cos θ_j = W_j · x_i, y the class of x_i, s the scale. Every softmax loss here is

    L = −log  exp(z_y) / ( exp(z_y) + Σ_{j≠y} exp(z_j) ),      z_j = s·cos θ_j for j ≠ y
    z_y = s·( ψ(m1·θ_y + m2) − m3 ),                            the combined margin

and a name in ``LOSSES`` is a choice of (m1, m2, m3, s). The families that adapt (AdaFace, MagFace,
CurricularFace) hand the same core margins of their own for every sample.

ψ continues the cosine monotonically (Liu et al., SphereFace, CVPR 2017, eq. 7, here for any
angle): ψ(φ) = (−1)^k·cos φ − 2k with k = ⌊φ/π⌋, so a sample at θ + m > π is still pushed the
right way.

The gradient runs *through* the margin: ∂ψ/∂cos θ = m1·(−1)^k·sin(φ)/sin(θ). It is infinite at
cos θ = ±1 when m2 ≠ 0, so there θ is held ``ANGLE_MARGIN`` radians inside (0, π), in the gradient
only. What reaches the feature is (∂ψ/∂cos θ)·sin θ = m1·sin φ and stays below m1 in any case.
Angles, exponentials and sums are float32 (float64 for float64 input) whatever the input's type.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from arcid.errors import ConfigError, InvalidArray
from arcid.train.collective import call

if TYPE_CHECKING:
    from arcid.train.triplet import TripletLoss

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


@dataclass(frozen=True)
class LossSpec(ABC):
    """Base of the settings of a loss; ``build()`` makes the loss.

    ``k``: the sub-centres per class it was published with, for whoever makes the classifier.
    """

    k: int = 1
    needs_norms: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k (sub-centres per class) must be at least 1, got {self.k}")

    @abstractmethod
    def build(self) -> ClassificationLoss | TripletLoss:
        """The loss with these settings."""


def _check_scale(s: float) -> None:
    if not (math.isfinite(s) and s > 0):
        raise ConfigError(f"the scale s must be above 0, got {s}; 64 is usual")


@dataclass(frozen=True)
class SoftmaxSpec(LossSpec):
    """Plain softmax: z_j = W_j·x_i + b_j, nothing normalised, no margin, no sub-centres."""

    def __post_init__(self) -> None:
        if self.k != 1:
            raise ConfigError(f"plain softmax has no sub-centres: k must be 1, got {self.k}")

    def build(self) -> ClassificationLoss:
        return SoftmaxLoss()


class SoftmaxLoss(ClassificationLoss):
    """L = −log softmax(W·x + b)_y. The baseline of every paper."""

    normalised = False

    def __init__(self) -> None:
        super().__init__(1.0)

    def target(self, cosine: Tensor, norms: Tensor) -> Target:
        return Target(cosine)


@dataclass(frozen=True)
class MarginSpec(LossSpec):
    """z_y = s·(ψ(m1·θ_y + m2) − m3); ``m2`` in radians.

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

    m1: float = 1.0
    m2: float = 0.0
    m3: float = 0.0
    s: float = 64.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_scale(self.s)
        if not 0 < self.m1 < 10:
            raise ConfigError(f"m1 multiplies the angle and must lie in (0, 10), got {self.m1}")
        if not 0 <= self.m2 < math.pi:
            raise ConfigError(f"m2 is an angle in radians in [0, π), got {self.m2}")
        if not 0 <= self.m3 < 2:
            raise ConfigError(
                f"m3 is subtracted from a cosine and must be in [0, 2), got {self.m3}"
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
        return Target(c.s * margin_cosine(cosine, c.m1, c.m2, c.m3))


@dataclass(frozen=True)
class AdaFaceSpec(LossSpec):
    """AdaFace: margin ``m``, concentration ``h``, scale ``s``, EMA step ``momentum``."""

    m: float = 0.4
    h: float = 0.333
    s: float = 64.0
    momentum: float = 0.01
    needs_norms: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_scale(self.s)
        if not 0 < self.momentum <= 1:
            raise ConfigError(f"momentum must lie in (0, 1], got {self.momentum}")

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


@dataclass(frozen=True)
class MagFaceSpec(LossSpec):
    """MagFace: margins ``m_low``..``m_high`` (radians) over norms ``a_low``..``a_high``.

    ``weight`` is λ_g, the weight of the pull towards long features.
    """

    m_low: float = 0.45
    m_high: float = 0.8
    a_low: float = 10.0
    a_high: float = 110.0
    weight: float = 35.0
    s: float = 64.0
    needs_norms: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_scale(self.s)
        if not 0 < self.a_low < self.a_high:
            raise ConfigError(f"need 0 < a_low < a_high, got {self.a_low} and {self.a_high}")

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


@dataclass(frozen=True)
class CurricularSpec(LossSpec):
    """CurricularFace: margin ``m`` (radians), scale ``s``, EMA step ``momentum``."""

    m: float = 0.5
    s: float = 64.0
    momentum: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_scale(self.s)
        if not 0 < self.momentum <= 1:
            raise ConfigError(f"momentum must lie in (0, 1], got {self.momentum}")

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


@dataclass(frozen=True)
class TripletSpec(LossSpec):
    """Triplets of a batch; ``margin`` on ``distance``, ``mining`` hard or semihard.

    See ``arcid.train.triplet.TripletLoss`` for the equations.
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
        from arcid.train.triplet import TripletLoss

        return TripletLoss(self)


#: Every loss by name. A study or a config starts from one and replaces fields.
LOSSES: Mapping[str, LossSpec] = MappingProxyType(
    {
        "softmax": SoftmaxSpec(),
        "normface": MarginSpec(s=20.0),
        "sphereface": MarginSpec(m1=1.35),
        "cosface": MarginSpec(m3=0.35),
        "arcface": MarginSpec(m2=0.5),
        "cm1": MarginSpec(m2=0.3, m3=0.2),
        "cm2": MarginSpec(m1=0.9, m2=0.4, m3=0.15),
        "subcenter_arcface": MarginSpec(m2=0.5, k=3),
        "adaface": AdaFaceSpec(),
        "magface": MagFaceSpec(),
        "curricularface": CurricularSpec(),
        "triplet_hard": TripletSpec(mining="hard"),
        "triplet_semihard": TripletSpec(mining="semihard"),
    }
)


def loss_spec(name: str, **options: Any) -> LossSpec:
    """The settings of a loss by name, with ``options`` replacing fields.

    Raises ``ConfigError`` for an unknown name or option, listing the known ones.
    """
    if name not in LOSSES:
        raise ConfigError(f"no loss is called {name!r}; known: {', '.join(LOSSES)}")
    known = [f.name for f in dataclasses.fields(LOSSES[name])]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ConfigError(
            f"loss {name!r} has no option {', '.join(unknown)}; known: {', '.join(known)}"
        )
    return dataclasses.replace(LOSSES[name], **options)


def create_loss(name: str, **options: Any) -> ClassificationLoss | TripletLoss:
    """A loss by name: ``loss_spec(name, **options).build()``."""
    return loss_spec(name, **options).build()


__all__ = [
    "ANGLE_MARGIN",
    "LOSSES",
    "AdaFaceLoss",
    "AdaFaceSpec",
    "ClassificationLoss",
    "CurricularFaceLoss",
    "CurricularSpec",
    "LossSpec",
    "MagFaceLoss",
    "MagFaceSpec",
    "MarginLoss",
    "MarginSpec",
    "SoftmaxLoss",
    "SoftmaxSpec",
    "Target",
    "TripletSpec",
    "create_loss",
    "loss_spec",
    "margin_cosine",
    "widen",
]
