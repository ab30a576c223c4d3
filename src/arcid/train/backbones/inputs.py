"""What a backbone eats: RGB pixels as (pixel − 127.5) / 127.5. The trainer's only copy."""

from __future__ import annotations

import torch
from torch import Tensor

MEAN = 127.5
STD = 127.5


def to_input(images: Tensor) -> Tensor:
    """(B,3,S,S) uint8 RGB in; float32 RGB in −1–1 out, on the same device and memory format."""
    return images.to(torch.float32).sub_(MEAN).mul_(1.0 / STD)


__all__ = ["MEAN", "STD", "to_input"]
