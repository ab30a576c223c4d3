"""What every run of one process can be told."""

from __future__ import annotations

from arcid.train.config.base import Recipe
from arcid.train.config.recipe import ScheduleConfig
from arcid.train.config.section import Decay, Section, key

#: Settings that may change when a run goes on.
FREE = ("out", "init_from", "threads", "checkpoint_minutes", "schedule", "validation")


class AdamConfig(Section):
    """AdamW with averaged weights."""

    lr: float = key(2e-3, "learning rate at the schedule's height", ge=0)
    weight_decay: float = key(0.02, "of weights; biases and norms have none", ge=0)
    betas: tuple[Decay, Decay] = key((0.9, 0.999), "of the two moments")
    clip: float = key(10.0, "largest gradient norm; 0 leaves it alone", ge=0)
    ema: Decay = key(0.999, "decay of the averaged weights, lower in the first steps")


class SoloConfig(Recipe):
    """The run itself; what is trained adds its own sections, ``validation`` among them."""

    out: str = key("runs/solo", "folder of the run", min_length=1)
    seed: int = key(1, "of weights, order and views", ge=0)
    init_from: str = key("", "run folder or bundle whose weights the run starts from")
    threads: int = key(0, "of the arithmetic; 0 leaves torch's own choice", ge=0)
    checkpoint_minutes: float = key(3.0, "how often the run's state is stored", ge=0)
    optim: AdamConfig = AdamConfig()
    schedule: ScheduleConfig = ScheduleConfig()


__all__ = ["FREE", "AdamConfig", "SoloConfig"]
