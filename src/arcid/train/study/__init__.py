"""Comparative study: losses × rounds with a growing number of identities × seeds, one budget.

    result = run_study(load_study("configs/study_small.yaml"))

``config`` says what is compared, ``run`` trains and measures, ``ranking`` says who may be called
better than whom, ``report`` writes it down.
"""

from __future__ import annotations

from arcid.train.study.config import StudyConfig, StudyLoss, load_study, parse_study
from arcid.train.study.ranking import Interval, Ranking, rank, seed_bootstrap
from arcid.train.study.result import Round, Run, StudyResult
from arcid.train.study.run import run_study

__all__ = [
    "Interval",
    "Ranking",
    "Round",
    "Run",
    "StudyConfig",
    "StudyLoss",
    "StudyResult",
    "load_study",
    "parse_study",
    "rank",
    "run_study",
    "seed_bootstrap",
]
