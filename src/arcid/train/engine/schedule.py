"""Length of a run, and its learning rate as a pure function of how far it has come."""

from __future__ import annotations

import math

from arcid.errors import ConfigError
from arcid.train.config.recipe import ScheduleConfig

LEAST = 1e-3  # factor of a run by the clock


def rate_factor(config: ScheduleConfig, at: float) -> float:
    """What the base rate is multiplied by at ``at``, in ``config.unit``.

    A linear rise over the warm-up, times, with p the share of the way from there to the end,

        cosine  final + (1 − final) · (1 + cos πp) / 2
        poly    final + (1 − final) · (1 − p)^power
        step    gamma^(milestones reached); one counts from the very update that reaches it
    """
    rise = min(at / config.warmup, 1.0) if config.warmup else 1.0
    if config.name == "step":
        reached = sum(at >= milestone for milestone in config.milestones)
        return float(rise * config.gamma**reached)
    share = (at - config.warmup) / (config.length - config.warmup)
    share = min(max(share, 0.0), 1.0)
    if config.name == "poly":
        left = float((1 - share) ** config.power)
    else:
        left = (1 + math.cos(math.pi * share)) / 2
    return rise * (config.final + (1 - config.final) * left)


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
        self._config = config.but(power=1.0) if parity else config
        self._batch, self._photos = batch, photos

    def share(self, step: int, seconds: float, position: int) -> float:
        """0 at the start, 1 at the end; epochs are rounded up to whole batches."""
        c = self._config
        if c.unit == "epochs":
            updates = math.ceil(round(c.epochs * self._photos / self._batch, 6))
            return min(position / self._batch / updates, 1.0)
        return min(step / c.steps if c.unit == "steps" else seconds / 60 / c.minutes, 1.0)

    def over(self, step: int, seconds: float, position: int) -> bool:
        """Whether there is nothing left to do."""
        return self.share(step, seconds, position) >= 1

    def rate(self, step: int, seconds: float, position: int) -> float:
        """The factor of ``optim.lr`` for update number ``step`` (0 is the first).

        The first update of a warm-up moves already: of w updates, the first at 1/w and the last at
        the full rate. By the clock the rate is never below ``LEAST``.
        """
        c = self._config
        if c.unit == "minutes":
            return max(rate_factor(c, seconds / 60), LEAST)
        at, update = float(step), 1.0
        if c.unit == "epochs":
            at, update = position / self._photos, self._batch / self._photos
        return rate_factor(c, at + update if at < c.warmup else at)


__all__ = ["LEAST", "Length", "rate_factor"]
