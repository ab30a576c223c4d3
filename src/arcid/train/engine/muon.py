"""Muon: steps of matrices made orthogonal, so that every direction of a layer learns alike.

Jordan et al., *Muon: an optimizer for hidden layers* (2024). The momentum of a matrix is brought
near U·Vᵀ of its singular value decomposition by five Newton–Schulz steps, and scaled so that its
numbers are as large as AdamW's (Liu et al., *Muon is scalable for LLM training*, 2025): one
learning rate serves both. A pointwise convolution is a matrix (out × in); depthwise ones, norms and
biases are updated by AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan's coefficients
_RMS = 0.2  # of AdamW's updates


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon updates it: a linear layer or a convolution that mixes channels."""
    return parameter.ndim > 1 and min(parameter.shape[:2]) > 1


def orthogonal(matrix: Tensor) -> Tensor:
    """(R,C) in; near U·Vᵀ of its singular value decomposition out, singular values 0.7 to 1.2."""
    a, b, c = _QUINTIC
    tall = len(matrix) > matrix.shape[1]
    x: Tensor = matrix.float()
    x = (x.T if tall else x) / x.norm().clamp_min(1e-7)
    for _ in range(5):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Muon(torch.optim.AdamW):
    """See the module. ``momentum`` is of the matrices, ``betas`` of everything else."""

    def __init__(
        self, params: Iterable[Any], lr: float, *, momentum: float = 0.95, **options: Any
    ) -> None:
        self.momentum = momentum
        super().__init__(params, lr=lr, **options)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        matrices = []
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and is_matrix(p):
                    self._update(group, p, p.grad)
                    matrices.append((p, p.grad))
                    p.grad = None  # left out by AdamW
        found = super().step(closure)
        for p, grad in matrices:
            p.grad = grad
        return found

    def _update(self, group: dict[str, Any], p: Tensor, grad: Tensor) -> None:
        state = self.state[p]
        if "momentum" not in state:
            # AdamW looks for its counter in every stored state
            state |= {"momentum": torch.zeros_like(p), "step": torch.tensor(0.0)}
        momentum = state["momentum"].lerp_(grad, 1 - self.momentum)
        ahead = grad.lerp(momentum, self.momentum).flatten(1)
        size = _RMS * max(ahead.shape) ** 0.5
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(orthogonal(ahead).view_as(p), alpha=-group["lr"] * size)


__all__ = ["Muon", "is_matrix", "orthogonal"]
