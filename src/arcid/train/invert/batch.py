"""Pictures of one batch of targets, step by step; its state can be stored and taken up again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.train.backbones import Backbone
from arcid.train.backbones.inputs import MEAN, STD, to_input
from arcid.train.engine.model import backward
from arcid.train.invert.prior import NormPrior
from arcid.train.invert.settings import Settings
from arcid.train.invert.targets import Targets
from arcid.types import Image

_START = 0.2  # deviation of the noise a picture begins as
_BETAS = (0.5, 0.9)  # of Adam: views differ from step to step, so its memory is short


class Batch:
    """``pixels`` (B,3,s,s) in −1 … 1 after ``step`` of ``settings.steps`` steps.

    What is drawn at a step depends on seed, batch and step alone, so a batch that was stored goes
    on as if it had never stopped.
    """

    def __init__(
        self, network: Backbone, targets: Targets, rows: slice, number: int, settings: Settings
    ) -> None:
        self._network, self._targets, self._rows = network, targets, rows
        self._settings, self._number = settings, number
        self.step = 0
        first, _, _ = settings.stage(0, network.size)
        count = len(range(*rows.indices(len(targets))))
        noise = self._random(0).standard_normal((count, 3, first, first))
        self._begin(torch.from_numpy(noise * _START).float())

    def advance(self, prior: NormPrior) -> float:
        """One step; the mean cosine of its views to their targets. ``prior`` is watching."""
        size, inside, steps = self._settings.stage(self.step, self._network.size)
        if inside == 0 and self.pixels.shape[-1] != size:
            self._begin(_resized(self.pixels.detach(), size))
        whole = _resized(self.pixels, self._network.size)
        unit = F.normalize(self._network(self._view(whole)), dim=1)
        settings = self._settings
        loss = (
            self._targets.loss(unit, self._rows, settings.goal)
            + settings.norms * prior.loss()
            + settings.variation * _variation(whole)
            + settings.energy * whole.square().sum((1, 2, 3)).mean()
        )
        self._optimizer.param_groups[0]["lr"] = (
            settings.rate * 0.5 * (1 + math.cos(math.pi * inside / steps))
        )
        self._optimizer.zero_grad()
        backward(loss)
        self._optimizer.step()
        with torch.no_grad():
            self.pixels.clamp_(-1, 1)
        self.step += 1
        return float(self._targets.cosines(unit.detach(), self._rows).mean())

    @property
    def done(self) -> bool:
        return self.step >= self._settings.steps

    def pictures(self) -> Image:
        """(B,S,S,3) uint8 RGB."""
        whole = _resized(self.pixels.detach(), self._network.size)
        levels = (whole * STD + MEAN).round().clamp(0, 255).to(torch.uint8)
        return np.ascontiguousarray(levels.permute(0, 2, 3, 1).numpy())

    def state(self) -> dict[str, Any]:
        """Tensors and plain values."""
        return {
            "step": self.step,
            "pixels": self.pixels.detach(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        self._begin(state["pixels"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])

    def _begin(self, pixels: Tensor) -> None:
        self.pixels = pixels.clone().requires_grad_(True)
        self._optimizer = torch.optim.Adam([self.pixels], lr=self._settings.rate, betas=_BETAS)

    def _view(self, whole: Tensor) -> Tensor:
        rng, most = self._random(1 + self.step), self._settings.jitter
        down, right = rng.integers(-most, most + 1, 2).tolist()
        seen = F.pad(whole, (most,) * 4, mode="replicate") if most else whole
        size = whole.shape[-1]
        seen = seen[..., most + down : most + down + size, most + right : most + right + size]
        if rng.random() < 0.5:
            seen = seen.flip(3)
        return seen.contiguous(memory_format=torch.channels_last)

    def _random(self, draw: int) -> np.random.Generator:
        return np.random.default_rng((self._settings.seed, self._number, draw))


def features(network: nn.Module, pictures: Image, *, flip: bool = False) -> Tensor:
    """(N,S,S,3) uint8 RGB in; (N,D) unit-norm out, with ``flip`` of a picture and its mirror
    image together."""
    found = []
    with torch.no_grad():
        for start in range(0, len(pictures), 16):
            part = torch.from_numpy(np.ascontiguousarray(pictures[start : start + 16]))
            x = to_input(part.permute(0, 3, 1, 2))  # channels last, as pictures lie
            found.append(network(x) + network(x.flip(3)) if flip else network(x))
    return F.normalize(torch.cat(found), dim=1)


def _resized(pixels: Tensor, size: int) -> Tensor:
    if pixels.shape[-1] == size:
        return pixels
    return F.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=False)


def _variation(pixels: Tensor) -> Tensor:
    """() of a picture: the sum of absolute differences of neighbours (Rudin et al., 1992)."""
    down = (pixels[:, :, 1:] - pixels[:, :, :-1]).abs().sum((1, 2, 3))
    right = (pixels[:, :, :, 1:] - pixels[:, :, :, :-1]).abs().sum((1, 2, 3))
    return (down + right).mean()


__all__ = ["Batch", "features"]
