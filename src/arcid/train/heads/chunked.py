"""Softmax over many classes without the logit matrix: O(batch × chunk) memory, exact gradients.

The loss of a sample needs its own class's logit z_y and the log-sum-exp of all other logits:

    L = −log σ( z_y − lse ),      lse = log Σ_{j≠y} exp z_j

``class_sums`` gives cos θ_y and lse, walking over class centres in chunks. Backward recomputes each
chunk's cosines rather than storing them; when all centres fit in one chunk they are kept and no
product is computed twice. Both share one autograd node, so the gradient of the centres is a single
tensor, the only one of their size: dense, or row-sparse (``torch.sparse_coo``) over sampled rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from arcid.train.heads.collective import LOWEST, call
from arcid.train.heads.margin import ClassificationLoss

#: Where no chunk size is asked for, the most numbers in a chunk's cosines and in its centres:
#: 16 MiB of float32.
MAX_CHUNK = 1 << 22
_TINY = 1e-12


def chunk_classes(chunk: int, batch: int, k: int, dim: int) -> int:
    """Classes per chunk: of ``chunk`` centres, or for 0 as many as ``MAX_CHUNK`` allows."""
    return max(1, (chunk or MAX_CHUNK // max(1, batch, dim)) // k)


def unit_rows(w: Tensor) -> tuple[Tensor, Tensor]:
    """(..., D) in; unit rows and their lengths (..., 1) out, lengths held above 1e-12."""
    norms = torch.linalg.vector_norm(w, dim=-1, keepdim=True).clamp_min(_TINY)
    return w / norms, norms


class _Own:
    """Each sample and the nearest centre of its own class; nothing where that is elsewhere.

    Samples of other ranks' classes are carried along and masked: to pick the others out, a GPU
    would have to be waited for.
    """

    def __init__(self, x: Tensor, weight: Tensor, targets: Tensor, normalised: bool) -> None:
        self.here = targets >= 0
        centres = weight[targets.clamp_min(0)]
        if normalised:
            centres, norms = unit_rows(centres)
        cosine, self.nearest = torch.einsum("bkd,bd->bk", centres, x).max(dim=1)
        index = torch.arange(len(x), device=x.device)
        self.cosine = torch.where(self.here, cosine, 0.0)
        self.centres = centres[index, self.nearest]
        self.norms = norms[index, self.nearest] if normalised else None

    def kept(self) -> tuple[Tensor | None, ...]:
        return self.here, self.nearest, self.centres, self.norms


class _Chunks:
    """Cosines of features to centres, one chunk of classes at a time."""

    def __init__(
        self,
        x: Tensor,
        weight: Tensor,
        rows: Tensor | None,
        own: Tensor,
        normalised: bool,
        chunk: int,
        dtype: torch.dtype | None,
    ) -> None:
        self.x, self.weight, self.rows, self.own = x, weight, rows, own
        self.normalised, self.dtype = normalised, dtype
        self.count = len(weight) if rows is None else len(rows)
        self.k = weight.shape[1]
        self.step = chunk_classes(chunk, len(x), self.k, x.shape[1])
        self.low = x if dtype is None else x.to(dtype)

    def spans(self) -> list[tuple[int, int]]:
        return [(a, min(a + self.step, self.count)) for a in range(0, self.count, self.step)]

    def centres(self, start: int, stop: int) -> tuple[Tensor, Tensor | None]:
        """(c·K,D) raw centres of classes start..stop and, when normalised, (c·K,) 1/length."""
        if self.rows is None:
            w = self.weight[start:stop]
        else:
            w = self.weight.index_select(0, self.rows[start:stop])
        w = w.flatten(0, 1)
        if not self.normalised:
            return w, None
        return w, torch.linalg.vector_norm(w, dim=1).clamp_min(_TINY).reciprocal()

    def cosines(
        self, centres: Tensor, inverse: Tensor | None, start: int, stop: int
    ) -> tuple[Tensor, Tensor | None]:
        """(B,c) cosines, −inf at each sample's own class, and the (B,c) nearest sub-centre."""
        if self.dtype is None:
            cosine = self.x @ centres.T
            if inverse is not None:
                cosine.mul_(inverse)
        else:
            cosine = (self.low @ self.lowered(centres, inverse).T).to(self.x.dtype)
        nearest = None
        if self.k > 1:
            cosine, nearest = cosine.view(len(self.x), -1, self.k).max(dim=2)
        column = (self.own - start).clamp(0, stop - start - 1)[:, None]
        here = ((self.own >= start) & (self.own < stop))[:, None]
        held = torch.where(here, -torch.inf, cosine.gather(1, column))
        return cosine.scatter_(1, column, held), nearest

    def lowered(self, centres: Tensor, inverse: Tensor | None) -> Tensor:
        """Centres in the type of the products; unit rows, so that none of it underflows."""
        return (centres if inverse is None else centres * inverse[:, None]).to(self.dtype)


class _ClassSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        targets: Tensor,
        rows: Tensor | None,
        loss: ClassificationLoss,
        settle: Callable[[Tensor], tuple[Tensor, Tensor | None]],
        filter_cosine: float | None,
        filter_to: float,
        chunk: int,
        dtype: torch.dtype | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        mine = _Own(x, weight, targets, loss.normalised)
        cosine_own, pivot = settle(mine.cosine)
        own = targets
        if rows is not None:
            own = torch.where(targets >= 0, torch.searchsorted(rows, targets), -1)
        chunks = _Chunks(x, weight, rows, own, loss.normalised, chunk, dtype)
        lse = x.new_full((len(x),), -torch.inf)
        best = lse.clone()
        kept: tuple[Tensor | None, ...] = (None, None)
        spans = chunks.spans()
        for start, stop in spans:
            centres, inverse = chunks.centres(start, stop)
            cosine, nearest = chunks.cosines(centres, inverse, start, stop)
            best = torch.maximum(best, cosine.amax(dim=1))
            if len(spans) == 1:
                kept = (cosine, nearest)
            if filter_cosine is not None:
                cosine = cosine.masked_fill(cosine > filter_cosine, filter_to)
            z = loss.negatives(cosine, pivot)
            highest = z.amax(dim=1).clamp_min(LOWEST)
            total = z.sub_(highest[:, None]).exp_().sum(dim=1)
            lse = torch.logaddexp(lse, highest + total.log())
        ctx.save_for_backward(x, weight, rows, own, pivot, lse, *mine.kept(), *kept)
        ctx.settings = loss, filter_cosine, chunk, dtype
        ctx.mark_non_differentiable(best)
        return cosine_own, lse, best

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_own: Tensor, grad_lse: Tensor, _: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, weight, rows, own, pivot, lse, *saved = ctx.saved_tensors
        here, own_nearest, own_centres, own_norms, *kept = saved
        loss, filter_cosine, chunk, dtype = ctx.settings
        chunks = _Chunks(x, weight, rows, own, loss.normalised, chunk, dtype)
        shift = lse.clamp_min(LOWEST)[:, None]
        into_x = torch.zeros_like(x)
        into_w = x.new_empty(chunks.count, chunks.k, x.shape[1])
        for start, stop in chunks.spans():
            centres, inverse = chunks.centres(start, stop)
            if kept[0] is not None:
                cosine, nearest = kept
            else:
                cosine, nearest = chunks.cosines(centres, inverse, start, stop)
            if filter_cosine is not None:  # left out or held at a constant: no gradient
                cosine = cosine.masked_fill(cosine > filter_cosine, -torch.inf)
            g = loss.negatives(cosine, pivot).sub_(shift).exp_().mul_(grad_lse[:, None])
            g.mul_(loss.negative_slope(cosine, pivot))
            if nearest is not None:
                g = g.new_zeros(*g.shape, chunks.k).scatter_(2, nearest[..., None], g[..., None])
                g = g.flatten(1)
            part = into_w[start:stop].flatten(0, 1)
            if dtype is None:
                if inverse is not None:
                    g.mul_(inverse)
                into_x.addmm_(g, centres)
                torch.mm(g.T, x, out=part)
            else:
                g = g.to(dtype)
                into_x += (g @ chunks.lowered(centres, inverse)).to(x.dtype)
                part.copy_(g.T @ chunks.low)
                if inverse is not None:
                    part.mul_(inverse[:, None])
            if inverse is not None:  # ∂cos/∂w = (x − û·cos)/‖w‖
                along = (part * centres).sum(dim=1) * inverse.square()
                part.addcmul_(centres, along[:, None], value=-1)

        g = torch.where(here, grad_own, 0.0)[:, None]
        into_x += g * own_centres
        towards = g * x
        if own_norms is not None:
            along = (towards * own_centres).sum(dim=1, keepdim=True)
            towards = towards.addcmul_(own_centres, along, value=-1).div_(own_norms)
        places = own.clamp_min(0) * chunks.k + own_nearest
        into_w.flatten(0, 1).index_add_(0, places, towards)
        if rows is not None:
            into_w = torch.sparse_coo_tensor(
                rows[None], into_w, weight.shape, is_coalesced=True, check_invariants=False
            )
        return into_x, into_w, *[None] * 8


def class_sums(
    x: Tensor,
    weight: Tensor,
    targets: Tensor,
    loss: ClassificationLoss,
    settle: Callable[[Tensor], tuple[Tensor, Tensor | None]],
    *,
    rows: Tensor | None = None,
    filter_cosine: float | None = None,
    filter_to: float = -torch.inf,
    chunk: int = 0,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) cosine to the own class, (B,) lse over the others, (B,) their best cosine.

    ``x``       (B,D), unit rows when the loss is normalised
    ``weight``  (C,K,D) raw centres; to a class with K > 1 the cosine is that to the nearest
    ``targets`` (B,) the own class's row in ``weight``, −1 where another rank has it
    ``settle``  is given this rank's (B,) own-class cosines (0 where another rank has the class) and
                returns those of all ranks and the pivot of ``loss.target``; outside autograd
    ``rows``    (n,) ascending rows of ``weight`` to take, all of ``targets`` among them; None: all
    ``filter_cosine`` leaves out negatives above this cosine (inter-class filtering: An et al.,
                Killing Two Birds with One Stone, CVPR 2022: under label noise they are likely the
                same person)
    ``filter_to`` −inf, or 0: where such a negative still counts with that cosine, as in
                arcface_torch; no gradient reaches it either way
    ``chunk``   centres looked at together; 0: as ``chunk_classes`` says
    ``dtype``   (bfloat16, float16) of the matrix products alone

    lse is −inf where no negative is left. The best cosine has no gradient; that of the own cosine
    is taken as whole on every rank (each computes the same loss). The gradient of ``weight`` is
    row-sparse when ``rows`` is given.
    """
    out: tuple[Tensor, Tensor, Tensor] = call(
        _ClassSums, x, weight, targets, rows, loss, settle, filter_cosine, filter_to, chunk, dtype
    )
    return out


__all__ = ["MAX_CHUNK", "chunk_classes", "class_sums", "unit_rows"]
