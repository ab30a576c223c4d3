"""What a study found, run by run and round by round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcid.evaluate.metrics import Array
from arcid.train.config.recipe import TrainConfig
from arcid.train.study.config import StudyConfig
from arcid.train.study.ranking import Ranking


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


__all__ = ["Round", "Run", "StudyResult"]
