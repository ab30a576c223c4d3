"""Parameters and multiply–accumulates of a network, counted from what it really runs."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: nn.Module) -> int:
    """Numbers that are weights, frozen ones included; running statistics are not."""
    return sum(p.numel() for p in model.parameters())


@torch.no_grad()
def count_macs(model: nn.Module, size: int = 112) -> int:
    """Multiply–accumulates of one (1,3,size,size) image in eval mode.

    Convolutions, linear layers and the two products of attention; BN, activations, sums and
    softmax are left out, as tables in papers do. ``model`` lies on the meta device, where torch
    counts attention too and no arithmetic is done.
    """
    training, first = model.training, next(model.parameters())
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 3, size, size, device=first.device, dtype=first.dtype))
    model.train(training)
    return int(counter.get_total_flops()) // 2


__all__ = ["count_macs", "count_parameters"]
