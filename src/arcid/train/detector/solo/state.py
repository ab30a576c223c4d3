"""Where a run of one process stands: one file, replaced whole, read without running code."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from arcid.errors import CheckpointInvalid, CheckpointMismatch
from arcid.files import replacing
from arcid.train.config.file import differences
from arcid.train.config.section import build
from arcid.train.detector.solo.config import SoloConfig

FORMAT = 1
FILE = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class RunState:
    """One stored state."""

    step: int
    pictures: int  # views trained on
    seconds: float  # of training, over all starts
    config: dict[str, Any]
    network: dict[str, Tensor]
    averaged: dict[str, Tensor]
    optimizer: dict[str, Any]
    earlier: dict[str, float] = field(default_factory=dict)  # ``total`` of what it was started from

    @property
    def total(self) -> dict[str, float]:
        """Steps, views and seconds of this run and of those it was started from."""
        own = {"steps": self.step, "pictures": self.pictures, "seconds": self.seconds}
        return {name: value + self.earlier.get(name, 0) for name, value in own.items()}

    def check(self, config: SoloConfig, free: Iterable[str]) -> None:
        """Refuse to go on under a config that means another run: all but the ``free`` settings.

        Raises ``CheckpointMismatch``.
        """
        own = build(type(config), self.config).to_dict()
        if other := differences(own, config.to_dict(), ignore=free):
            raise CheckpointMismatch(
                f"the run in {config.out} has other settings: {'; '.join(other)}; resume with its "
                "config, or start a new run with init_from and another out"
            )


def save_state(folder: Path, state: RunState) -> Path:
    """Store the state whole; raises what ``files.replacing`` does, and the old state stays."""
    path = folder / FILE
    content = {"format": FORMAT, **{name: getattr(state, name) for name in RunState.__slots__}}
    with replacing(path) as stream:
        torch.save(content, stream)
    return path


def load_state(folder: Path) -> RunState | None:
    """The state of a run folder, None without any. Raises ``CheckpointInvalid``."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content.pop("format") != FORMAT:
            raise CheckpointInvalid(
                f"{path.name} is of another format than {FORMAT}; use the arcid that wrote it",
                path=str(path),
            )
        return RunState(**content)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError,
            AttributeError) as error:  # fmt: skip
        raise CheckpointInvalid(
            f"{path.name} cannot be read ({type(error).__name__}); begin the run anew",
            path=str(path),
        ) from None


def stored_state(folder: Path) -> RunState:
    """``load_state`` of a folder that has to hold one. Raises ``CheckpointInvalid``."""
    state = load_state(folder)
    if state is None:
        raise CheckpointInvalid(
            f"{folder.name} holds no {FILE}; name the folder a run was written to",
            path=str(folder),
        )
    return state


class Average:
    """Exponential average of weights and batch statistics; young averages forget faster."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - keep)
            else:
                self.values[name].copy_(value)


__all__ = ["FILE", "Average", "RunState", "load_state", "save_state", "stored_state"]
