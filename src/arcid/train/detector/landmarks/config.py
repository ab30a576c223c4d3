"""One run of the landmark refiner as frozen values.

config = load_points_config("configs/detect_points.yaml", ["schedule.minutes=10"])
"""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field

from arcid.train.config.recipe import AugmentConfig
from arcid.train.config.section import Section, Share, key, refuse
from arcid.train.detector.config import PLACED, ReservedConfig, ScenesRun, refuse_placed


class PointViewsConfig(Section):
    """How a labelled face is cut out: as the product does, by a box and a turn that are wrong."""

    least_px: float = key(28.0, "smaller faces have no points worth learning", ge=8)
    shift: float = key(0.05, "standard deviation of the middle, in shares of the crop …", ge=0)
    shift_most: Share = key(0.15, "… and how far it may go")
    scale: float = key(0.07, "standard deviation of the size's logarithm", ge=0)
    turn_deg: float = key(5.0, "standard deviation of the turn …", ge=0)
    turned: Share = key(0.15, "… and share of faces turned by up to turned_deg instead")
    turned_deg: float = key(25.0, "farthest turn of those", ge=0, le=90)
    flip: Share = key(0.5, "mirrored")
    rare: Share = key(0.0, "share of faces drawn from those with closed eyes or an open mouth")
    mask: Share = key(0.12, "share of faces that get a drawn mask")
    photo: AugmentConfig = AugmentConfig(flip=0.0)

    def check(self) -> None:
        refuse_placed(self.photo, [name for name in PLACED if name != "occlusion"])


class PointNetworkConfig(Section):
    """What the network answers, and its size."""

    points: Literal[5, 68] = key(5, "landmarks of a face: the five, or the 68 of iBUG 300-W")
    side: int = key(64, "of a crop in pixels", ge=32, multiple_of=16)
    width: float = key(1.0, "of every layer", ge=0.25)


class PointLossConfig(Section):
    """Smooth L1 in shares of the crop's side."""

    beta: float = key(0.01, "where it turns from square to straight", gt=0)
    gaps: float = key(0.0, "weight of the gaps between lids and between lips, of 68 points", ge=0)


class PointValidationConfig(ReservedConfig):
    """What is measured on faces of reserved pictures while training."""

    faces: int = key(0, "at most so many; 0 all", ge=0)


class PointsConfig(ScenesRun):
    """Everything that decides a run; ``scenes.batch`` counts faces."""

    out: str = key("runs/points", "folder of the run", min_length=1)
    views: PointViewsConfig = PointViewsConfig()
    network: PointNetworkConfig = PointNetworkConfig()
    loss: PointLossConfig = PointLossConfig()
    validation: PointValidationConfig = Field(
        default=PointValidationConfig(), validation_alias=AliasChoices("validation", "judge")
    )

    def check(self) -> None:
        super().check()
        if self.network.points == 5 and (self.loss.gaps or self.views.rare):
            refuse("network.points", "must be 68 for loss.gaps and views.rare: five have no lids")


load_points_config, parse_points_config = PointsConfig.load, PointsConfig.parse

__all__ = [
    "PointLossConfig",
    "PointNetworkConfig",
    "PointValidationConfig",
    "PointViewsConfig",
    "PointsConfig",
    "load_points_config",
    "parse_points_config",
]
