"""Features of a set of photos by a network, as it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from arcid.train.backbones.inputs import to_input
from arcid.train.data.crops import Unusable
from arcid.train.data.dataset import SampleSet
from arcid.types import Image

_BATCH = 64
_READ = 512  # photos held in memory at once


@torch.no_grad()
def embed(
    backbone: nn.Module, pixels: Image, device: torch.device, *, flip: bool = False
) -> Tensor:
    """(N,S,S,3) uint8 RGB in; (N,D) float32 features, not unit-norm, out.

    ``flip``: the sum over each photo and its mirror image.
    """
    found = []
    for start in range(0, len(pixels), _BATCH):
        images = torch.from_numpy(pixels[start : start + _BATCH]).permute(0, 3, 1, 2)
        inputs = to_input(images.to(device))
        features = backbone(inputs).float()
        found.append(features + backbone(inputs.flip(3)).float() if flip else features)
    return torch.cat(found) if found else torch.zeros(0, 1, device=device)


def embed_samples(
    backbone: nn.Module,
    samples: SampleSet,
    rows: npt.NDArray[np.int64],
    device: torch.device,
) -> Iterator[tuple[Tensor, list[int], list[tuple[int, Unusable]]]]:
    """Features (M,D) of ``rows`` of a set, the rows they are of, and those unreadable with why.

    Some hundred centre crops at a time, however large the set.
    """
    for start in range(0, len(rows), _READ):
        pixels, read, failed = _readable(samples, rows[start : start + _READ].tolist())
        yield embed(backbone, pixels, device), read, failed


def read_crops(samples: SampleSet) -> tuple[Image, npt.NDArray[np.int64]]:
    """(N,S,S,3) uint8 RGB centre crops and (N,) labels; unreadable photos are left out."""
    pixels, read, _ = _readable(samples, range(len(samples)))
    return pixels, samples.labels[read]


def _readable(
    samples: SampleSet, rows: Iterable[int]
) -> tuple[Image, list[int], list[tuple[int, Unusable]]]:
    pixels: list[Image] = []
    read: list[int] = []
    failed: list[tuple[int, Unusable]] = []
    for row in rows:
        try:
            pixels.append(samples.crop(row))
            read.append(row)
        except Unusable as error:
            failed.append((row, error))
    size = samples.store.size
    whole = np.stack(pixels) if pixels else np.zeros((0, size, size, 3), np.uint8)
    return whole, read, failed


__all__ = ["embed", "embed_samples", "read_crops"]
