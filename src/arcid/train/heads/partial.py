"""Partial FC: a step looks at the classes of its batch and a random share of the others.

An et al., *Partial FC* (ICCVW 2021) and *Killing Two Birds with One Stone* (CVPR 2022): with 10 %
of the classes as negatives accuracy is kept, and logits, gradients and updates cost 10 %. Here the
centres' gradient is row-sparse, so neither memory nor time of a step grows with classes that were
not drawn; ``RowSGD`` and ``RowAdamW`` update just those rows (PyTorch's own optimisers refuse or
densify such gradients).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from arcid.errors import ConfigError
from arcid.train.heads.classifier import Classifier
from arcid.train.heads.margin import ClassificationLoss


class PartialClassifier(Classifier):
    """``Classifier`` whose negatives are a random share ``sample_rate`` of each rank's classes.

    Classes of the batch are always in; the rest is drawn anew every training step, from (seed,
    step, rank), so a resumed run draws the same. At rate 1, and in eval mode, every class takes
    part and values and gradients equal ``Classifier``'s. Below 1, ``weight.grad`` is row-sparse:
    use ``RowSGD`` or ``RowAdamW``.
    """

    def __init__(
        self,
        num_classes: int,
        dim: int,
        loss: ClassificationLoss,
        *,
        sample_rate: float = 0.1,
        seed: int = 0,
        **options: Any,
    ) -> None:
        if not 0 < sample_rate <= 1:
            raise ConfigError(f"sample_rate must lie in (0, 1], got {sample_rate}")
        super().__init__(num_classes, dim, loss, seed=seed, **options)
        self.sample_rate, self.seed = sample_rate, seed

    def _choose(self, targets: Tensor) -> Tensor | None:
        if self.sample_rate == 1 or not self.training:
            return None
        count = max(1, round(self.sample_rate * len(self.weight)))
        if count < len(targets):  # only then may the batch's own classes be more than that
            positive: Tensor = torch.unique(targets[targets >= 0])
            if len(positive) >= count:
                return positive
        generator = torch.Generator(self.weight.device)
        generator.manual_seed(((self.seed * 1_000_003 + self.steps) * 65_537 + self.rank) % 2**63)
        chance = torch.rand(len(self.weight), generator=generator, device=self.weight.device)
        nobody = chance.new_zeros(1)  # a place for those whose class is elsewhere
        chance = torch.cat([chance, nobody]).index_fill_(
            0, torch.where(targets >= 0, targets, len(self.weight)), 2.0
        )
        return chance[:-1].topk(count, sorted=False).indices.sort().values


def _rows_of(grad: Tensor) -> tuple[Tensor | slice, Tensor]:
    """(rows, values) of a gradient: every row of a dense one, the stored rows of a sparse one."""
    if not grad.is_sparse:
        return slice(None), grad
    grad = grad.coalesce()
    return grad.indices()[0], grad.values()


class _RowOptimizer(torch.optim.Optimizer, ABC):
    """Loop over parameters; subclasses update the rows that have a gradient."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    grad = p.grad.to_dense() if group.get("whole") else p.grad
                    self._update(group, p, *_rows_of(grad))
        return loss

    @abstractmethod
    def _update(self, group: dict[str, Any], p: Tensor, rows: Tensor | slice, grad: Tensor) -> None:
        """One parameter's rows that have a gradient."""


class RowSGD(_RowOptimizer):
    """SGD with momentum, v ← μ·v + g + wd·w; w ← w − lr·v, for the rows that have a gradient.

    With dense gradients it equals ``torch.optim.SGD``. Rows without a gradient keep their value,
    their momentum and are not decayed; with ``whole`` they decay and go on by their momentum, as in
    arcface_torch, and a step costs as much as all rows.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        *,
        whole: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "whole": whole},
        )

    def _update(self, group: dict[str, Any], p: Tensor, rows: Tensor | slice, grad: Tensor) -> None:
        if group["weight_decay"]:
            grad = grad.add(p[rows], alpha=group["weight_decay"])
        if group["momentum"]:
            state = self.state[p]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(p)
            velocity = state["momentum_buffer"]
            grad = velocity[rows].mul(group["momentum"]).add_(grad)
            velocity[rows] = grad
        if isinstance(rows, slice):
            p.add_(grad, alpha=-group["lr"])
        else:
            p.index_add_(0, rows, grad, alpha=-group["lr"])


class RowAdamW(_RowOptimizer):
    """AdamW (Loshchilov & Hutter, ICLR 2019) for the rows that have a gradient.

    With dense gradients it equals ``torch.optim.AdamW``. Rows without one keep value and moments
    (``whole``: as in ``RowSGD``); bias is corrected by the number of steps of the whole tensor.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        whole: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "whole": whole})

    def _update(self, group: dict[str, Any], p: Tensor, rows: Tensor | slice, grad: Tensor) -> None:
        state = self.state[p]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(p)
            state["exp_avg_sq"] = torch.zeros_like(p)
        state["step"] += 1
        steps, (beta1, beta2) = float(state["step"]), group["betas"]
        first = state["exp_avg"][rows].lerp(grad, 1 - beta1)
        second = state["exp_avg_sq"][rows].mul(beta2).addcmul_(grad, grad, value=1 - beta2)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = first, second
        denominator = (second / (1 - beta2**steps)).sqrt_().add_(group["eps"])
        decayed = p[rows] * (1 - group["lr"] * group["weight_decay"])
        p[rows] = decayed.addcdiv_(first, denominator, value=-group["lr"] / (1 - beta1**steps))


__all__ = ["PartialClassifier", "RowAdamW", "RowSGD"]
