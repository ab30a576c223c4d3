"""``run_study``: train every run, measure it, rank the losses of each round."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arcid.errors import ConfigError
from arcid.evaluate.metrics import Array
from arcid.train.config import TrainConfig, expand_path
from arcid.train.loop import train
from arcid.train.restore import restore_backbone
from arcid.train.study.config import StudyConfig, StudyLoss
from arcid.train.study.measure import (
    Measured,
    Photos,
    closed_set,
    prepare,
    unit_features,
    verification,
)
from arcid.train.study.ranking import Ranking, rank, seed_bootstrap
from arcid.train.validate import Align

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Run:
    """One run and what was measured of it. ``samples`` (B,): TAR over people."""

    loss: str
    identities: int  # as asked for, 0 all
    seed: int
    folder: Path
    steps: int
    photos: int  # seen
    epochs: float
    seconds: float
    train_accuracy: float  # closed set, photos trained on
    holdout_accuracy: float  # closed set, photos held out of the same people
    tar: float
    eer: float
    auc: float
    samples: Array
    curve: tuple[Mapping[str, float], ...]  # rows of metrics.csv
    history: tuple[Mapping[str, float], ...]  # rows of validation.csv

    def to_dict(self) -> dict[str, Any]:
        names = ("loss", "identities", "seed", "steps", "photos", "epochs", "seconds",
                 "train_accuracy", "holdout_accuracy", "tar", "eer", "auc")  # fmt: skip
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class Round:
    """All runs with one number of identities."""

    identities: int  # trained on
    photos: int  # of them
    runs: tuple[Run, ...]
    ranking: Ranking

    def of(self, loss: str) -> tuple[Run, ...]:
        """The runs of one loss, one a seed."""
        return tuple(run for run in self.runs if run.loss == loss)


@dataclass(frozen=True, eq=False)
class StudyResult:
    """What a study found."""

    study: StudyConfig
    config: TrainConfig  # of the last run; loss, seed and identities aside that of all
    rounds: tuple[Round, ...]
    strangers: tuple[int, int]  # held-out (people, photos)
    folder: Path

    @property
    def winner(self) -> str | None:
        """Wins the largest round, and in no other is anybody placed above it."""
        first = self.rounds[-1].ranking.winner
        beaten = first and any(r.ranking.above(first) for r in self.rounds)
        return None if beaten else first

    @property
    def statement(self) -> str:
        """The result in words."""
        last = self.rounds[-1]
        where = f"{last.identities} identities"
        if self.winner:
            others = "in no other round is any loss placed above it"
            return f"{self.winner} wins: it is placed above every other loss at {where}" + (
                f", and {others}." if len(self.rounds) > 1 else "."
            )
        if last.ranking.winner:
            losers = ", ".join(
                str(r.identities) for r in self.rounds if r.ranking.above(last.ranking.winner)
            )
            return (
                f"No loss wins overall: {last.ranking.winner} is placed above every other at "
                f"{where}, but another is placed above it at {losers}."
            )
        tied = last.ranking.leaders
        return (
            f"No loss wins: at {where} nobody is placed above {', '.join(tied)}, and their "
            "intervals do not separate."
        )


def run_study(
    study: StudyConfig,
    *,
    align: Align | None = None,
    progress: bool = False,
    tell: Tell = lambda line: None,
) -> StudyResult:
    """Train, measure and rank; started again, it goes on where it stopped.

    Everything that can be wrong with configs and data raises before the first step. Raises
    ``KeyboardInterrupt`` where a run was interrupted (the study can be gone on with),
    ``ConfigError`` under torchrun with several ranks, and what ``train`` raises.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("a study measures on one rank; start it without torchrun")
    folder = expand_path(study.out)
    wanted = study.runs()
    configs = [study.run_config(*run) for run in wanted]
    prepared = _prepared(study, configs)
    runs = []
    for number, (run, config) in enumerate(zip(wanted, configs, strict=True), 1):
        loss, identities, seed = run
        what = f"{loss.title}, {identities or 'all'} identities, seed {seed}"
        tell(f"{number} of {len(wanted)}: {what}")
        done = _one(study, loss, config, prepared[identities], align=align, progress=progress)
        if done is None:
            raise KeyboardInterrupt
        runs.append(done)
    rounds = tuple(_round(study, runs, n, prepared[n]) for n in study.identities)
    strangers = next(iter(prepared.values())).strangers
    people = len(np.unique(strangers.labels))
    result = StudyResult(study, configs[-1], rounds, (people, len(strangers)), folder)
    from arcid.train.study.report import write_report

    write_report(result)
    return result


def _prepared(study: StudyConfig, configs: Sequence[TrainConfig]) -> dict[int, Measured]:
    """What is measured in each round; the strangers are the same in all."""
    found: dict[int, Measured] = {}
    strangers: Photos | None = None
    for config in configs:
        people = config.data.batch // max(config.data.per_identity, 1)
        if config.data.per_identity and 0 < config.data.identities < people:
            raise ConfigError(
                f"{config.loss.name} draws {people} identities a step (data.batch / "
                f"data.per_identity), a round has {config.data.identities}; use larger rounds or a "
                "larger data.per_identity"
            )
        if (identities := config.data.identities) not in found:
            found[identities] = prepare(
                config.data,
                photos_each=study.photos_each,
                closed_photos=study.closed_photos,
                strangers=strangers,
            )
            strangers = found[identities].strangers
    return found


def _one(
    study: StudyConfig,
    loss: StudyLoss,
    config: TrainConfig,
    measured: Measured,
    *,
    align: Align | None,
    progress: bool,
) -> Run | None:
    """Train and measure one run; None where it was interrupted."""
    trained = train(config, align=align, progress=progress)
    if trained.stopped:
        return None
    backbone = restore_backbone(trained.checkpoint).backbone
    found = verification(backbone, measured.strangers, study.fmr, replicates=study.replicates)
    closed = closed_set(
        unit_features(backbone, measured.train),
        measured.train.labels,
        unit_features(backbone, measured.holdout) if len(measured.holdout) else np.zeros(
            (0, config.model.dim), np.float32
        ),
        measured.holdout.labels,
    )  # fmt: skip
    return Run(
        loss=loss.title,
        identities=config.data.identities,
        seed=config.seed,
        folder=trained.run,
        steps=trained.steps,
        photos=trained.steps * config.data.batch,
        epochs=trained.steps * config.data.batch / measured.photos,
        seconds=trained.seconds,
        train_accuracy=closed[0],
        holdout_accuracy=closed[1],
        tar=found.tar,
        eer=found.eer,
        auc=found.auc,
        samples=found.samples,
        curve=_rows(trained.run / "metrics.csv"),
        history=tuple(trained.history),
    )


def _round(study: StudyConfig, runs: Sequence[Run], identities: int, measured: Measured) -> Round:
    mine = tuple(run for run in runs if run.identities == identities)
    runs_of = {loss.title: [run for run in mine if run.loss == loss.title] for loss in study.losses}
    values = {name: float(np.mean([run.tar for run in own])) for name, own in runs_of.items()}
    samples = seed_bootstrap({name: [r.samples for r in own] for name, own in runs_of.items()})
    return Round(measured.identities, measured.photos, mine, rank(values, samples))


def _rows(path: Path) -> tuple[Mapping[str, float], ...]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]
    return tuple(row for row in rows if math.isfinite(row.get("loss", 0.0)))


__all__ = ["Round", "Run", "StudyResult", "run_study"]
