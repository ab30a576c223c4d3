"""Vision transformers for faces: patches of 8 pixels, no class token, a head that sees every patch.

Dosovitskiy et al., *An Image is Worth 16x16 Words* (ICLR 2021), pre-norm, in the sizes of DeiT
(Touvron et al., ICML 2021). Two changes for aligned 112×112 crops: 8-pixel patches divide the crop
into 14×14 tokens with nothing left over, and since a face always lies the same way, each token is
narrowed to ``token_dim`` numbers and all are laid side by side for BN–Dropout–FC–BN, instead of
averaging them or asking a class token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import ConfigError
from arcid.train.backbones.common import Backbone, Head

#: name → (width, depth, heads)
SIZES: dict[str, tuple[int, int, int]] = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
}


class Attention(nn.Module):
    """Multi-head self-attention, (B,N,C) to (B,N,C)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.qkv = nn.Linear(width, 3 * width)
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
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2) + self.position
        x = self.narrow(self.norm(self.run_blocks(self.layers, x)))
        out: Tensor = self.head(x.transpose(1, 2).unflatten(2, (self.side, self.side)))
        return out


__all__ = ["SIZES", "FaceViT"]
