"""The training loop. Read ``train`` from top to bottom: that is a run.

One process is one rank; ``torchrun --nproc-per-node N -m arcid train CONFIG`` starts several. The
backbone is alike on all ranks (DistributedDataParallel), the class centres are divided among them.
A run that is started again with the same ``out`` goes on from its newest checkpoint.

``objective`` says what a step makes smaller, ``model`` what learns and how a step changes it,
``schedule`` how long and how fast, ``validate`` what is measured on the way.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from arcid.errors import CheckpointMismatch, ConfigError
from arcid.files import write_text
from arcid.train.backbones import count_macs, count_parameters
from arcid.train.config.file import dump
from arcid.train.config.recipe import TrainConfig, expand_path
from arcid.train.data.augment import Augment
from arcid.train.data.dataset import SampleSet, TrainData, open_data
from arcid.train.data.draws import Draws
from arcid.train.data.loader import BatchLoader
from arcid.train.engine.advice import Watch, advice
from arcid.train.engine.interrupt import Interrupt
from arcid.train.engine.model import Model
from arcid.train.engine.record import Record
from arcid.train.engine.schedule import Length
from arcid.train.engine.stopping import EarlyStop
from arcid.train.engine.validate import Align, Validator
from arcid.train.heads.imprint import imprint
from arcid.train.objectives.create import create_objective, needs_identities
from arcid.train.ranks import Ranks, start_ranks
from arcid.train.weights.checkpoint import Checkpoint, CheckpointStore, seed_generators
from arcid.train.weights.restore import backbone_of

LOG_EVERY = 10  # steps a row of metrics.csv stands for
BEST = "best"  # folder of a run with validation.patience: its best state


@dataclass(frozen=True)
class TrainResult:
    """What a run came to. ``metrics`` is the last validation row, ``history`` all of them.

    On ranks other than the first both are empty.
    """

    run: Path
    checkpoint: Path
    steps: int
    epochs: float
    seconds: float
    images_per_s: float
    metrics: Mapping[str, float]
    history: tuple[Mapping[str, float], ...]
    stopped: bool = False  # interrupted before its end; start it again to go on


def train(
    config: TrainConfig,
    *,
    align: Align | None = None,
    progress: bool = False,
    tell: Callable[[str], None] | None = None,
) -> TrainResult:
    """Run ``config`` to its end, or from its newest checkpoint on.

    ``align`` turns whole photos of ``validation.pairs`` into aligned faces, ``progress`` draws a
    bar on standard error, ``tell`` is given lines about network, data and start, and advice: at the
    start, and where the loss rises for good.

    Everything that can be wrong with config, data, teachers and checkpoints raises before the first
    step: ``ConfigError``, ``DatasetInvalid``, ``ModelNotFound``, ``CheckpointInvalid``,
    ``CheckpointMismatch``. Later ``TrainingDiverged`` stops a run whose loss is no number any more,
    with its batch stored, and ``StorageFull`` one that cannot be stored.
    """
    run = expand_path(config.out)
    with start_ranks() as ranks:
        seed_generators(config.seed)
        data = open_data(config.data, need_identities=needs_identities(config))
        objective = create_objective(config, data, ranks)
        draws = Draws(config, objective.samples.labels, ranks)
        length = Length(
            config.schedule, config.data.batch, draws.epoch_photos, parity=bool(config.parity)
        )
        model = Model(config, backbone_of(config), objective, ranks)
        validator = Validator(config, data, align, ranks)
        store = CheckpointStore(run / "checkpoints", config.checkpoint.keep)
        best = CheckpointStore(run / BEST, keep=1)

        step, position, spent, stored_at = 0, 0, 0.0, -1
        if (checkpoint := store.latest()) is not None:
            _check_resumable(checkpoint, config, data, objective.samples)
            model.load(checkpoint)
            step, position, stored_at = checkpoint.step, checkpoint.position, checkpoint.step
            spent = float(checkpoint.extra["seconds"])
        else:
            model.start_from(config.init_from)
            if config.classifier.start == "imprint":
                if objective.centres is None:
                    raise ConfigError("classifier.start=imprint: this run has no class centres")
                imprint(objective.centres, model.backbone, objective.samples, config.data.size)
        draws.position = position
        photos = len(objective.samples)
        if ranks.first:
            write_text(run / "config.yaml", dump(config))
            write_text(run / "report.txt", "\n".join(data.report.lines()) + "\n")
            if tell is not None:
                for line in _summary(config, data, ranks, step, photos):
                    tell(line)
        watch = Watch(len(data.classes), tell if ranks.first and tell else lambda line: None)
        facts_of_run = {"classes": list(data.classes), "photos": photos}

        with (
            Interrupt() as interrupt,
            Record(run if ranks.first else None, step, progress=progress) as record,
            BatchLoader(objective.samples, draws, view_of(config), config.data) as batches,
        ):
            began = time.monotonic() - spent
            early = EarlyStop(config.validation.patience, record.history())
            (ended,) = ranks.largest(early.over)

            def save(store: CheckpointStore = store) -> None:
                store.save(
                    step=step,
                    position=position,
                    config=config,
                    shared=model.shared_state(),
                    own=model.own_state(),
                    extra={"seconds": time.monotonic() - began, **facts_of_run},
                    rank=ranks.rank,
                    world=ranks.world,
                    barrier=ranks.barrier,
                )

            def validate() -> None:
                nonlocal ended
                with record.paused():
                    found = validator(model.best(), objective.centres)
                    first_says = ranks.first and early.is_best(found)
                    better, ended = ranks.largest(first_says, early.over)
                    if better:
                        save(best)
                    record.validated(step, position / draws.epoch_photos, found)

            def log() -> None:
                spent = time.monotonic() - began
                numbers = {"seconds": spent, "lr": model.rate}
                record.flush(
                    step, position / draws.epoch_photos, numbers, length.share(step, spent)
                )

            for batch in batches:
                seconds, stopped = ranks.largest(time.monotonic() - began, interrupt.asked)
                if length.over(step, seconds) or stopped or ended:
                    break
                model.set_rate(length.rate(step, seconds))
                facts = model.step(batch, step, run)
                before, position, step = position, batch.position, step + 1
                record.step(len(batch.labels) * ranks.world, facts)
                watch.step(step, facts, length.share(step, seconds))

                if step % LOG_EVERY == 0:
                    log()
                if _passes(config.validation.every * draws.epoch_photos, before, position):
                    validate()
                if _is_stored(config, step, before, position, draws.epoch_photos):
                    save()
                    stored_at = step

            log()
            if step != stored_at:
                save()
            (validated_at,) = ranks.largest(record.validated_at)
            if not stopped and step != validated_at:
                validate()
            if ranks.first and batches.faults:
                write_text(run / "faults.txt", "\n".join(batches.faults.lines()) + "\n")
        return TrainResult(
            run=run,
            checkpoint=store.paths()[-1],
            steps=step,
            epochs=position / draws.epoch_photos,
            seconds=time.monotonic() - began,
            images_per_s=record.images_per_s,
            metrics=record.history()[-1] if record.history() else {},
            history=record.history(),
            stopped=bool(stopped) and not (length.over(step, seconds) or ended),
        )


def view_of(config: TrainConfig) -> Augment:
    """How photos are changed before the network sees them."""
    clean = config.distil.clean if config.distil.teachers else 0.0
    return Augment(config.augment, config.seed, config.data.size, clean=clean)


def _passes(every: float, before: int, now: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, now]; never for 0."""
    if not every:
        return False
    return math.floor(now / every + 1e-9) > math.floor(before / every + 1e-9)


def _is_stored(config: TrainConfig, step: int, before: int, now: int, epoch: int) -> bool:
    if config.checkpoint.every:
        return step % config.checkpoint.every == 0
    return _passes(epoch, before, now)


def _check_resumable(
    checkpoint: Checkpoint, config: TrainConfig, data: TrainData, samples: SampleSet
) -> None:
    checkpoint.check(config)
    classes, photos = (
        list(checkpoint.extra["classes"]),
        checkpoint.extra.get("photos", len(samples)),
    )
    if classes != list(data.classes) or photos != len(samples):
        raise CheckpointMismatch(
            f"{checkpoint.path.name} was trained on {photos} photos of {len(classes)} identities, "
            f"the data now gives {len(samples)} of {len(data.classes)}, or others; bring the data "
            "back, or start a new run with init_from and another out"
        )


def _summary(
    config: TrainConfig, data: TrainData, ranks: Ranks, step: int, photos: int
) -> list[str]:
    with torch.device("meta"):
        network = backbone_of(config)
    macs = count_macs(network, config.data.size)
    start = f"going on from step {step}" if step else "starting"
    return [
        f"{config.model.backbone}: {count_parameters(network):,} parameters, {macs / 1e6:,.1f} M "
        f"MACs at {config.data.size} px, {config.model.dim} dimensions",
        *data.report.lines(),
        f"{start} in {config.out} on {ranks.world} × {ranks.device.type}",
        *advice(config, photos, ranks.device.type),
    ]


__all__ = ["LOG_EVERY", "TrainResult", "train", "view_of"]
