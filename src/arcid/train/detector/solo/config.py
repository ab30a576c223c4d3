"""What every run of one process can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from arcid.train.config.file import at_least, refuse
from arcid.train.config.recipe import ScheduleConfig

#: Settings that may change when a run goes on.
FREE = ("out", "init_from", "threads", "checkpoint_minutes", "schedule", "validation")


@dataclass(frozen=True, slots=True)
class AdamConfig:
    """AdamW with averaged weights."""

    lr: float = 2e-3
    weight_decay: float = 0.02
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 10.0  # largest gradient norm; 0 leaves it alone
    ema: float = 0.999  # decay of the averaged weights, lower in the first steps

    def __post_init__(self) -> None:
        for name in ("lr", "weight_decay", "clip"):
            at_least(f"optim.{name}", getattr(self, name), 0)
        if not all(0 <= value < 1 for value in (*self.betas, self.ema)):
            refuse("optim", "betas and ema must lie in 0–1, below 1")


@dataclass(frozen=True, slots=True)
class SoloConfig:
    """The run itself; what is trained adds its own sections, ``validation`` among them."""

    FORMER: ClassVar[Mapping[str, str]] = {"judge": "validation"}

    out: str = "runs/solo"
    seed: int = 1
    init_from: str = ""  # run folder or bundle whose weights the run starts from
    threads: int = 0  # of the arithmetic; 0 leaves torch's own choice
    checkpoint_minutes: float = 3.0
    optim: AdamConfig = field(default_factory=AdamConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def __post_init__(self) -> None:
        for name in ("seed", "threads", "checkpoint_minutes"):
            at_least(name, getattr(self, name), 0)
        if not self.out:
            refuse("out", "is empty; name the folder of the run")


__all__ = ["FREE", "AdamConfig", "SoloConfig"]
