"""Parameters and multiply–accumulates of a network, counted from what it really runs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from arcid.train.backbones.vit import Attention


def count_parameters(model: nn.Module) -> int:
    """Numbers that are weights, frozen ones included; running statistics are not."""
    return sum(p.numel() for p in model.parameters())


def _macs(module: nn.Module, given: Tensor, out: Tensor) -> int:
    if isinstance(module, nn.Conv2d):
        return out.numel() * module.weight[0].numel()
    if isinstance(module, nn.Linear):
        return out.numel() * module.in_features
    if isinstance(module, Attention):
        return 2 * given.shape[0] * given.shape[1] ** 2 * module.width
    return 0


@torch.no_grad()
def count_macs(model: nn.Module, size: int = 112) -> int:
    """Multiply–accumulates of one (1,3,size,size) image in eval mode.

    Convolutions, linear layers and the two products of attention; BN, activations, sums and
    softmax are left out, as tables in papers do. Works on the meta device without any arithmetic.
    """
    total = 0

    def count(module: nn.Module, inputs: tuple[Any, ...], out: Tensor) -> None:
        nonlocal total
        total += _macs(module, inputs[0], out)

    counted = (nn.Conv2d, nn.Linear, Attention)
    handles = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, counted)]
    training, first = model.training, next(model.parameters())
    model.eval()
    try:
        model(torch.zeros(1, 3, size, size, device=first.device, dtype=first.dtype))
    finally:
        for handle in handles:
            handle.remove()
        model.train(training)
    return total


__all__ = ["count_macs", "count_parameters"]
