"""What a network's batch norms remember of the faces it was trained on.

A batch norm keeps mean μ̂ and deviation σ̂ of every channel over the training photos. Pictures whose
own μ and σ, over a batch and all cells, agree with them look to the network as faces do (Deng et
al., ArcFace, TPAMI 2022, section on the inverse problem):

    L_BN = Σ_layers  mean_c ((μ_c − μ̂_c) / σ̂_c)²  +  mean_c (σ_c / σ̂_c − 1)²

The paper sums plain squared differences. Here each is taken in units of the channel's own deviation
and averaged over channels, so that one weight means the same in layers whose numbers are large and
in networks of any width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_NEUTRAL = 1e-4  # from mean 0 and variance 1: nothing was ever counted


class NormPrior:
    """The batch norms of ``network`` that remember something; its loss while ``watching``.

    ``layers`` and ``channels`` count them; ``folded`` says that there is none: the network never
    had any, or they were folded into its convolutions, or nothing was trained.
    """

    def __init__(self, network: nn.Module) -> None:
        self._norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and _knows(m)]
        self._found: list[Tensor] = []
        self.layers = len(self._norms)
        self.channels = sum(norm.num_features for norm in self._norms)

    @property
    def folded(self) -> bool:
        return not self._norms

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Inside, every forward pass leaves what ``loss`` adds up."""
        handles = [norm.register_forward_pre_hook(self._look) for norm in self._norms]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._found.clear()

    def loss(self) -> Tensor | float:
        """() of the last forward pass; 0 without batch norms. Forgets it."""
        found, self._found = self._found, []
        return torch.stack(found).sum() if found else 0.0

    def _look(self, norm: nn.Module, given: tuple[Any, ...]) -> None:
        x: Tensor = given[0]
        if x.numel() <= x.shape[1]:
            return  # one number a channel has no deviation
        over = [0, *range(2, x.ndim)]
        assert isinstance(norm, _BatchNorm)
        assert norm.running_mean is not None and norm.running_var is not None
        usual = (norm.running_var + norm.eps).sqrt()
        own = (x.var(over, unbiased=False) + norm.eps).sqrt()
        shift = (x.mean(over) - norm.running_mean) / usual
        self._found.append(shift.square().mean() + (own / usual - 1).square().mean())


def _knows(norm: _BatchNorm) -> bool:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return False
    neutral = (mean.abs() < _NEUTRAL).all() and ((variance + norm.eps - 1).abs() < _NEUTRAL).all()
    fresh = (mean == 0).all() and (variance == 1).all()
    return not bool(neutral or fresh)


__all__ = ["NormPrior"]
