"""MobileFaceNet: inverted residuals and a depthwise convolution over the whole last map.

Chen et al., *MobileFaceNets* (CCBR 2018), table 1. The global depthwise convolution (GDConv) lets
each cell of an aligned face weigh for itself where average pooling would not.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from arcid.errors import ConfigError
from arcid.train.backbones.common import Backbone, Head, embedding_norm, initialise

#: (expansion, channels at width 1, blocks, stride of the first).
STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
LAST = 512  # channels before the head; grows with the width but never shrinks

Activation = Literal["prelu", "relu"]


def _activation(kind: Activation, channels: int) -> nn.Module:
    if kind not in ("prelu", "relu"):
        raise ConfigError(f"activation must be prelu or relu, got {kind!r}")
    return nn.PReLU(channels) if kind == "prelu" else nn.ReLU(inplace=True)


class ConvNorm(nn.Sequential):
    """conv – BN – activation (None: linear)."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = None,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(
                channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False
            ),
            nn.BatchNorm2d(channels),
        ]
        if activation is not None:
            layers.append(_activation(activation, channels))
        super().__init__(*layers)


class InvertedResidual(nn.Module):
    """1×1 up, 3×3 depthwise, 1×1 down and linear; added to the input where shapes agree."""

    def __init__(
        self, channels_in: int, channels: int, expansion: int, stride: int, activation: Activation
    ) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand = ConvNorm(channels_in, wide, 1, activation=activation)
        self.depthwise = ConvNorm(wide, wide, 3, stride, wide, activation)
        self.project = ConvNorm(wide, channels, 1)
        self.residual = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out


class MobileFaceNet(Backbone):
    """See ``Backbone``. ``width`` multiplies channels, rounded to eights.

    ``activation`` "prelu" as published, or "relu", which some runtimes run up to four times as
    fast.
    """

    def __init__(
        self,
        dim: int = 512,
        *,
        width: float = 1.0,
        activation: Activation = "prelu",
        size: int = 112,
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(
            dim=dim, size=size, stride=16, gradient_checkpointing=gradient_checkpointing
        )
        if not 0.1 <= width <= 8:
            raise ConfigError(f"width must lie in 0.1–8, got {width}")
        channels = _eights(64 * width)
        self.stem = ConvNorm(3, channels, 3, 2, activation=activation)
        self.depthwise = ConvNorm(channels, channels, 3, groups=channels, activation=activation)
        blocks = []
        for expansion, base, count, stride in STAGES:
            for i in range(count):
                wide = _eights(base * width)
                blocks.append(
                    InvertedResidual(channels, wide, expansion, 1 if i else stride, activation)
                )
                channels = wide
        self.blocks = nn.Sequential(*blocks)
        last = max(LAST, _eights(LAST * width))
        self.last = ConvNorm(channels, last, 1, activation=activation)
        self.gdconv = nn.Conv2d(last, last, size // 16, groups=last, bias=False)
        self.head = Head(last, 1, dim, dropout, bias=False)
        initialise(self)
        nn.init.normal_(self.gdconv.weight, 0.0, 16 / size)
        self.head.features = embedding_norm(dim)

    def forward(self, images: Tensor) -> Tensor:
        x = self.run_blocks(self.blocks, self.depthwise(self.stem(images)))
        out: Tensor = self.head(self.gdconv(self.last(x)))
        return out


def _eights(channels: float) -> int:
    return max(8, round(channels / 8) * 8)


__all__ = ["MobileFaceNet"]
