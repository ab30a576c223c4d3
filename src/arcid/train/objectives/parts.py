"""One rank's photos of a step, brought to its device in ``optim.accumulate`` equal parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from arcid.train.backbones.inputs import to_input
from arcid.train.config.recipe import TrainConfig
from arcid.train.data.loader import Batch


@dataclass(frozen=True, eq=False, repr=False)
class Seen:
    """One forward pass's photos as the network sees them."""

    images: Tensor  # (B,3,S,S) uint8 RGB
    labels: Tensor  # (B,) int64, -1 without identity
    index: npt.NDArray[np.int64]  # (B,) photo of the set
    clean: Tensor | None = None  # the same before blur, darkness and masks

    @property
    def inputs(self) -> Tensor:
        """``images`` as the network eats them."""
        return to_input(self.images)


def parts_of(batch: Batch, config: TrainConfig, device: torch.device) -> Iterator[Seen]:
    """The batch part by part; blended in pairs where distillation asks for it."""
    size = len(batch.labels) // config.optim.accumulate

    def here(tensor: Tensor, start: int) -> Tensor:
        return tensor[start : start + size].to(device, non_blocking=True)

    for start in range(0, len(batch.labels), size):
        clean = None if batch.clean is None else here(batch.clean, start)
        index = batch.index[start : start + size]
        seen = Seen(here(batch.images, start), here(batch.labels, start), index, clean)
        if config.distil.teachers and config.distil.mix:
            seen = mixed(seen, config.distil.mix)
        if not config.precision.channels_last:
            seen = replace(seen, images=seen.images.contiguous())
        yield seen


def mixed(seen: Seen, share: float) -> Seen:
    """With probability ``share``, every photo blended with another: new faces for both sides.

    Teacher and student see the same blends, which belong to nobody (label -1). The draws come from
    torch's global generator, which checkpoints keep.
    """
    chance, weight = torch.rand(2).tolist()
    if chance >= share:
        return seen
    order = torch.randperm(len(seen.labels)).to(seen.labels.device)

    def blend(images: Tensor) -> Tensor:
        blended = images.float().lerp_(images[order].float(), weight)
        return blended.round_().to(torch.uint8).contiguous(memory_format=torch.channels_last)

    clean = None if seen.clean is None else blend(seen.clean)
    return Seen(blend(seen.images), torch.full_like(seen.labels, -1), seen.index, clean)


__all__ = ["Seen", "mixed", "parts_of"]
