"""One run of the landmark refiner as frozen values.

config = load_points_config("configs/detect_points.yaml", ["schedule.minutes=10"])
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from arcid.train.config.file import at_least, load, parse, refuse, share
from arcid.train.config.recipe import AugmentConfig
from arcid.train.detector.config import FREE, PLACED, ScenesConfig
from arcid.train.detector.solo.config import SoloConfig

SIZE = 64  # sides of a crop


@dataclass(frozen=True, slots=True)
class PointViewsConfig:
    """How a labelled face is cut out: as the product does, by a box and a turn that are wrong."""

    least_px: float = 28.0  # smaller faces have no points worth learning
    shift: float = 0.05  # standard deviation of the middle, in shares of the crop …
    shift_most: float = 0.15  # … and how far it may go
    scale: float = 0.07  # standard deviation of the size's logarithm
    turn_deg: float = 5.0  # standard deviation of the turn …
    turned: float = 0.15  # … and share of faces turned by up to turned_deg instead
    turned_deg: float = 25.0
    flip: float = 0.5
    mask: float = 0.12  # share of faces that get a drawn mask
    photo: AugmentConfig = field(default_factory=lambda: AugmentConfig(flip=0.0))

    def __post_init__(self) -> None:
        for name in ("turned", "flip", "mask", "shift_most"):
            share(f"views.{name}", getattr(self, name))
        for name in ("shift", "scale", "turn_deg"):
            at_least(f"views.{name}", getattr(self, name), 0)
        at_least("views.least_px", self.least_px, 8)
        if not 0 <= self.turned_deg <= 90:
            refuse("views.turned_deg", f"must lie in 0–90, got {self.turned_deg:g}")
        for name in PLACED:
            if name != "occlusion" and getattr(self.photo, name):
                refuse(f"views.photo.{name}", "must be 0; views has a setting of its own for that")


@dataclass(frozen=True, slots=True)
class PointNetworkConfig:
    """Size of the network."""

    width: float = 1.0  # of every layer

    def __post_init__(self) -> None:
        at_least("network.width", self.width, 0.25)


@dataclass(frozen=True, slots=True)
class PointLossConfig:
    """Smooth L1 in shares of the crop's side."""

    beta: float = 0.01  # where it turns from square to straight

    def __post_init__(self) -> None:
        if not self.beta > 0:
            refuse("loss.beta", f"must be above 0, got {self.beta:g}")


@dataclass(frozen=True, slots=True)
class PointValidationConfig:
    """What is measured on faces of reserved pictures while training."""

    minutes: float = 10.0  # how often; 0 only at the end
    faces: int = 0  # 0 all

    def __post_init__(self) -> None:
        for name in ("minutes", "faces"):
            at_least(f"validation.{name}", getattr(self, name), 0)


@dataclass(frozen=True, slots=True)
class PointsConfig(SoloConfig):
    """Everything that decides a run; ``scenes.batch`` counts faces."""

    out: str = "runs/points"
    scenes: ScenesConfig = field(default_factory=ScenesConfig)
    views: PointViewsConfig = field(default_factory=PointViewsConfig)
    network: PointNetworkConfig = field(default_factory=PointNetworkConfig)
    loss: PointLossConfig = field(default_factory=PointLossConfig)
    validation: PointValidationConfig = field(default_factory=PointValidationConfig)


def load_points_config(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> PointsConfig:
    """Read a YAML file and apply ``key.sub=value`` overrides. Raises ``ConfigError``,
    ``MissingExtra``."""
    return load(PointsConfig, path, overrides)


def parse_points_config(
    text: str, overrides: Iterable[str] = (), *, name: str = "the config"
) -> PointsConfig:
    """``load_points_config`` on YAML text; ``name`` stands in the messages."""
    return parse(PointsConfig, text, overrides, name)


__all__ = [
    "FREE",
    "SIZE",
    "PointLossConfig",
    "PointNetworkConfig",
    "PointValidationConfig",
    "PointViewsConfig",
    "PointsConfig",
    "load_points_config",
    "parse_points_config",
]
