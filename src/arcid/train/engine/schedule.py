"""Length of a run, and its learning rate as pure functions of how far it has come.

All return a factor of the base rate. ``at`` and ``total`` share a unit (steps, epochs or minutes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from arcid.errors import ConfigError, UsageError
from arcid.train.config.recipe import ScheduleConfig

LEAST = 1e-3  # factor of a run by the clock


def warmup_factor(at: float, warmup: float) -> float:
    """Linear from 0 to 1 over ``warmup``; 1 afterwards."""
    return float(min(at / warmup, 1.0)) if warmup > 0 else 1.0


def cosine_factor(at: float, total: float, warmup: float = 0.0, final: float = 0.0) -> float:
    """final + (1 - final) · (1 + cos πp) / 2, p = share of the way from warm-up to the end."""
    share = _share(at, total, warmup)
    return warmup_factor(at, warmup) * (final + (1 - final) * (1 + math.cos(math.pi * share)) / 2)


def poly_factor(
    at: float, total: float, warmup: float = 0.0, final: float = 0.0, power: float = 2.0
) -> float:
    """final + (1 - final) · (1 - p)^power, p = share of the way from warm-up to the end."""
    share = _share(at, total, warmup)
    return warmup_factor(at, warmup) * (final + (1 - final) * float((1 - share) ** power))


def step_factor(
    at: float, milestones: Sequence[float], warmup: float = 0.0, gamma: float = 0.1
) -> float:
    """gamma^(milestones reached). A milestone counts from the very step that reaches it."""
    reached = sum(at >= milestone for milestone in milestones)
    return warmup_factor(at, warmup) * float(gamma**reached)


def rate_factor(config: ScheduleConfig, at: float, total: float | None = None) -> float:
    """The factor ``config`` asks for at ``at``, in ``config.unit``.

    ``total`` replaces ``config.length`` (a run cut to a budget). Raises ``UsageError`` without any
    length.
    """
    length = config.length if total is None else total
    if not length > 0:
        raise UsageError("the schedule has no length; set schedule.epochs, steps or minutes")
    if config.name == "step":
        return step_factor(at, config.milestones, config.warmup, config.gamma)
    if config.name == "poly":
        return poly_factor(at, length, config.warmup, config.final, config.power)
    return cosine_factor(at, length, config.warmup, config.final)


def rate_at_step(config: ScheduleConfig, step: float, batch: int, photos: int) -> float:
    """The factor for update number ``step`` (0 is the first), run lengths in epochs or steps.

    ``photos`` is the size of an epoch. With a warm-up of w steps the first update already moves,
    at 1/w, and update w - 1 is the first at the full rate. Raises ``UsageError`` for minutes.
    """
    if config.unit == "minutes":
        raise UsageError("a run measured in minutes has no rate by step; use rate_factor")
    if config.unit == "steps":
        offset = 1.0 if step < config.warmup else 0.0
        return rate_factor(config, step + offset)
    at = step * batch / photos
    offset = batch / photos if at < config.warmup else 0.0
    return rate_factor(config, at + offset)


def total_steps(config: ScheduleConfig, batch: int, photos: int) -> int:
    """Updates in the run: epochs are rounded up to whole batches. Raises ``UsageError``."""
    if config.unit == "minutes" or not config.length:
        raise UsageError("only a run measured in epochs or steps has a number of steps")
    if config.unit == "steps":
        return config.steps
    return math.ceil(round(config.epochs * photos / batch, 6))


class Length:
    """How far a run has come, and how fast it learns there, whatever its length is counted in.

    ``photos`` is the size of an epoch, ``batch`` of an ordinary step. ``parity``: poly is a
    straight line. A run's place is its number of updates, its ``seconds`` and its ``position``, the
    photos trained on. Raises ``ConfigError`` for a run without any length.
    """

    def __init__(
        self, config: ScheduleConfig, batch: int, photos: int, *, parity: bool = False
    ) -> None:
        if not config.length:
            raise ConfigError(
                "the run has no length; set schedule.epochs, steps or minutes", key="schedule"
            )
        if parity:
            config = config.but(power=1.0)
        self._config, self._batch, self._photos = config, batch, photos
        self._minutes = config.unit == "minutes"
        self._steps = 0 if self._minutes else total_steps(config, batch, photos)

    def share(self, step: int, seconds: float, position: int) -> float:
        """0 at the start, 1 at the end."""
        if self._minutes:
            return min(seconds / 60 / self._config.minutes, 1.0)
        return min(self._updates(step, position) / self._steps, 1.0)

    def over(self, step: int, seconds: float, position: int) -> bool:
        """Whether there is nothing left to do."""
        return self.share(step, seconds, position) >= 1

    def rate(self, step: int, seconds: float, position: int) -> float:
        """The factor of ``optim.lr`` for update number ``step`` (0 is the first).

        By the clock it is never quite 0: the first update of a warm-up moves, too.
        """
        if self._minutes:
            return max(rate_factor(self._config, seconds / 60), LEAST)
        return rate_at_step(self._config, self._updates(step, position), self._batch, self._photos)

    def _updates(self, step: int, position: int) -> float:
        """Those of ordinary size in an epoch's count; batches may be larger and smaller."""
        return position / self._batch if self._config.unit == "epochs" else step


def _share(at: float, total: float, warmup: float) -> float:
    return min(max((at - warmup) / (total - warmup), 0.0), 1.0)


__all__ = [
    "LEAST",
    "Length",
    "cosine_factor",
    "poly_factor",
    "rate_at_step",
    "rate_factor",
    "step_factor",
    "total_steps",
    "warmup_factor",
]
