"""Vision transformers for faces: no class token, a head that sees every patch.

Dosovitskiy et al., *An Image is Worth 16x16 Words* (ICLR 2021), pre-norm, in the sizes of DeiT
(Touvron et al., ICML 2021). Two changes for aligned 112×112 crops: 8-pixel patches divide the crop
into 14×14 tokens with nothing left over, and since a face always lies the same way, each token is
narrowed to ``token_dim`` numbers and all are laid side by side for BN–Dropout–FC–BN, instead of
averaging them or asking a class token.

``ArcFaceViT`` is the transformer of arcface_torch, its names included, so that its files load.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import ConfigError
from arcid.train.backbones.common import Backbone, Head, embedding_norm, project

#: name → (width, depth, heads)
SIZES: dict[str, tuple[int, int, int]] = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
}
_Ends = tuple[nn.Linear, nn.BatchNorm1d, nn.Linear, nn.BatchNorm1d]
#: The same of arcface_torch's.
ARCFACE_SIZES: dict[str, tuple[int, int, int]] = {
    "t": (256, 12, 8),
    "s": (512, 12, 8),
    "b": (512, 24, 8),
    "l": (768, 24, 8),
}


class Attention(nn.Module):
    """Multi-head self-attention, (B,N,C) to (B,N,C)."""

    def __init__(self, width: int, heads: int, qkv_bias: bool = True) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, self.width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(x.transpose(1, 2).reshape(batch, tokens, self.width))
        return out


class DropPath(nn.Module):
    """Stochastic depth: leaves out a sample's residual branch with probability ``rate``."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = torch.rand(len(x), 1, 1, device=x.device) >= self.rate
        return x * keep.to(x.dtype) / (1 - self.rate)


class Layer(nn.Module):
    """x + attention(LN x), then x + MLP(LN x)."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attention(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class FaceViT(Backbone):
    """See ``Backbone``. ``variant`` tiny, small or base; ``drop_path`` of the last layer, rising
    linearly from 0."""

    def __init__(
        self,
        dim: int = 512,
        *,
        variant: str,
        size: int = 112,
        patch: int = 8,
        token_dim: int = 64,
        dropout: float = 0.0,
        drop_path: float = 0.05,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(
            dim=dim, size=size, stride=patch, gradient_checkpointing=gradient_checkpointing
        )
        if not 0 <= drop_path < 1:
            raise ConfigError(f"drop_path must lie in [0, 1), got {drop_path}")
        width, depth, heads = SIZES[variant]
        self.side = size // patch
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.position = nn.Parameter(torch.zeros(1, self.side**2, width))
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]
        self.layers = nn.Sequential(*(Layer(width, heads, rate) for rate in rates))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.narrow = nn.Linear(width, token_dim)
        self.head = Head(token_dim, self.side**2, dim, dropout)
        _initialise(self)
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2) + self.position
        x = self.narrow(self.norm(self.run_blocks(self.layers, x)))
        out: Tensor = self.head(x.transpose(1, 2).unflatten(2, (self.side, self.side)))
        return out


class ArcFaceMlp(nn.Module):
    """Two linear layers with ReLU6 between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.act = nn.Linear(width, 4 * width), nn.ReLU6()
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class ArcFaceLayer(nn.Module):
    """x + attention(LN x), then x + MLP(LN x), in arcface_torch's names."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads, qkv_bias=False)
        self.mlp = ArcFaceMlp(width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class ArcFaceViT(Backbone):
    """See ``Backbone``. ``variant`` t, s, b or l; patches of 9 pixels, 144 tokens at 112 pixels.

    ``mask`` leaves out that share of a face's tokens while training; a learnt token stands in for
    them behind the layers. ``drop_path`` of the last layer, rising linearly from 0. Every token
    goes into the head: FC–BN–FC–BN. Source: arcface_torch, InsightFace.
    """

    def __init__(
        self,
        dim: int = 512,
        *,
        variant: str,
        size: int = 112,
        patch: int = 9,
        dropout: float = 0.0,
        drop_path: float = 0.1,
        mask: float = 0.1,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(
            dim=dim, size=size, stride=1, gradient_checkpointing=gradient_checkpointing
        )
        if not (0 <= drop_path < 1 and 0 <= mask < 1):
            raise ConfigError(f"drop_path and mask must lie in [0, 1), got {drop_path}, {mask}")
        if size < patch:
            raise ConfigError(f"size must be at least one patch of {patch} pixels, got {size}")
        width, depth, heads = ARCFACE_SIZES[variant]
        self.mask, tokens = mask, (size // patch) ** 2
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        rates = [drop_path * i / (depth - 1) for i in range(depth)]
        self.blocks = nn.Sequential(*(ArcFaceLayer(width, heads, rate) for rate in rates))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.feature = nn.Sequential(
            nn.Linear(tokens * width, width, bias=False),
            nn.BatchNorm1d(width, eps=2e-5),
            nn.Linear(width, dim, bias=False),
            embedding_norm(dim, eps=2e-5),
        )
        _initialise(self)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed["proj"](images).flatten(2).transpose(1, 2) + self.pos_embed
        if self.training and self.mask:
            x = self._masked(x)
        else:
            x = self.norm(self.run_blocks(self.blocks, x))
        first, norm, fc, features = cast(_Ends, tuple(self.feature))
        return project(fc, features, project(first, norm, self.dropout(torch.flatten(x, 1))))

    def _masked(self, x: Tensor) -> Tensor:
        """Through the layers without some tokens, each photo its own."""
        batch, tokens, width = x.shape
        kept = int(tokens * (1 - self.mask))
        order = torch.rand(batch, tokens, device=x.device).argsort(dim=1)[:, :kept, None]
        index = order.expand(-1, -1, width)
        x = self.norm(self.run_blocks(self.blocks, x.gather(1, index)))
        return self.mask_token.to(x.dtype).expand(batch, tokens, width).scatter(1, index, x)


def _initialise(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


__all__ = ["ARCFACE_SIZES", "SIZES", "ArcFaceViT", "FaceViT"]
