"""Networks by name: ``create_backbone("iresnet50")``; (B,3,112,112) in, (B,512) features out.

Every one takes ``dim``, ``size``, ``dropout`` and ``gradient_checkpointing``, ends in
BN–Dropout–FC–BN, and exports to ONNX with a dynamic batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from arcid.errors import ConfigError
from arcid.train.backbones.common import Backbone
from arcid.train.backbones.counting import count_macs, count_parameters
from arcid.train.backbones.iresnet import DEPTHS, IResNet
from arcid.train.backbones.mobilefacenet import MobileFaceNet
from arcid.train.backbones.resnet import ResNet
from arcid.train.backbones.vit import ARCFACE_SIZES, SIZES, ArcFaceViT, FaceViT

#: Widths MobileFaceNet is listed in; others through ``width=``.
MOBILE_WIDTHS = (0.5, 0.75, 1.0, 1.5, 2.0)

#: Every backbone by name.
BACKBONES: Mapping[str, Callable[..., Backbone]] = MappingProxyType(
    {f"iresnet{depth}": partial(IResNet, depth=depth) for depth in DEPTHS}
    | {f"resnet{depth}": partial(ResNet, depth=depth) for depth in (34, 50)}
    | {
        f"mobilefacenet_{activation}_x{width}": partial(
            MobileFaceNet, activation=activation, width=width
        )
        for activation in ("relu", "relu6", "prelu")
        for width in MOBILE_WIDTHS
    }
    | {f"vit_{variant}": partial(FaceViT, variant=variant) for variant in SIZES}
    | {f"vit_{variant}": partial(ArcFaceViT, variant=variant) for variant in ARCFACE_SIZES}
    | {
        "mbf": partial(
            MobileFaceNet, activation="prelu", width=2.0, expansion=0.5, stem="grouped", last=512
        )
    }
)


def create_backbone(name: str, dim: int = 512, **options: Any) -> Backbone:
    """A fresh backbone. Raises ``ConfigError`` for an unknown name or option, listing the known.

    ``size`` (pixels, 112), ``dropout`` (0) and ``gradient_checkpointing`` (False) work everywhere;
    IResNet also takes ``bn_eps``, ResNet ``stem`` and ``pool``, MobileFaceNet (``mbf`` too)
    ``width``, ``activation``, ``stem``, ``expansion``, ``last`` and ``end``, ViT ``patch``,
    ``drop_path`` and ``token_dim`` or, with a size of one letter, ``mask``.
    """
    if name not in BACKBONES:
        raise ConfigError(f"no backbone is called {name!r}; known: {', '.join(BACKBONES)}")
    parameters = inspect.signature(BACKBONES[name]).parameters
    known = [n for n in parameters if n not in ("dim", "depth", "variant")]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ConfigError(
            f"backbone {name!r} has no option {', '.join(unknown)}; known: {', '.join(known)}"
        )
    return BACKBONES[name](dim, **options)


def to_channels_last(model: nn.Module) -> nn.Module:
    """The same model with convolution weights in NHWC order, faster on most CPUs and GPUs.

    Images must follow: ``images.to(memory_format=torch.channels_last)``.
    """
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class BackboneCost:
    """``parameters`` and ``macs`` (multiply–accumulates of one image) of a named backbone."""

    name: str
    parameters: int
    macs: int


def backbone_costs(names: Iterable[str] = tuple(BACKBONES), size: int = 112) -> list[BackboneCost]:
    """What each named backbone costs at dim 512, without allocating its weights."""
    costs = []
    for name in names:
        with torch.device("meta"):
            model = create_backbone(name, size=size)
        costs.append(BackboneCost(name, count_parameters(model), count_macs(model, size)))
    return costs


__all__ = [
    "BACKBONES",
    "MOBILE_WIDTHS",
    "Backbone",
    "BackboneCost",
    "backbone_costs",
    "count_macs",
    "count_parameters",
    "create_backbone",
    "to_channels_last",
]
