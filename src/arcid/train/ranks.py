"""This process among the others of a run: alone, or one rank of ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from arcid.errors import ConfigError

_PATIENCE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Rank ``rank`` of ``world``, computing on ``device``."""

    rank: int
    world: int
    device: torch.device
    patient: dist.ProcessGroup | None = None  # waits for days; the default one for minutes

    @property
    def first(self) -> bool:
        """The rank that writes logs and measures."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for all ranks, however long one takes."""
        if self.world > 1:
            dist.barrier(self.patient)

    def largest(self, *values: float) -> tuple[float, ...]:
        """Each value's largest over ranks, the same on all of them."""
        if self.world == 1:
            return values
        held = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(held, dist.ReduceOp.MAX)
        return tuple(held.tolist())

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over ranks, the same on all of them; ``values`` is changed."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def everywhere(self, value: Any) -> list[Any]:
        """Each rank's value, in rank order; small ones only."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found


def one_rank(what: str) -> Ranks:
    """The only rank of ``what`` cannot be divided, on the CPU. Raises ``ConfigError``."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(f"{what} runs in one process; start it without torchrun")
    return Ranks(0, 1, torch.device("cpu"))


@contextmanager
def start_ranks() -> Iterator[Ranks]:
    """Join the process group ``torchrun`` describes (gloo on CPU, nccl on CUDA), or stay alone.

    Raises ``ConfigError`` where there are more ranks on this machine than GPUs.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"torchrun started local rank {local}, this machine has "
                f"{torch.cuda.device_count()} GPUs; lower --nproc-per-node"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if world == 1:
        yield Ranks(0, 1, device)
        return
    joined = not dist.is_initialized()
    if joined:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    patient = dist.new_group(backend="gloo", timeout=_PATIENCE)
    try:
        yield Ranks(rank, world, device, patient)
    finally:
        dist.destroy_process_group(None if joined else patient)


__all__ = ["Ranks", "one_rank", "start_ranks"]
