"""MobileFaceNet: inverted residuals and a depthwise convolution over the whole last map.

Chen et al., *MobileFaceNets* (CCBR 2018), table 1. The global depthwise convolution (GDConv) lets
each cell of an aligned face weigh for itself where average pooling would not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from arcid.errors import ConfigError
from arcid.train.backbones.common import Backbone, Head, embedding_norm, initialise

#: (expansion, channels at width 1, blocks, stride of the first).
STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
LAST = 512
STEM_GROUPS = 64  # channels before the head; grows with the width but never shrinks

Activation = Literal["prelu", "relu", "relu6"]
Stem = Literal["depthwise", "separable", "grouped"]
End = Literal["gdconv", "flat"]
SQUEEZED = 64  # channels that a flat end reads cell by cell


def _activation(kind: Activation, channels: int) -> nn.Module:
    if kind not in ("prelu", "relu", "relu6"):
        raise ConfigError(f"activation must be prelu, relu or relu6, got {kind!r}")
    if kind == "prelu":
        return nn.PReLU(channels)
    # in place, ReLU6 would copy its input for the way back
    return nn.ReLU(inplace=True) if kind == "relu" else nn.ReLU6()


class ConvNorm(nn.Sequential):
    """conv – BN – activation (None: linear).

    A norm that is frozen while the rest is trained goes into the convolution on the way: the same
    numbers and gradients without two passes over the map.
    """

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

    def forward(self, x: Tensor) -> Tensor:
        if _is_slow_in_bf16(self[0], x):
            with torch.autocast("cpu", enabled=False):
                return self._run(x.float())
        return self._run(x)

    def _run(self, x: Tensor) -> Tensor:
        conv, norm, *activation = self
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        if norm.training or not self.training:
            out: Tensor = norm(conv(x))
        else:
            out = functional.conv2d(
                x, *_folded(conv, norm), conv.stride, conv.padding, groups=conv.groups
            )
        for layer in activation:
            out = layer(out)
        return out


def _is_slow_in_bf16(conv: nn.Module, x: Tensor) -> bool:
    """Whether autocast would take a depthwise convolution with a stride to a CPU's bf16, where
    its way back takes many times what it takes in float32 (torch 2.13)."""
    return (
        x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and isinstance(conv, nn.Conv2d)
        and conv.groups > 1
        and conv.stride != (1, 1)
    )


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution and the norm after it, with their gradients."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale


class InvertedResidual(nn.Module):
    """1×1 up, 3×3 depthwise, 1×1 down and linear; added to the input where shapes agree."""

    def __init__(
        self, channels_in: int, channels: int, wide: int, stride: int, activation: Activation
    ) -> None:
        super().__init__()
        self.expand = ConvNorm(channels_in, wide, 1, activation=activation)
        self.depthwise = ConvNorm(wide, wide, 3, stride, wide, activation)
        self.project = ConvNorm(wide, channels, 1)
        self.residual = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out


class MobileFaceNet(Backbone):
    """See ``Backbone``. ``width`` multiplies channels, rounded to eights.

    ``activation`` "prelu" as published, or "relu" and "relu6", which some runtimes run up to four
    times as fast. ``stem`` "depthwise" as published, "separable": a 1×1 convolution follows the
    first depthwise one, or "grouped": the depthwise one has 64 groups whatever the width.
    ``expansion`` multiplies the channels inside the blocks alone, ``last`` sets those before the
    end (0: 512, more where the width is above 1 and the end "gdconv"). arcface_torch's ``mbf`` is
    width 2, expansion 0.5, stem "grouped" and last 512. ``end`` "gdconv" as published, one
    weight for each cell and channel; or "flat", where the linear layer reads 64 channels of every
    cell: more weights, hardly more time.
    """

    def __init__(
        self,
        dim: int = 512,
        *,
        width: float = 1.0,
        activation: Activation = "prelu",
        stem: Stem = "depthwise",
        expansion: float = 1.0,
        end: End = "gdconv",
        last: int = 0,
        size: int = 112,
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(
            dim=dim, size=size, stride=16, gradient_checkpointing=gradient_checkpointing
        )
        if not 0.1 <= width <= 8:
            raise ConfigError(f"width must lie in 0.1–8, got {width}")
        if stem not in ("depthwise", "separable", "grouped"):
            raise ConfigError(f"stem must be depthwise, separable or grouped, got {stem!r}")
        if last < 0:
            raise ConfigError(f"last must be a number of channels, or 0, got {last}")
        if not 0.25 <= expansion <= 4:
            raise ConfigError(f"expansion must lie in 0.25–4, got {expansion}")
        if end not in ("gdconv", "flat"):
            raise ConfigError(f"end must be gdconv or flat, got {end!r}")
        channels = _eights(64 * width)
        if stem == "grouped" and channels % STEM_GROUPS:
            raise ConfigError(f"stem grouped needs a multiple of 64 channels, got {channels}")
        self.stem = ConvNorm(3, channels, 3, 2, activation=activation)
        groups = STEM_GROUPS if stem == "grouped" else channels
        self.depthwise = ConvNorm(channels, channels, 3, groups=groups, activation=activation)
        self.pointwise: nn.Module = nn.Sequential()
        if stem == "separable":
            self.pointwise = ConvNorm(channels, channels, 1, activation=activation)
        blocks = []
        for factor, base, count, stride in STAGES:
            for i in range(count):
                wide, inner = _eights(base * width), _eights(channels * factor * expansion)
                blocks.append(
                    InvertedResidual(channels, wide, inner, 1 if i else stride, activation)
                )
                channels = wide
        self.blocks = nn.Sequential(*blocks)
        # a GDConv weighs every cell of the map; a flat end narrows it first and flattens it
        last = last or (LAST if end == "flat" else max(LAST, _eights(LAST * width)))
        self.last = ConvNorm(channels, last, 1, activation=activation)
        cells = size // 16
        self.squeeze: nn.Module = nn.Identity()
        self.gdconv: nn.Module = nn.Identity()
        if end == "flat":
            self.squeeze = ConvNorm(last, SQUEEZED, 1, activation=activation)
            self.head = Head(SQUEEZED, cells * cells, dim, dropout, bias=False)
        else:
            self.gdconv = nn.Conv2d(last, last, cells, groups=last, bias=False)
            self.head = Head(last, 1, dim, dropout, bias=False)
        initialise(self)
        if isinstance(self.gdconv, nn.Conv2d):
            nn.init.normal_(self.gdconv.weight, 0.0, 1 / cells)
        self.head.features = embedding_norm(dim)

    def forward(self, images: Tensor) -> Tensor:
        return self._end(self.run_blocks(self.blocks, self._begin(images)))

    def widened(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``state`` of the same network with a smaller ``expansion``, as one of this network.

        The added channels inside a block keep this network's fresh weights and leave it through
        zeros, so that the outputs stay the same and training decides what the new ones are for
        (Chen et al., *Net2Net*, ICLR 2016, widen by adding). Entries that do not differ in this
        way alone are returned as they are.
        """
        own, out = self.state_dict(), dict(state)
        for name, block in self.blocks.named_children():
            assert isinstance(block, InvertedResidual)
            for part in ("expand", "depthwise", "project"):
                for key in getattr(block, part).state_dict():
                    entry = f"blocks.{name}.{part}.{key}"
                    given = state.get(entry)
                    if given is None or not _within(given, own[entry]):
                        continue
                    entering = part == "project"
                    grown = torch.zeros_like(own[entry]) if entering else own[entry].clone()
                    grown[tuple(slice(0, n) for n in given.shape)] = given
                    out[entry] = grown
        return out

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        blocks = {f"blocks.{i}": block for i, block in enumerate(self.blocks)}
        return {"stem": self._begin, **blocks, "end": self._end}

    def _begin(self, images: Tensor) -> Tensor:
        out: Tensor = self.pointwise(self.depthwise(self.stem(images)))
        return out

    def _end(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.gdconv(self.squeeze(self.last(x))))
        return out


def _within(given: Tensor, own: Tensor) -> bool:
    return given.ndim == own.ndim and all(
        a <= b for a, b in zip(given.shape, own.shape, strict=True)
    )


def _eights(channels: float) -> int:
    return max(8, round(channels / 8) * 8)


__all__ = ["MobileFaceNet"]
