"""Collectives with exact gradients for a classifier whose classes are shared between ranks.

Every rank brings its own photos, holds its own classes, and computes the *same* scalar loss over
the global batch. Two kinds of tensors follow from that, and the gradient differs:

* *Sharded* use: each rank's graph sees only its classes, so a feature's gradient is the **sum** of
  what every rank found (``gather``, ``summed``).
* *Replicated* use: every rank computes the same thing from the gathered tensor, so the gradient is
  already whole on each rank and must be counted **once** (``gather`` without it,
  ``logsumexp_over_ranks``).

Without an initialised process group all of these are the identity.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Stands in for −inf where −inf − (−inf) would make a NaN.
LOWEST = -1e30


def call(function: Any, *arguments: Any) -> Any:
    """``function.apply(*arguments)``: an autograd Function, which torch leaves untyped."""
    return function.apply(*arguments)


def place(group: dist.ProcessGroup | None = None) -> tuple[int, int]:
    """(rank, world_size) of this process in ``group``; (0, 1) when nothing is initialised."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(group), dist.get_world_size(group)


def all_gather(x: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """(B, ...) of each rank in, (world_size·B, ...) in rank order out; no gradient."""
    _, size = place(group)
    if size == 1:
        return x
    x = x.contiguous()
    parts = [torch.empty_like(x) for _ in range(size)]
    dist.all_gather(parts, x, group=group)
    return torch.cat(parts)


def all_max(x: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """Element-wise maximum over ranks; no gradient."""
    if place(group)[1] == 1:
        return x
    x = x.clone()
    dist.all_reduce(x, dist.ReduceOp.MAX, group=group)
    return x


def all_sum(x: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """Element-wise sum over ranks; no gradient."""
    if place(group)[1] == 1:
        return x
    x = x.clone()
    dist.all_reduce(x, dist.ReduceOp.SUM, group=group)
    return x


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, group: dist.ProcessGroup | None, summed: bool, factor: float
    ) -> Tensor:
        ctx.group, ctx.summed, ctx.factor, ctx.rows = group, summed, factor, len(x)
        return all_gather(x, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rank, _ = place(ctx.group)
        mine = slice(rank * ctx.rows, (rank + 1) * ctx.rows)
        if not ctx.summed:
            own = grad[mine]
        elif dist.get_backend(ctx.group) == "nccl":  # half of what all_reduce sends
            own = grad.new_empty(ctx.rows, *grad.shape[1:])
            dist.reduce_scatter_tensor(own, grad.contiguous(), group=ctx.group)
        else:
            own = all_sum(grad.contiguous(), ctx.group)[mine]
        return own * ctx.factor, None, None, None


def gather(
    x: Tensor, group: dist.ProcessGroup | None, *, summed: bool, factor: float = 1.0
) -> Tensor:
    """(B, ...) of each rank in, (world_size·B, ...) out; backward keeps this rank's own rows.

    ``summed``: their gradient is the sum over ranks (*sharded* use), else what this rank found
    (*replicated*). ``factor`` scales it: ``world_size`` undoes the averaging of
    ``DistributedDataParallel``, so the backbone sees the gradient of the global mean loss.
    """
    if place(group)[1] == 1:
        return x
    out: Tensor = call(_Gather, x, group, summed, factor)
    return out


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        highest = all_max(x, group).clamp_min(LOWEST)
        out = highest + all_sum(torch.exp(x - highest), group).log()
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, out = ctx.saved_tensors
        return grad * torch.exp(x - out.clamp_min(LOWEST)), None


def logsumexp_over_ranks(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """(B,) log-sum-exp of each rank's classes in, over all classes out; −inf means no class."""
    if place(group)[1] == 1:
        return x
    out: Tensor = call(_LogSumExp, x, group)
    return out


__all__ = [
    "LOWEST",
    "all_gather",
    "all_max",
    "all_sum",
    "call",
    "gather",
    "logsumexp_over_ranks",
    "place",
]
