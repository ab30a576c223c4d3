"""Softmax with a margin on one logit of each row: loss and gradients in one go, by Triton.

``arcid.train.heads.chunked`` walks over classes and computes every cosine twice, once for the sum
and once for the gradient. Here it is rows that come in parts, so that a part's cosines to all
classes are there together: a kernel sums them and writes the gradient over them, and the products
with it follow at once (as in Hsu et al., *Liger Kernel*, 2024). Three matrix products instead of
four, and nothing of the size of the logits but one part. The chunked code is what this must equal.

For one rank, one centre a class, and losses whose negatives are s·cos θ. The scalar loss is what
has a gradient: each sample's share in it must be known in the forward pass.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from arcid.train.heads.chunked import unit_rows
from arcid.train.heads.collective import call

MAX_PART = 1 << 26  # cosines of a part
_BLOCK = 1024


def _row(
    cosines: Any, stride: Any, classes: Any, own_of: Any, own_logit: Any, own_slope: Any,
    weight_of: Any, losses: Any, best_of: Any, into_logit: Any, scale: Any, limit: Any, filled: Any,
    block: tl.constexpr, filtered: tl.constexpr,
) -> None:  # fmt: skip
    """One row: (C) cosines become the gradient of weight · (lse − z_own), the own class's with it.

    ``limit`` and ``filled``: cosines above become this one and get no gradient (``filtered``).
    """
    row = tl.program_id(0)
    cosines += row * stride
    own = tl.load(own_of + row)
    logit, weight = tl.load(own_logit + row), tl.load(weight_of + row)
    highest, total, best = -1e30, 0.0, -1e30
    for start in range(0, classes, block):
        column = start + tl.arange(0, block)
        here = (column < classes) & (column != own)
        cosine = tl.load(cosines + column, mask=here, other=-1e30).to(tl.float32)
        best = tl.maximum(best, tl.max(cosine, axis=0))
        if filtered:
            cosine = tl.where(here & (cosine > limit), filled, cosine)
        z = cosine * scale
        top = tl.maximum(highest, tl.max(z, axis=0))
        total = total * tl.exp(highest - top) + tl.sum(tl.exp(z - top), axis=0)
        highest = top
    top = tl.maximum(highest, logit)
    whole = top + tl.log(total * tl.exp(highest - top) + tl.exp(logit - top))
    tl.store(losses + row, whole - logit)
    tl.store(best_of + row, best)
    pull = weight * (tl.exp(logit - whole) - 1)
    tl.store(into_logit + row, pull)
    toward = pull * tl.load(own_slope + row)
    for start in range(0, classes, block):
        column = start + tl.arange(0, block)
        inside = column < classes
        raw = tl.load(cosines + column, mask=inside, other=-1e30)
        cosine = raw.to(tl.float32)
        push = weight * scale * tl.exp(cosine * scale - whole)
        if filtered:
            push = tl.where(cosine > limit, 0.0, push)
        found = tl.where(column == own, toward, push)
        tl.store(cosines + column, found.to(raw.dtype), mask=inside)


_softmax_row: Any = triton.jit(_row)


class _FusedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        logit: Tensor,
        slope: Tensor,
        own: Tensor,
        share: Tensor,
        rows: Tensor | None,
        scale: float,
        filter_cosine: float | None,
        filter_to: float,
        part: int,
        dtype: torch.dtype | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        centres = weight[:, 0] if rows is None else weight[:, 0].index_select(0, rows)
        unit, norms = unit_rows(centres)
        low, x_low = (unit, x) if dtype is None else (unit.to(dtype), x.to(dtype))
        count, classes = len(x), len(unit)
        losses, best = torch.empty_like(logit), torch.empty_like(logit)
        into_logit, into_x = torch.empty_like(logit), torch.empty_like(x)
        into_unit = torch.zeros_like(unit)
        step = part or max(1, MAX_PART // classes)
        limited = filter_cosine is not None
        for start in range(0, count, step):
            some = slice(start, min(start + step, count))
            cosines = x_low[some] @ low.T
            _softmax_row[(len(cosines),)](
                cosines, cosines.stride(0), classes, own[some], logit[some], slope[some],
                share[some], losses[some], best[some], into_logit[some], scale,
                filter_cosine if filter_cosine is not None else 0.0,
                max(filter_to, -1e30), block=_BLOCK, filtered=limited,
            )  # fmt: skip
            into_x[some] = (cosines @ low).to(x.dtype)
            into_unit += (cosines.T @ x_low[some]).to(x.dtype)
        along = (into_unit * unit).sum(dim=1, keepdim=True)
        into_w = into_unit.addcmul_(unit, along, value=-1).div_(norms)[:, None]
        if rows is not None:
            into_w = torch.sparse_coo_tensor(
                rows[None], into_w, weight.shape, is_coalesced=True, check_invariants=False
            )
        ctx.gradients = into_x, into_w, into_logit
        ctx.mark_non_differentiable(losses, best)
        return (losses * share).sum(), losses, best

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        into_x, into_w, into_logit = ctx.gradients
        return into_x * grad, into_w * grad, into_logit * grad, *[None] * 9


def fused_loss(
    x: Tensor,
    weight: Tensor,
    logit: Tensor,
    slope: Tensor,
    own: Tensor,
    share: Tensor,
    *,
    scale: float,
    rows: Tensor | None = None,
    filter_cosine: float | None = None,
    filter_to: float = -torch.inf,
    part: int = 0,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """() Σ share·(lse − logit) with its gradients; (B,) the losses and (B,) the best negative.

    ``x`` (B,D) unit rows, ``weight`` (C,1,D) raw centres, ``own`` (B,) the row of ``weight`` (of
    ``rows``, where given) that is each sample's class, or −1; ``logit`` (B,) z_y and ``slope`` (B,)
    its derivative by cos θ_y, both float32; ``share`` (B,) of each sample in the loss; ``part``
    samples looked at together (0: as many as ``MAX_PART`` allows). The rest as ``class_sums``.
    ``logit`` gets a gradient for what it depends on beside the cosine, such as norms.
    """
    out: tuple[Tensor, Tensor, Tensor] = call(
        _FusedLoss, x, weight, logit, slope, own, share, rows, scale, filter_cosine, filter_to,
        part, dtype,
    )  # fmt: skip
    return out


__all__ = ["MAX_PART", "fused_loss"]
