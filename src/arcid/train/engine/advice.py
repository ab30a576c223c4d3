"""What is worth saying of a run that is not wrong: once at its start, once where it goes astray."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from arcid.runtime.hardware import instruction_sets
from arcid.train.config.recipe import TrainConfig

BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # what multiplies it, on x86 and on ARM
STEPS = 100  # that a mean is taken over
MEANS = 3  # so many in a row are no accident
RISEN = 3.0  # times the lowest mean
FEW = 10  # classes, of which a guess is often right
LEARNT_BY = 0.2  # share of a run after which no classifier guesses


def advice(
    config: TrainConfig, photos: int, device: str, sets: Iterable[str] | None = None
) -> list[str]:
    """Settings that would probably be set otherwise, a line each.

    ``photos`` to draw from; ``device``: torch's name; ``sets``: the processor's instruction sets,
    by default of this one, empty where unknown.
    """
    told, known = [], set(instruction_sets() if sets is None else sets)
    if config.precision.autocast == "bf16" and device == "cpu" and known and not known & BF16:
        told.append(
            "precision.autocast=bf16 takes about twice the time of fp32 on this processor, which "
            "has neither avx512_bf16 nor amx_bf16; set precision.autocast=fp32"
        )
    if config.data.batch > photos:
        told.append(
            f"data.batch={config.data.batch} is more than the {photos} photos there are: every "
            f"step sees some of them again; set data.batch to {photos} or less"
        )
    return [f"advice: {line}" for line in told]


class Watch:
    """Notices a loss that rises for good and a classifier that guesses, and tells each once.

    Means over ``STEPS`` steps are compared, ``MEANS`` in a row.
    """

    def __init__(self, classes: int, tell: Callable[[str], None]) -> None:
        self._classes, self._tell = classes, tell
        self._since: list[tuple[float, float]] = []  # (loss, share of photos rightly named)
        self._losses: list[float] = []
        self._rights: list[float] = []
        self._told: set[str] = set()

    def step(self, step: int, facts: Mapping[str, float], done: float) -> None:
        """What update number ``step`` came to; ``done``: share of the run."""
        self._since.append((facts["loss"], facts.get("train_accuracy", math.inf)))
        if len(self._since) < STEPS:
            return
        loss, right = np.mean(self._since, axis=0).tolist()
        self._since.clear()
        self._losses.append(loss)
        self._rights.append(right)
        lowest, now = min(self._losses), min(self._losses[-MEANS:])
        if now > max(RISEN * lowest, 0.1 * self._losses[0]):
            self._once(
                "loss",
                f"step {step}: the loss has been above {RISEN:g} times its lowest mean for "
                f"{MEANS * STEPS} steps ({now:.3g} now, {lowest:.3g} then); the run has probably "
                "diverged. Lower optim.lr or lengthen schedule.warmup, and begin again from a "
                "checkpoint before that (init_from)",
            )
        if self._classes < FEW:
            return
        chance = 1 / self._classes
        best, now = max(self._rights), max(self._rights[-MEANS:])
        fallen = best > max(5 * chance, 0.02)
        if now < 1.5 * chance and (fallen or (done > LEARNT_BY and len(self._rights) > 3 * MEANS)):
            self._once(
                "guesses",
                f"step {step}: the classifier {'guesses again' if fallen else 'still guesses'}: "
                f"{100 * now:.2g} % of photos get their own of {self._classes} identities, as by "
                "chance. Lower optim.lr or lengthen schedule.warmup, or begin with less margin",
            )

    def _once(self, what: str, line: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._tell(f"advice: {line}")


__all__ = ["Watch", "advice"]
