"""The network: (B,3,H,W) float32 RGB (x − 127.5) / 127.5 in, a guess for every cell of three grids.

Separable convolutions (Howard et al., "MobileNets", 2017) down to stride 32, a top-down pyramid of
three levels (Lin et al., CVPR 2017) and one head that all levels share, without anchors: a cell
says how sure it is of a face, how far the face's middle lies, how large it is, and where the five
points are. ``arcid.detect.arcid_detect`` reads the same numbers from the exported file.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.train.detection.config import STRIDES, NetworkConfig

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


def separable(cin: int, cout: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Depthwise, then pointwise with norm and ReLU; nothing between the two, as in Xception
    (Chollet, CVPR 2017)."""
    depthwise = nn.Conv2d(cin, cin, kernel, stride, kernel // 2, groups=cin, bias=False)
    return nn.Sequential(depthwise, *ConvUnit(cin, cout, 1))


class DetectorNetwork(nn.Module):
    """(B,3,H,W) in, H and W multiples of 32; (B,A) score logits, (B,A,4) and (B,A,10) out.

    A = HW/64 + HW/256 + HW/1024 cells, finest grid first, row by row. Boxes and points are raw, in
    cells; ``decode`` turns them into pixels.
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        c = config or NetworkConfig()
        self.stem = ConvUnit(3, c.stem, 3, 2)
        stages = []
        for level, (before, channels, blocks) in enumerate(
            zip((c.stem, *c.channels), c.channels, c.blocks, strict=False)
        ):
            kernel = 5 if level == 3 else 3  # wide enough to see a face that fills the picture
            first = (
                separable(before, channels, 2, kernel)
                if level
                else ConvUnit(c.stem, channels, 3, 2)
            )
            more = (separable(channels, channels, 1, kernel) for _ in range(blocks - 1))
            stages.append(nn.Sequential(first, *more))
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.ModuleList(ConvUnit(channels, c.neck, 1) for channels in c.channels[1:])
        self.smooth = nn.ModuleList(separable(c.neck, c.neck) for _ in STRIDES[:-1])
        self.head = nn.Sequential(*(separable(c.neck, c.neck) for _ in range(c.head)))
        self.out = nn.Conv2d(c.neck, NUMBERS, 1)
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                gain = 1.0 if module.groups > 1 else 2.0
                inputs = module.weight[0].numel()
                nn.init.normal_(module.weight, std=math.sqrt(gain / inputs))
        nn.init.normal_(self.out.weight, std=0.01)
        start = torch.zeros(NUMBERS)
        start[0] = -math.log((1 - _PRIOR) / _PRIOR)
        start[3:5] = math.log(_PRIOR_CELLS)
        self.out.bias = nn.Parameter(start)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stages[0](self.stem(x))
        levels = []
        for stage, lateral in zip(list(self.stages)[1:], self.lateral, strict=True):
            x = stage(x)
            levels.append(lateral(x))
        above = levels[2]
        merged = [above]
        for level, smooth in ((1, self.smooth[1]), (0, self.smooth[0])):
            above = smooth(levels[level] + F.interpolate(above, scale_factor=2.0, mode="nearest"))
            merged.insert(0, above)
        cells = [self.out(self.head(level)).permute(0, 2, 3, 1).flatten(1, 2) for level in merged]
        raw = torch.cat(cells, dim=1)
        return raw[..., 0], raw[..., 1:5], raw[..., 5:]


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
