"""What an inversion can be told; its defaults are the paper's where it names them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from arcid.errors import UsageError

Goal = Literal["open", "closed"]
#: (share of the side, share of the steps): a picture begins coarse and is made finer.
RESOLUTIONS = ((0.25, 0.2), (0.5, 0.2), (1.0, 0.6))


@dataclass(frozen=True, slots=True)
class Settings:
    """How pictures are made out of vectors.

    ``goal``: "open" pulls a picture's feature to a vector by its ℓ2 distance; "closed" to its class
    among ``Targets.centres`` by ArcFace's loss. ``norms`` weighs the batch-norm statistics,
    ``variation`` the total variation and ``energy`` the squared ℓ2 norm of a picture whose values
    lie in −1 … 1; ``rate`` is Adam's. The weights and the rate are those of Deng et al., ArcFace
    (TPAMI 2022), which took 20,000 steps and batches of 256. ``jitter``: a picture is looked at
    moved by up to so many pixels, and mirrored every other time. Raises ``UsageError``.
    """

    goal: Goal = "open"
    steps: int = 400
    batch: int = 5
    rate: float = 0.25
    norms: float = 0.05
    variation: float = 1e-3
    energy: float = 1e-4
    jitter: int = 4
    seed: int = 1

    def __post_init__(self) -> None:
        if self.goal not in get_args(Goal):
            raise UsageError(f"goal must be open or closed, got {self.goal!r}")
        for name, least in (("steps", 1), ("batch", 1), ("jitter", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("rate", "norms", "variation", "energy"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"{name} must be a number of 0 or more, got {getattr(self, name)}")

    def stage(self, step: int, size: int) -> tuple[int, int, int]:
        """Of a step in 0 … steps − 1: (pixels a side, step within the stage, the stage's steps)."""
        start, share = 0, 0.0
        for side, part in RESOLUTIONS:
            share += part
            end = round(self.steps * share)
            if step < end:
                return max(1, round(size * side)), step - start, end - start
            start = end
        raise IndexError(step)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


__all__ = ["RESOLUTIONS", "Goal", "Settings"]
