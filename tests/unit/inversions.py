"""A network of two convolutions, and pictures that its batch norms have seen."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image as Pil
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from arcid.train.backbones.common import Backbone, Head
from arcid.train.backbones.inputs import to_input
from arcid.types import Image


def drawn(count: int, size: int = 32, seed: int = 0) -> Image:
    """(N,S,S,3) uint8: smooth blots, so that a network's statistics mean something."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 5, 5, 3), dtype=np.uint8)
    small = [Pil.fromarray(c).resize((size, size), Pil.Resampling.BICUBIC) for c in coarse]
    return np.stack([np.asarray(s, np.uint8) for s in small])


class Small(Backbone):
    """Two convolutions with a batch norm each, and the usual end."""

    def __init__(self) -> None:
        super().__init__(dim=32, size=32, stride=4, gradient_checkpointing=False)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 24, 3, 2, 1), nn.BatchNorm2d(24), nn.PReLU(24),
            nn.Conv2d(24, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.PReLU(32),
            Head(32, 64, 32),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


def small_network() -> Backbone:
    """Random weights; batch norms that have seen drawn pictures."""
    torch.manual_seed(3)
    network = Small().train()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = None  # the plain mean of all batches
    with torch.no_grad():
        for seed in range(20):
            network(to_input(torch.from_numpy(drawn(16, seed=seed)).permute(0, 3, 1, 2)))
    return network.eval()
