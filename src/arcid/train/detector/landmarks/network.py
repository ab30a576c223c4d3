"""The network: (B,3,S,S) float32 RGB (x − 127.5) / 127.5 in, five or 68 points out.

Inverted residuals (Sandler et al., "MobileNetV2", CVPR 2018) down to S/16 cells a side, which keep
their places through a depthwise convolution over all of them (Chen et al., "MobileFaceNets", CCBR
2018).
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from arcid.train.detector.landmarks.config import PointNetworkConfig

_EXPAND = 2


def _unit(
    cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1, *, relu: bool = True
) -> nn.Sequential:
    """Convolution, batch norm and, unless told otherwise, ReLU."""
    conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(cout), *([nn.ReLU(inplace=True)] if relu else []))


class _Block(nn.Module):
    """Inverted residual; the sum only where shape stays."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        inner = cin * _EXPAND
        self.stays = stride == 1 and cin == cout
        self.layers = nn.Sequential(
            _unit(cin, inner, 1),
            _unit(inner, inner, 3, stride, inner),
            _unit(inner, cout, 1, relu=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed = cast(Tensor, self.layers(x))
        return x + changed if self.stays else changed


class PointNetwork(nn.Module):
    """(B,3,S,S) in; (B,2P) x and y of the points, from the middle in shares of the side."""

    def __init__(self, config: PointNetworkConfig | None = None) -> None:
        super().__init__()
        config = config or PointNetworkConfig()
        width, self.side = config.width, config.side
        stem, quarter, middle, deep, last = (max(8, int(c * width)) for c in (24, 32, 64, 96, 192))
        self.body = nn.Sequential(
            _unit(3, stem, 3, 2),
            _Block(stem, quarter, 2),
            _Block(quarter, quarter, 1),
            _Block(quarter, middle, 2),
            _Block(middle, middle, 1),
            _Block(middle, middle, 1),
            _Block(middle, deep, 2),
            _Block(deep, deep, 1),
            _unit(deep, last, 1),
        )
        self.whole = nn.Sequential(
            nn.Conv2d(last, last, config.side // 16, groups=last, bias=False), nn.BatchNorm2d(last)
        )
        self.points = nn.Conv2d(last, 2 * config.points, 1)
        nn.init.normal_(self.points.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.points(self.whole(self.body(x)))).flatten(1)


__all__ = ["PointNetwork"]
