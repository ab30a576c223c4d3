"""The network: (B,3,H,W) float32 RGB (x − 127.5) / 127.5 in, a guess for every cell of three grids.

Laid out as YuNet (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
Research 2023), wider inside: separable convolutions down to stride 32, a top-down pyramid of three
levels (Lin et al., CVPR 2017) and a head for each, without anchors: a cell says how sure it is of a
face, how far the face's middle lies, how large it is, and where the five points are.
``arcid.detect.arcid_detect`` reads the same numbers from the exported file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.train.detector.config import STRIDES, NetworkConfig

MEAN = STD = 127.5
NUMBERS = 15  # of a cell: score, middle (2), size (2), points (10)
_PRIOR = 0.01  # what an untrained cell answers (Lin et al., "Focal Loss", 2017)
_PRIOR_CELLS = 4.0  # size of a face before training, in cells


class ConvUnit(nn.Sequential):
    """Convolution, batch norm, ReLU."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(cout),
            nn.ReLU(inplace=True),
        )


def separable(cin: int, cout: int, kernel: int = 3) -> nn.Sequential:
    """Pointwise, then depthwise with norm and ReLU; nothing between the two (YuNet's unit)."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, 1),
        nn.Conv2d(cout, cout, kernel, padding=kernel // 2, groups=cout, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(inplace=True),
    )


def _answer(channels: int, numbers: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, numbers, 1),
        nn.Conv2d(numbers, numbers, 3, padding=1, groups=numbers),
    )


class Head(nn.Module):
    """(B,C,h,w) of one level in; (B,hw,15) numbers of its cells out."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.shared = _units(c.channels, c.inner, c.head)
        self.face = _answer(c.channels, NUMBERS - 10)
        self.points = nn.Sequential(separable(c.channels, c.channels), _answer(c.channels, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(x)
        cells = torch.cat([self.face(x), self.points(x)], dim=1)
        return cells.permute(0, 2, 3, 1).flatten(1, 2)


class DetectorNetwork(nn.Module):
    """(B,3,H,W) in, H and W multiples of 32; (B,A) score logits, (B,A,4) and (B,A,10) out.

    A = HW/64 + HW/256 + HW/1024 cells, finest grid first, row by row. Boxes and points are raw, in
    cells; ``decode`` turns them into pixels. ``entry`` ends at stride 8; ``levels``, the
    ``lateral`` parts of the pyramid and the heads begin and end with as many channels as YuNet's,
    which is what lets each of them learn from it by itself.
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        c = config or NetworkConfig()
        self.entry = nn.Sequential(
            ConvUnit(3, c.stem, 3, 2),
            separable(c.stem, c.stem),
            nn.MaxPool2d(2),
            separable(c.stem, c.quarter),
            separable(c.quarter, c.channels),
            separable(c.channels, c.channels),
            nn.MaxPool2d(2),
        )
        self.levels = nn.ModuleList(_units(c.channels, c.inner, c.blocks) for _ in STRIDES)
        self.lateral = nn.ModuleList(separable(c.channels, c.channels) for _ in STRIDES)
        self.heads = nn.ModuleList(Head(c) for _ in STRIDES)
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                gain = 1.0 if module.groups > 1 else 2.0
                nn.init.normal_(module.weight, std=math.sqrt(gain / module.weight[0].numel()))
        for head in cast("list[Head]", list(self.heads)):
            last = [*head.face, *cast(nn.Sequential, head.points[-1])]
            for conv in cast("list[nn.Conv2d]", last):
                nn.init.normal_(conv.weight, std=0.1)
            start = torch.zeros(NUMBERS - 10)
            start[0] = -math.log((1 - _PRIOR) / _PRIOR)
            start[3:5] = math.log(_PRIOR_CELLS)
            cast(nn.Conv2d, head.face[-1]).bias = nn.Parameter(start)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, maps = self.entry(x), []
        for index in range(len(STRIDES)):
            x = self.level(index, x)
            maps.append(x)
        above = self.merged(2, maps[2], None)
        pyramid = [above]
        for index in (1, 0):
            above = self.merged(index, maps[index], above)
            pyramid.insert(0, above)
        return self.answers(pyramid)

    def level(self, index: int, x: Tensor) -> Tensor:
        """One level from the one before (the entry's end for the finest)."""
        x = F.max_pool2d(x, 2) if index else x
        return cast(Tensor, self.levels[index](x))

    def merged(self, index: int, x: Tensor, above: Tensor | None) -> Tensor:
        """A level of the pyramid from the map of its stride and the pyramid's level above."""
        if above is not None:
            x = x + F.interpolate(above, scale_factor=2.0, mode="nearest")
        return cast(Tensor, self.lateral[index](x))

    def answers(self, pyramid: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Raw numbers of every cell from the three levels of the pyramid."""
        raw = torch.cat([h(x) for h, x in zip(self.heads, pyramid, strict=True)], dim=1)
        return raw[..., 0], raw[..., 1:5], raw[..., 5:]


def _units(channels: int, inner: int, count: int) -> nn.Sequential:
    """``count`` separable units, ``inner`` channels between them."""
    widths = [channels, *[inner] * (count - 1), channels]
    return nn.Sequential(*(separable(a, b) for a, b in pairwise(widths)))


def cell_grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """(A,2) pixel middles of a canvas's cells and (A,) their strides, in the network's order."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing="ij"
        )
        middle = (torch.stack([columns, rows], dim=-1).reshape(-1, 2) + 0.5) * stride
        centres.append(middle)
        strides.append(torch.full((len(middle),), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def decode(
    boxes: Tensor, points: Tensor, centres: Tensor, strides: Tensor
) -> tuple[Tensor, Tensor]:
    """Raw (...,4) and (...,10) with the (...,2) middles and (...) strides of their cells in;
    (...,4) xyxy and (...,5,2) pixels out: middle = cell + stride · offset, side = stride · exp."""
    stride = strides[..., None]
    middle = centres + boxes[..., :2] * stride
    half = boxes[..., 2:].clamp(max=6.0).exp() * stride / 2
    five = centres[..., None, :] + points.reshape(*points.shape[:-1], 5, 2) * stride[..., None]
    return torch.cat([middle - half, middle + half], dim=-1), five


__all__ = ["MEAN", "STD", "DetectorNetwork", "cell_grid", "decode", "separable"]
