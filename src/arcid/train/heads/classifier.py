"""Class centres for training: whole on one rank, or each rank holding a range of classes.

A step, on every rank at once (Deng et al., ArcFace, TPAMI 2021, sec. 3.5; An et al., Partial FC):

    local features (B,D) ─ normalise ─ gather ─→ (world·B, D) on every rank
    own-class cosines, summed over ranks  ─ loss.target ─→  z_y
    other classes of this rank, in chunks ─ log-sum-exp over ranks ─→  lse
    loss = mean of −log σ(z_y − lse), the same scalar on every rank

Ranks exchange features, a few numbers per sample and the features' gradient; never logits. No
tensor is larger than the centres themselves or a chunk's cosines. ``partial.PartialClassifier``
adds sampling of negatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import ConfigError, InvalidArray, UsageError
from arcid.train.heads.chunked import chunk_classes, class_sums, unit_rows
from arcid.train.heads.collective import (
    all_gather,
    all_max,
    all_sum,
    gather,
    logsumexp_over_ranks,
    place,
)
from arcid.train.heads.margin import ClassificationLoss, widen

#: Standard deviation of fresh centres, as arcface_torch has it: lengths near 0.01·√D.
INITIAL_STD = 0.01
_INITIAL_BLOCK = 1024
_TRITON = find_spec("triton") is not None


def class_range(num_classes: int, rank: int, world_size: int) -> range:
    """The classes of one rank: contiguous, sizes differing by at most one."""
    if not 0 <= rank < world_size:
        raise UsageError(f"rank must lie in 0..{world_size - 1}, got {rank}")
    share, extra = divmod(num_classes, world_size)
    start = rank * share + min(rank, extra)
    return range(start, start + share + (rank < extra))


def reshard(shards: Sequence[Tensor], rank: int, world_size: int) -> Tensor:
    """The rows of ``rank`` of ``world_size``, from shards of any other number of ranks.

    ``shards`` are (C_r, ...) in rank order and together hold every class; only those that overlap
    are read, so memory-mapped tensors stay on disk. Works for centres and for optimiser state of
    the same shape. ``reshard(shards, 0, 1)`` gathers, ``reshard([whole], r, n)`` shards.
    """
    if not shards:
        raise UsageError("no shards to read; pass the tensors of all ranks in rank order")
    wanted = class_range(sum(len(s) for s in shards), rank, world_size)
    parts, start = [shards[0][:0]], 0
    for shard in shards:
        low, high = max(wanted.start, start), min(wanted.stop, start + len(shard))
        if low < high:
            parts.append(shard[low - start : high - start])
        start += len(shard)
    return torch.cat(parts)


def reshard_state(
    states: Sequence[Mapping[str, Any]], rank: int, world_size: int
) -> dict[str, Any]:
    """A classifier's state for ``rank`` of ``world_size`` from the states of all former ranks.

    Raises ``UsageError`` when a rank is missing or the states belong to different classifiers.
    """
    ranks = [s["_extra_state"] for s in states]
    expected = ranks[0]["world_size"] if ranks else 0
    if [e["rank"] for e in ranks] != list(range(expected)) or not ranks:
        raise UsageError(
            f"need the classifier states of ranks 0..{expected - 1} in order, "
            f"got ranks {[e['rank'] for e in ranks]}"
        )
    for key in ("num_classes", "dim", "k"):
        if len({e[key] for e in ranks}) > 1:
            raise UsageError(f"the states disagree on {key}: {sorted({e[key] for e in ranks})}")
    state = dict(states[0])
    state["weight"] = reshard([s["weight"] for s in states], rank, world_size)
    state["_extra_state"] = {**ranks[0], "rank": rank, "world_size": world_size}
    return state


def initial_centres(classes: range, k: int, dim: int, seed: int) -> Tensor:
    """(len(classes),K,D) float32 N(0, 0.01²), the same for a class whichever rank holds it."""
    out = torch.empty(len(classes), k, dim)
    for block in range(classes.start // _INITIAL_BLOCK, -(-classes.stop // _INITIAL_BLOCK)):
        generator = torch.Generator().manual_seed((seed * 1_000_003 + block) % 2**63)
        first = block * _INITIAL_BLOCK
        low, high = max(classes.start, first), min(classes.stop, first + _INITIAL_BLOCK)
        drawn = torch.randn(_INITIAL_BLOCK, k, dim, generator=generator) * INITIAL_STD
        out[low - classes.start : high - classes.start] = drawn[low - first : high - first]
    return out


@dataclass(frozen=True)
class ClassifierOutput:
    """What one step of the classifier gives.

    ``loss``    () mean over the global batch, the same on every rank; the only one with a gradient;
                photos without a label (-1) do not count, and without any it is 0
    ``losses``  (B,) of this rank's samples
    ``cosine``  (B,) to the own class (for plain softmax its logit), this rank's samples
    ``correct`` (B,) bool: the own class was nearest of the classes looked at
    """

    loss: Tensor
    losses: Tensor
    cosine: Tensor
    correct: Tensor


class Classifier(nn.Module):
    """(B,D) features and (B,) int64 labels in, ``ClassifierOutput`` out; classes in chunks.

    ``num_classes``   over all ranks, at least 2
    ``dim``           D of the features
    ``loss``          a ``ClassificationLoss``, e.g. ``loss_spec("arcface").build()``
    ``k``             sub-centres per class; the cosine to a class is that to the nearest
    ``filter_cosine`` leave out negatives above this cosine (0.4 in the paper), None: keep all
    ``filter_to``     the cosine they are given instead (arcface_torch: 0); −inf leaves them out
    ``chunk``         centres looked at together; 0: as many as fit in 16 MiB
    ``matmul_dtype``  bfloat16 or float16 for the matrix products; None: the type of the centres
    ``average_gradients`` True under ``DistributedDataParallel``, which averages over ranks: the
                      features' gradient is scaled so that the backbone still sees the gradient of
                      the global mean
    ``fused``         an attribute: take Triton's kernel where it can do it; None: on a GPU
    ``group``         process group; without an initialised one this is rank 0 of 1
    ``seed``          of fresh centres, equal on all ranks

    ``weight`` (C_r,K,D) holds this rank's classes, ``classes``; for plain softmax a last column
    holds the biases (the feature gets a constant 1). Do not wrap it in DistributedDataParallel:
    its gradients are already those of the global loss. Every rank brings as many samples as the
    others, and calls backward before the next forward. ``filter_cosine`` needs a normalised loss.
    """

    def __init__(
        self,
        num_classes: int,
        dim: int,
        loss: ClassificationLoss,
        *,
        k: int = 1,
        filter_cosine: float | None = None,
        filter_to: float = -torch.inf,
        chunk: int = 0,
        matmul_dtype: torch.dtype | None = None,
        average_gradients: bool = True,
        group: dist.ProcessGroup | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        rank, world_size = place(group)
        if num_classes < max(2, world_size):
            raise ConfigError(
                f"a classifier needs at least 2 classes and one per rank, got {num_classes} "
                f"classes for {world_size} ranks"
            )
        if not loss.normalised and (k > 1 or filter_cosine is not None):
            raise ConfigError(
                "plain softmax has no cosines: use k=1 and no filter_cosine, or a normalised loss"
            )
        self.num_classes, self.dim, self.k = num_classes, dim, k
        self.loss, self.chunk = loss, chunk
        self.filter_cosine, self.filter_to = filter_cosine, filter_to
        self.matmul_dtype, self.average_gradients = matmul_dtype, average_gradients
        self.group, self.rank, self.world_size = group, rank, world_size
        self.classes = class_range(num_classes, rank, world_size)
        centres = initial_centres(self.classes, k, dim, seed)
        if not loss.normalised:
            centres = F.pad(centres, (0, 1))
        self.weight = nn.Parameter(centres.to(device=device, dtype=dtype))
        self.steps = 0
        self._batch_checked = self._labels_checked = False
        self.to(device=device)
        self.fused: bool | None = None

    def forward(self, features: Tensor, labels: Tensor) -> ClassifierOutput:
        """See the class. Raises ``InvalidArray`` for wrong shapes or labels out of range."""
        self._check(features, labels)
        with torch.autocast(features.device.type, enabled=False):
            return self._forward(features, labels)

    def _forward(self, features: Tensor, labels: Tensor) -> ClassifierOutput:
        factor = float(self.world_size) if self.average_gradients else 1.0
        local, norms = self._prepare(features)
        x = gather(local, self.group, summed=True, factor=factor)
        norms = gather(norms, self.group, summed=False, factor=factor)
        everyone = all_gather(labels, self.group)

        named = everyone >= 0
        targets = self._rows(everyone)
        if self._may_fuse(x):
            return self._fused(x, norms, named, targets)

        def settle(own: Tensor) -> tuple[Tensor, Tensor | None]:
            own = all_sum(own, self.group)
            self._observe(own, norms, named)
            return own, self.loss.target(own, norms.detach()).pivot

        cosine, lse, best = class_sums(
            x, self.weight, targets, self.loss, settle, rows=self._choose(targets),
            filter_cosine=self.filter_cosine, filter_to=self.filter_to, chunk=self.chunk,
            dtype=self.matmul_dtype,
        )  # fmt: skip
        if self.training:
            self.steps += 1
        target = self.loss.target(cosine, norms)
        lse = logsumexp_over_ranks(lse, self.group)
        losses = -F.logsigmoid(target.logit - lse)
        if target.penalty is not None:
            losses = losses + target.penalty
        losses = torch.where(named, losses, 0.0)
        mine = slice(self.rank * len(labels), (self.rank + 1) * len(labels))
        correct = named & (cosine.detach() > all_max(best, self.group))
        return ClassifierOutput(
            losses.sum() / named.sum().clamp_min(1),
            losses.detach()[mine], cosine.detach()[mine], correct[mine],
        )  # fmt: skip

    def _may_fuse(self, x: Tensor) -> bool:
        """Whether Triton's kernel can stand in for the walk over chunks."""
        wanted = x.is_cuda and _TRITON if self.fused is None else self.fused
        plain = type(self.loss).negatives is ClassificationLoss.negatives
        return (
            wanted and plain and self.loss.normalised and self.k == 1
            and self.world_size == 1 and torch.is_grad_enabled() and x.dtype == torch.float32
        )  # fmt: skip

    def _fused(self, x: Tensor, norms: Tensor, named: Tensor, targets: Tensor) -> ClassifierOutput:
        from arcid.train.heads.fused import fused_loss

        rows, own = self._choose(targets), targets
        if rows is not None:
            own = torch.where(named, torch.searchsorted(rows, targets), -1)
        with torch.no_grad():
            centres = unit_rows(self.weight[targets.clamp_min(0), 0])[0]
            cosine = torch.where(named, (centres * x).sum(dim=1), 0.0)
        self._observe(cosine, norms, named)
        leaf = cosine.clone().requires_grad_()
        target = self.loss.target(leaf, norms)
        slope = torch.autograd.grad(target.logit.sum(), leaf, retain_graph=True)[0]
        if self.training:
            self.steps += 1
        share = named / named.sum().clamp_min(1)
        loss, losses, best = fused_loss(
            x, self.weight, target.logit, slope, own, share, scale=self.loss.scale, rows=rows,
            filter_cosine=self.filter_cosine, filter_to=self.filter_to, dtype=self.matmul_dtype,
        )  # fmt: skip
        if target.penalty is not None:
            loss = loss + (target.penalty * share).sum()
            losses = losses + target.penalty.detach()
        return ClassifierOutput(
            loss, torch.where(named, losses, 0.0), cosine, named & (cosine > best)
        )

    def _observe(self, cosine: Tensor, norms: Tensor, named: Tensor) -> None:
        """Running statistics, for losses that keep some; others wait for nothing on a GPU."""
        keeps = type(self.loss).observe is not ClassificationLoss.observe
        if self.training and keeps and bool(named.any()):
            self.loss.observe(cosine[named], norms.detach()[named])

    def _prepare(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features as the centres want them, and their (B,) lengths."""
        x = widen(features).to(self.weight.dtype)
        if self.loss.normalised:
            x, norms = unit_rows(x)
            return x, norms[:, 0]
        return F.pad(x, (0, 1), value=1.0), torch.linalg.vector_norm(x, dim=1)

    def _rows(self, labels: Tensor) -> Tensor:
        """Each label's row in ``weight``, −1 for classes of other ranks."""
        own = (labels >= self.classes.start) & (labels < self.classes.stop)
        return torch.where(own, labels - self.classes.start, -1)

    def _choose(self, targets: Tensor) -> Tensor | None:
        """Ascending rows to take as negatives this step, or None for all of them."""
        return None

    def _check(self, features: Tensor, labels: Tensor) -> None:
        if features.ndim != 2 or features.shape[1] != self.dim or len(features) == 0:
            raise InvalidArray(f"features must be (B,{self.dim}), got {tuple(features.shape)}")
        if labels.shape != features.shape[:1] or labels.dtype != torch.int64:
            raise InvalidArray(
                f"labels must be ({len(features)},) int64, got {tuple(labels.shape)} {labels.dtype}"
            )
        if not (labels.is_cuda and self._labels_checked):  # each look would wait for the GPU
            low, high = int(labels.min()), int(labels.max())
            if low < -1 or high >= self.num_classes:
                raise InvalidArray(
                    f"labels must lie in -1..{self.num_classes - 1}, got {low}..{high}; "
                    "was the classifier made for another data set?"
                )
            self._labels_checked = True
        if self.world_size > 1 and not self._batch_checked:
            sizes = all_gather(torch.tensor([len(labels)], device=labels.device), self.group)
            if bool((sizes != sizes[0]).any()):
                raise InvalidArray(
                    f"every rank must bring the same number of samples, got {sizes.tolist()}"
                )
            self._batch_checked = True

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """(B,) int64 nearest class of each of this rank's features, over all ranks' classes."""
        with torch.autocast(features.device.type, enabled=False):
            x = all_gather(self._prepare(features)[0], self.group)
            best = x.new_full((len(x),), -torch.inf)
            label = torch.zeros(len(x), dtype=torch.int64, device=x.device)
            step = chunk_classes(self.chunk, len(x), self.k, x.shape[1])
            for start in range(0, len(self.weight), step):
                w = self.weight[start : start + step].flatten(0, 1)
                w = unit_rows(w)[0] if self.loss.normalised else w
                top, index = (x @ w.T).max(dim=1)
                label = torch.where(top > best, index // self.k + start, label)
                best = torch.maximum(best, top)
        highest = all_max(best, self.group)
        unlikely = torch.full_like(label, self.num_classes)
        label = torch.where(best == highest, label + self.classes.start, unlikely)
        label = -all_max(-label, self.group)
        return label[self.rank * len(features) : (self.rank + 1) * len(features)]

    @torch.no_grad()
    def sub_centre_cosines(self, features: Tensor, labels: Tensor) -> Tensor:
        """(B,K) cosines of this rank's features to the sub-centres of their own class."""
        self._check(features, labels)
        with torch.autocast(features.device.type, enabled=False):
            x = all_gather(self._prepare(features)[0], self.group)
            rows = self._rows(all_gather(labels, self.group))
            owned = torch.nonzero(rows >= 0)[:, 0]
            centres = self.weight[rows[owned]]
            if self.loss.normalised:
                centres = unit_rows(centres)[0]
            cosines = torch.einsum("bkd,bd->bk", centres, x[owned])
            out = all_sum(x.new_zeros(len(x), self.k).index_copy(0, owned, cosines), self.group)
        return out[self.rank * len(features) : (self.rank + 1) * len(features)]

    def get_extra_state(self) -> dict[str, int]:
        return {
            "num_classes": self.num_classes,
            "dim": self.dim,
            "k": self.k,
            "rank": self.rank,
            "world_size": self.world_size,
            "steps": self.steps,
        }

    def set_extra_state(self, state: Mapping[str, int]) -> None:
        mine = self.get_extra_state()
        wrong = [
            n for n in ("num_classes", "dim", "k", "rank", "world_size") if state[n] != mine[n]
        ]
        if wrong:
            raise UsageError(
                "this classifier state is of another shape: "
                + ", ".join(f"{n} {state[n]} instead of {mine[n]}" for n in wrong)
                + "; use reshard_state for another number of ranks"
            )
        self.steps = state["steps"]

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As in torch, but a state of another shape says so before any tensor is copied."""
        if "_extra_state" in state_dict:
            steps = self.steps
            self.set_extra_state(state_dict["_extra_state"])
            self.steps = steps
        return super().load_state_dict(state_dict, strict, assign)


__all__ = [
    "Classifier",
    "ClassifierOutput",
    "class_range",
    "initial_centres",
    "reshard",
    "reshard_state",
]
