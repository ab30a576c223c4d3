"""Plain ResNet-34 and ResNet-50 with an embedding head.

He et al., *Deep Residual Learning* (CVPR 2016), stride in the 3×3 convolution of a bottleneck. The
trunk's state-dict names are the usual ones (``layer1.0.conv1`` …), so ImageNet weights load into
it; the head is ``head``.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from arcid.errors import ConfigError
from arcid.train.backbones.common import Backbone, Head, embedding_norm, initialise

DEPTHS: dict[int, tuple[int, int, int, int]] = {34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class Basic(nn.Module):
    """Two 3×3 convolutions."""

    expansion = 1

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(x)) + shortcut)
        return out


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions; four times as many channels out."""

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(channels_in, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.relu(self.bn3(self.conv3(x)) + shortcut)
        return out


def _shortcut(channels_in: int, channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and channels_in == channels:
        return None
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
    )


class ResNet(Backbone):
    """See ``Backbone``. ``depth`` 34 or 50.

    ``stem``  "face": 3×3 at full resolution, the first stage halves, 7×7 cells at 112 pixels;
              "imagenet": 7×7 stride 2 and max-pooling, 4×4 cells at 112 pixels
    ``pool``  "flatten" feeds every cell to the head, "avg" their mean. Flattening keeps where
              things are in an aligned face, but costs 51 M weights at 2048 channels; hence the
              default is "flatten" for 34 and "avg" for 50
    """

    def __init__(
        self,
        dim: int = 512,
        *,
        depth: int,
        size: int = 112,
        dropout: float = 0.0,
        stem: Literal["face", "imagenet"] = "face",
        pool: Literal["flatten", "avg"] | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(
            dim=dim, size=size, stride=16, gradient_checkpointing=gradient_checkpointing
        )
        if stem not in ("face", "imagenet"):
            raise ConfigError(f"stem must be face or imagenet, got {stem!r}")
        pool = pool or ("flatten" if depth == 34 else "avg")
        if pool not in ("flatten", "avg"):
            raise ConfigError(f"pool must be flatten or avg, got {pool!r}")
        face = stem == "face"
        self.conv1 = nn.Conv2d(3, 64, 3 if face else 7, 1 if face else 2, 1 if face else 3,
                               bias=False)  # fmt: skip
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if face else nn.MaxPool2d(3, 2, 1)
        kind = Basic if depth == 34 else Bottleneck
        stages, channels = [], 64
        for i, count in enumerate(DEPTHS[depth]):
            width, stride = 64 * 2**i, 2 if face or i else 1
            blocks = [kind(channels, width, stride)]
            channels = width * kind.expansion
            blocks += [kind(channels, width, 1) for _ in range(count - 1)]
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        side = size // 16 if face else -(-size // 32)
        self.pool = nn.AdaptiveAvgPool2d(1) if pool == "avg" else nn.Identity()
        self.head = Head(channels, 1 if pool == "avg" else side**2, dim, dropout)
        initialise(self)
        self.head.features = embedding_norm(dim)

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = self.run_blocks(stage, x)
        out: Tensor = self.head(self.pool(x))
        return out


__all__ = ["DEPTHS", "ResNet"]
