"""How weights move: optimisers, gradient clipping, averaged weights, and moments on other ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from arcid.errors import ConfigError
from arcid.train.config.recipe import OptimConfig
from arcid.train.engine.muon import Muon
from arcid.train.heads.classifier import reshard
from arcid.train.heads.partial import RowAdamW, RowSGD
from arcid.train.ranks import Ranks

Update = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]


def hold(network: nn.Module, only: Sequence[str]) -> list[nn.Module]:
    """Keep all weights of ``network`` as they are but those of the modules named ``only``; the
    modules that are to stay in evaluation. Raises ``ConfigError``."""
    names = {name for name, _ in network.named_modules()} - {""}
    if unknown := [name for name in only if name not in names]:
        raise ConfigError(
            f"optim.only names {', '.join(unknown)}; the network has "
            f"{', '.join(name for name, _ in network.named_children())} and what is in them",
            key="optim.only",
        )

    def learns(name: str) -> bool:
        return not only or any(name == one or name.startswith(f"{one}.") for one in only)

    for name, weight in network.named_parameters():
        weight.requires_grad_(weight.requires_grad and learns(name))
    return [module for name, module in network.named_modules() if name and not learns(name)
            and not any(one.startswith(f"{name}.") for one in only)]  # fmt: skip


def network_optimizer(
    config: OptimConfig, network: nn.Module, *, parity: bool = False, fused: bool = False
) -> torch.optim.Optimizer:
    """For what all ranks share. Weights decay; biases, norms and slopes do in ``parity`` alone.

    ``fused``: one kernel updates all parameters, where the optimiser has one.
    """
    learnt = [p for p in network.parameters() if p.requires_grad]
    flat = config.weight_decay if parity else 0.0
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learnt if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": flat},
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=fused)
    if config.name == "muon":
        return Muon(groups, config.lr, betas=config.betas)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=fused)


def centre_optimizer(
    config: OptimConfig, centres: nn.Module, *, parity: bool = False
) -> RowSGD | RowAdamW:
    """For this rank's class centres, whose gradient may be row-sparse."""
    weights, decay = list(centres.parameters()), config.weight_decay
    if config.name != "sgd":
        return RowAdamW(weights, config.lr, config.betas, weight_decay=decay, whole=parity)
    return RowSGD(weights, config.lr, config.momentum, decay, whole=parity)


def moving_average(decay: float) -> Update:
    """w̄ ← d·w̄ + (1 − d)·w after every step; d rises to ``decay`` as (1 + n) / (10 + n).

    n counts the steps before; without the rise a short run would average in its first weights.
    Counters of batch norms are copied.
    """

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        n = int(count)
        share = 1 - min(decay, (1 + n) / (10 + n))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new.to(old.dtype), share)
            else:
                old.copy_(new)

    return update


def clip_rows(weight: nn.Parameter, limit: float, ranks: Ranks) -> Tensor:
    """Limit the norm of the centres' gradient over all ranks; () the norm before."""
    if weight.grad is None:
        return torch.zeros((), device=weight.device)
    if weight.grad.is_sparse:
        weight.grad = weight.grad.coalesce()
    values = weight.grad.values() if weight.grad.is_sparse else weight.grad
    square = values.float().square().sum()
    if ranks.world > 1:
        torch.distributed.all_reduce(square)
    norm = square.sqrt()
    values.mul_((limit / (norm + 1e-6)).clamp_max(1.0))
    return norm


def reshard_moments(states: Sequence[dict[str, Any]], rank: int, world: int) -> dict[str, Any]:
    """A row optimiser's state for ``rank`` of ``world`` from those of all former ranks."""
    whole = dict(states[0])
    whole["state"] = {
        key: {
            name: reshard([s["state"][key][name] for s in states], rank, world)
            if isinstance(value, Tensor) and value.ndim
            else value
            for name, value in moments.items()
        }
        for key, moments in states[0]["state"].items()
    }
    return whole


__all__ = [
    "centre_optimizer",
    "clip_rows",
    "moving_average",
    "network_optimizer",
    "reshard_moments",
]
