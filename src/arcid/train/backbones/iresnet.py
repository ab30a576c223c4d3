"""Improved ResNet for faces: BN–conv–BN–PReLU–conv–BN blocks, no pooling, flattened 7×7 head.

Duta et al., *Improved Residual Networks* (ICPR 2021) as ArcFace uses it. State-dict names are those
of InsightFace's ``arcface_torch``, so its published ``.pt`` files load with ``strict=True``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arcid.train.backbones.common import Backbone, embedding_norm, project

#: Blocks of the four stages, of 64, 128, 256 and 512 channels.
DEPTHS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
WIDTHS = (64, 128, 256, 512)


class Block(nn.Module):
    """(B,C_in,H,W) to (B,C,H/stride,W/stride); the first of a stage halves and widens."""

    def __init__(self, channels_in: int, channels: int, stride: int, eps: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in, eps=eps)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels, eps=eps)
        self.prelu = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels, eps=eps)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels_in != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False),
                nn.BatchNorm2d(channels, eps=eps),
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        out: Tensor = self.bn3(self.conv2(x)) + shortcut
        return out


class IResNet(Backbone):
    """See ``Backbone``. ``depth`` 18, 34, 50, 100 or 200; ``bn_eps`` 2e-5 in MXNet and Keras files.

    Convolutions start at N(0, 0.1²); BN follows each, so only their direction matters.
    """

    def __init__(
        self,
        dim: int = 512,
        *,
        depth: int,
        size: int = 112,
        dropout: float = 0.0,
        bn_eps: float = 1e-5,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(
            dim=dim, size=size, stride=16, gradient_checkpointing=gradient_checkpointing
        )
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=bn_eps)
        self.prelu = nn.PReLU(64)
        stages, channels = [], 64
        for count, width in zip(DEPTHS[depth], WIDTHS, strict=True):
            blocks = [Block(channels, width, 2, bn_eps)]
            blocks += [Block(width, width, 1, bn_eps) for _ in range(count - 1)]
            stages.append(nn.Sequential(*blocks))
            channels = width
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.bn2 = nn.BatchNorm2d(channels, eps=bn_eps)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels * (size // 16) ** 2, dim)
        self.features = embedding_norm(dim, bn_eps)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(images)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = self.run_blocks(stage, x)
        return project(self.fc, self.features, self.dropout(torch.flatten(self.bn2(x), 1)))


__all__ = ["DEPTHS", "IResNet"]
