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
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from arcid.errors import ConfigError
from arcid.train.config.base import Recipe
from arcid.train.config.file import named
from arcid.train.config.recipe import TrainConfig, expand_path, load_config
from arcid.train.config.section import Options, Section, key, needed, refuse, shorthand
from arcid.train.objectives.losses import loss_spec

#: What a loss may set for itself; everything else is the same for all, or they do not compare.
OWN_KEYS = ("data.per_identity", "classifier.", "optim.lr", "optim.weight_decay", "optim.clip")
_OWN = ", ".join(name.rstrip(".") for name in OWN_KEYS)
#: What the study itself decides.
STUDY_KEYS = ("out", "seed", "loss", "data.identities")


class StudyLoss(Section):
    """One contestant: a loss, and the few settings it needs for itself (``OWN_KEYS``)."""

    name: str = needed("one of docs/concepts/losses.md")
    label: str = key("", "in tables; default: the name")
    options: Options = key({}, "its own, such as s and m2; default: as published")
    set: tuple[str, ...] = key((), f"what it may set for itself: {_OWN}")

    def check(self) -> None:
        try:
            loss_spec(self.name, **self.options)
        except ConfigError as error:
            refuse("", error.message)
        for override in self.set:
            if not override.startswith(OWN_KEYS):
                refuse(
                    "set",
                    f"{override!r} would give {self.name} another run than the others have; a loss "
                    f"may set {_OWN}",
                )

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.label or self.name

    @property
    def slug(self) -> str:
        """What its folders are called."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


class StudyConfig(Recipe):
    """The whole study. ``base`` is meant from the folder the command is started in."""

    base: str = needed("config of the run that all share, from the folder arcid is started in")
    losses: Annotated[tuple[StudyLoss, ...], shorthand(StudyLoss, "name")] = needed(
        "the losses to compare"
    )
    out: str = key("runs/study", "folder of runs and report", min_length=1)
    set: tuple[str, ...] = key((), "settings that replace the base's, in every run: key.sub=value")
    identities: tuple[int, ...] = key((0,), "data.identities of each round; 0: all there are")
    seeds: tuple[int, ...] = key((1, 2, 3), "of the runs of each loss")
    fmr: float = key(1e-2, "verification is judged by TAR at this false match rate", gt=0, lt=1)
    photos_each: int = key(10, "of every held-out identity, for verification; 0 all", ge=0)
    closed_photos: int = key(2000, "of each kind, for closed-set accuracy; 0 all", ge=0)
    replicates: int = key(1000, "of the bootstrap", ge=100)

    def check(self) -> None:
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
        if self.photos_each == 1:
            refuse("photos_each", "one photo of a person makes no genuine pair; use 2 or more")
        for override in self.set:
            name = override.partition("=")[0]
            if any(name == own or name.startswith(f"{own}.") for own in STUDY_KEYS):
                refuse("set", f"{name} is decided by the study (out, losses, identities, seeds)")

    @classmethod
    def parse(cls, text: str, overrides: Iterable[str] = (), **about: Any) -> Self:
        """Every run's config is made once, so that its mistakes show now, too."""
        about = {"name": "the study", **about}
        study = super().parse(text, overrides, **about)
        with named(about["name"]):
            for run in study.runs():
                study.run_config(*run)
        return study

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


load_study, parse_study = StudyConfig.load, StudyConfig.parse

__all__ = ["OWN_KEYS", "StudyConfig", "StudyLoss", "load_study", "parse_study"]
