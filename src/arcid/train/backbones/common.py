"""What every backbone shares: the base class, the head, gradient checkpointing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from arcid.errors import ConfigError


class Backbone(nn.Module):
    """(B,3,size,size) float RGB, normalised as the recipe says, in; (B,dim) float32 features out.

    Features are not unit-norm: losses read their length. ``gradient_checkpointing`` trades time
    for memory: blocks keep their input only and are run again in backward.
    """

    def __init__(self, *, dim: int, size: int, stride: int, gradient_checkpointing: bool) -> None:
        super().__init__()
        if dim < 1:
            raise ConfigError(f"dim must be at least 1, got {dim}")
        if size < stride or size % stride:
            raise ConfigError(f"size must be a multiple of {stride} pixels, got {size}")
        self.dim, self.size = dim, size
        self.gradient_checkpointing = gradient_checkpointing

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """The network as named steps, each fed by the one before, the last giving the features.

        Distillation that compares feature maps needs them. Raises ``ConfigError`` where a backbone
        has none.
        """
        raise ConfigError(
            f"{type(self).__name__} names no stages to compare with a teacher's; "
            "set distil.features=0, or use a MobileFaceNet"
        )

    def run_blocks(self, blocks: nn.Module, x: Tensor) -> Tensor:
        """``x`` through each child of ``blocks``, checkpointed when asked for and training."""
        for block in blocks.children():
            if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                x = _checkpointed(block, x)
            else:
                x = block(x)
        return x


def _checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_held(block)

    out: Tensor = checkpoint(block, x, use_reentrant=False, context_fn=contexts)
    return out


@contextmanager
def _statistics_held(block: nn.Module) -> Iterator[None]:
    """Second run of a block: batch statistics as before, running ones not updated twice."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm) and m.training]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.sub_(1)


def embedding_norm(dim: int, eps: float = 1e-5) -> nn.BatchNorm1d:
    """The last BN of a head: its weight is 1 and stays so, its bias is learnt."""
    norm = nn.BatchNorm1d(dim, eps=eps)
    nn.init.ones_(norm.weight)
    norm.weight.requires_grad = False
    return norm


class Head(nn.Module):
    """BN–Dropout–FC–BN (Deng et al., ArcFace, sec. 3.2): (B,C,H,W) in, (B,dim) float32 out.

    FC and the last BN run in the type of their weights even under autocast.
    """

    def __init__(
        self, channels: int, cells: int, dim: int, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels * cells, dim, bias=bias)
        self.features = embedding_norm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(torch.flatten(self.bn(x), 1))
        return project(self.fc, self.features, x)


def project(fc: nn.Linear, features: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """(B,C) through FC and BN, outside autocast."""
    # the meta device, used for counting, knows no autocast
    with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
        out: Tensor = features(fc(x.to(fc.weight.dtype)))
    return out


def initialise(model: nn.Module) -> None:
    """He et al. (ICCV 2015) for convolutions, N(0, 1/fan_in) for linear layers, BN at (1, 0)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, module.in_features**-0.5)
        elif isinstance(module, _BatchNorm):
            nn.init.ones_(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


__all__ = ["Backbone", "Head", "embedding_norm", "initialise", "project"]
