"""What a study compares, read from YAML as strictly as a run's config.

base: configs/small.yaml            # the run that all share
set: [data.size=64]                 # settings that replace the base's, in every run
losses:
  - arcface                         # a plain name: the loss as published
  - {name: cosface, label: CosFace .2, options: {m3: 0.2}}
identities: [50, 150]               # one round each
seeds: [1, 2, 3]
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from arcid.errors import ConfigError
from arcid.train.config.file import named, parse, read_yaml, refuse
from arcid.train.config.recipe import Options, TrainConfig, expand_path, load_config
from arcid.train.objectives.losses import loss_spec

#: What a loss may set for itself; everything else is the same for all, or they do not compare.
OWN_KEYS = ("data.per_identity", "classifier.", "optim.lr", "optim.weight_decay", "optim.clip")
#: What the study itself decides.
STUDY_KEYS = ("out", "seed", "loss", "data.identities")


@dataclass(frozen=True, slots=True)
class StudyLoss:
    """One contestant: a loss, and the few settings it needs for itself (``OWN_KEYS``)."""

    SHORTHAND: ClassVar[str] = "name"

    name: str
    label: str = ""  # in tables; default: the name
    options: Options = field(default_factory=dict)
    set: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        loss_spec(self.name, **self.options)
        for override in self.set:
            if not override.startswith(OWN_KEYS):
                refuse(
                    "losses.set",
                    f"{override!r} would give {self.name} another run than the others have; a loss "
                    f"may set {', '.join(key.rstrip('.') for key in OWN_KEYS)}",
                )

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.label or self.name

    @property
    def slug(self) -> str:
        """What its folders are called."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """The whole study."""

    base: str  # config of a run
    losses: tuple[StudyLoss, ...]
    out: str = "runs/study"
    set: tuple[str, ...] = ()
    identities: tuple[int, ...] = (0,)  # data.identities of each round; 0: all there are
    seeds: tuple[int, ...] = (1, 2, 3)
    fmr: float = 1e-2  # verification is judged by TAR at this false match rate
    photos_each: int = 10  # of every held-out identity, for verification; 0 all
    closed_photos: int = 2000  # of each kind, for closed-set accuracy; 0 all
    replicates: int = 1000  # of the bootstrap

    def __post_init__(self) -> None:
        if len(self.losses) < 2:
            refuse("losses", f"a comparison needs two or more, got {len(self.losses)}")
        slugs = [loss.slug for loss in self.losses]
        if twins := sorted({s for s in slugs if slugs.count(s) > 1}):
            refuse("losses", f"two are called {', '.join(twins)}; give each a label of its own")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            refuse("seeds", f"must be one or more different numbers, got {list(self.seeds)}")
        if not self.identities or list(self.identities) != sorted(
            set(self.identities), key=lambda n: n or 1e18
        ):
            refuse("identities", f"must grow, 0 (all) last, got {list(self.identities)}")
        if any(n == 1 or n < 0 for n in self.identities):
            refuse("identities", "each round needs at least 2")
        if not 0 < self.fmr < 1:
            refuse("fmr", f"is a false match rate between 0 and 1, got {self.fmr:g}")
        for name, low in (("replicates", 100), ("photos_each", 0), ("closed_photos", 0)):
            if getattr(self, name) < low:
                refuse(name, f"must be at least {low}, got {getattr(self, name)}")
        if self.photos_each == 1:
            refuse("photos_each", "one photo of a person makes no genuine pair; use 2 or more")
        for override in self.set:
            key = override.partition("=")[0]
            if any(key == own or key.startswith(f"{own}.") for own in STUDY_KEYS):
                refuse("set", f"{key} is decided by the study (out, losses, identities, seeds)")

    def runs(self) -> list[tuple[StudyLoss, int, int]]:
        """(loss, identities, seed) of every run, seeds outermost: an interrupted study has them
        all for the seeds it finished."""
        return [
            (loss, identities, seed)
            for seed in self.seeds
            for identities in self.identities
            for loss in self.losses
        ]

    def run_config(self, loss: StudyLoss, identities: int, seed: int) -> TrainConfig:
        """The config of one run. Raises ``ConfigError``."""
        name = f"{loss.slug}-{identities or 'all'}-seed{seed}"
        own: Mapping[str, Any] = {
            "out": str(expand_path(self.out) / "runs" / name),
            "seed": seed,
            "loss": {"name": loss.name, "options": dict(loss.options)},
            "data.identities": identities,
        }
        settings = (f"{key}={json.dumps(value)}" for key, value in own.items())
        config = load_config(expand_path(self.base), [*self.set, *loss.set, *settings])
        _check(config)
        return config


def _check(config: TrainConfig) -> None:
    """What every run of a study must have."""
    if config.schedule.unit == "epochs":
        raise ConfigError(
            "a study gives every run the same budget; epochs grow with the identities. Set "
            "schedule.steps (or minutes, on a machine that does nothing else)",
            key="schedule",
        )
    if config.data.holdout_identities < 2:
        raise ConfigError(
            "a study is judged on identities never trained on; set data.holdout_identities, "
            "60 or more for intervals that tell anything",
            key="data.holdout_identities",
        )
    if config.distil.teachers:
        raise ConfigError("a study compares losses; the base names teachers (distil.teachers)")


def load_study(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> StudyConfig:
    """Read a study and apply ``key.sub=value`` overrides. Raises ``ConfigError``.

    ``base`` is meant from the folder the command is started in.
    """
    text, name = read_yaml(path, "study")
    return parse_study(text, overrides, name=name)


def parse_study(
    text: str, overrides: Iterable[str] = (), *, name: str = "the study"
) -> StudyConfig:
    """``load_study`` on YAML text; every run's config is made once, so that mistakes show now."""
    study = parse(StudyConfig, text, overrides, name)
    with named(name):
        for run in study.runs():
            study.run_config(*run)
    return study


__all__ = ["OWN_KEYS", "StudyConfig", "StudyLoss", "load_study", "parse_study"]
