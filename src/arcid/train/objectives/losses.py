"""Every loss by name: ``loss_spec("arcface", m2=0.4).build()``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from arcid.errors import ConfigError
from arcid.train.config.file import named
from arcid.train.heads.margin import LossSpec
from arcid.train.heads.softmax import (
    AdaFaceSpec,
    CurricularSpec,
    MagFaceSpec,
    MarginSpec,
    SoftmaxSpec,
)
from arcid.train.objectives.triplet import TripletSpec

#: Every loss by name. A study or a config starts from one and replaces fields.
LOSSES: Mapping[str, LossSpec] = MappingProxyType(
    {
        "softmax": SoftmaxSpec(),
        "normface": MarginSpec(s=20.0),
        "sphereface": MarginSpec(m1=1.35),
        "cosface": MarginSpec(m3=0.35),
        "arcface": MarginSpec(m2=0.5),
        "cm1": MarginSpec(m2=0.3, m3=0.2),
        "cm2": MarginSpec(m1=0.9, m2=0.4, m3=0.15),
        "subcenter_arcface": MarginSpec(m2=0.5, k=3),
        "adaface": AdaFaceSpec(),
        "magface": MagFaceSpec(),
        "curricularface": CurricularSpec(),
        "triplet_hard": TripletSpec(mining="hard"),
        "triplet_semihard": TripletSpec(mining="semihard"),
    }
)


def loss_spec(name: str, **options: Any) -> LossSpec:
    """The settings of a loss by name, with ``options`` replacing fields.

    Raises ``ConfigError`` for an unknown name or option, listing the known ones, and wrong values.
    """
    if name not in LOSSES:
        raise ConfigError(f"no loss is called {name!r}; known: {', '.join(LOSSES)}")
    with named(f"loss {name}"):
        return LOSSES[name].but(**options)


__all__ = ["LOSSES", "loss_spec"]
