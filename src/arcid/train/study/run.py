"""``run_study``: train every run, measure it, rank the losses of each round."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from arcid.errors import CheckpointMismatch, ConfigError
from arcid.train.config.file import differences
from arcid.train.config.recipe import TrainConfig, expand_path
from arcid.train.engine.record import read_table
from arcid.train.ranks import one_rank
from arcid.train.recogniser.job import train
from arcid.train.recogniser.validate import Align
from arcid.train.study.config import StudyConfig, StudyLoss
from arcid.train.study.measure import (
    Measured,
    Photos,
    closed_set,
    prepare,
    unit_features,
    verification,
)
from arcid.train.study.ranking import rank, seed_bootstrap
from arcid.train.study.report import write_report
from arcid.train.study.result import Round, Run, StudyResult
from arcid.train.weights.checkpoint import CheckpointStore
from arcid.train.weights.restore import restore_backbone

Tell = Callable[[str], None]
UNLIKE = ("init_from", "schedule", "optim.accumulate", "precision")  # of ``TrainConfig.free``


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
    ``ConfigError`` under torchrun with several ranks, ``CheckpointMismatch`` where runs were begun
    with another schedule, precision or start, and what ``train`` raises.
    """
    one_rank("a study")
    folder = expand_path(study.out)
    wanted = study.runs()
    configs = [study.run_config(*run) for run in wanted]
    _begun_alike(configs)
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
    write_report(result)
    return result


def _begun_alike(configs: Sequence[TrainConfig]) -> None:
    """Refuse runs begun with what one run may change between starts but not all that compare."""
    ignored = [name for name in TrainConfig.free if name not in UNLIKE]
    for config in configs:
        run = expand_path(config.out)
        begun = CheckpointStore(run / "checkpoints").latest()
        other = begun and differences(begun.config.to_dict(), config.to_dict(), ignore=ignored)
        if other:
            raise CheckpointMismatch(
                f"{run.name} was begun with other settings: {'; '.join(other)}; beside runs with "
                "these it says nothing of the losses. Bring them back, or give the study another "
                "out",
                path=str(run),
            )


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
        curve=read_table(trained.run / "metrics.csv"),
        history=tuple(trained.history),
    )


def _round(study: StudyConfig, runs: Sequence[Run], identities: int, measured: Measured) -> Round:
    mine = tuple(run for run in runs if run.identities == identities)
    runs_of = {loss.title: [run for run in mine if run.loss == loss.title] for loss in study.losses}
    values = {name: float(np.mean([run.tar for run in own])) for name, own in runs_of.items()}
    samples = seed_bootstrap({name: [r.samples for r in own] for name, own in runs_of.items()})
    return Round(measured.identities, measured.photos, mine, rank(values, samples))


__all__ = ["run_study"]
