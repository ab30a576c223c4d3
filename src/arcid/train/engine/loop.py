"""The training loop. Read ``train`` from top to bottom: that is a run.

One process is one rank; ``torchrun --nproc-per-node N -m arcid train CONFIG`` starts several. The
network is alike on all ranks (DistributedDataParallel), the class centres are divided among them.
A run that is started again with the same ``out`` goes on from its newest checkpoint.

A ``Job`` says what is trained on what, its objective what a step makes smaller; ``model`` is what
learns and how a step changes it, ``schedule`` how long and how fast.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from arcid import files
from arcid.errors import CheckpointInvalid, CheckpointMismatch
from arcid.train.config.file import dump
from arcid.train.config.recipe import CheckpointConfig, expand_path
from arcid.train.engine.advice import Watch
from arcid.train.engine.interrupt import Interrupt
from arcid.train.engine.job import Job
from arcid.train.engine.model import Model
from arcid.train.engine.record import Record
from arcid.train.engine.schedule import Length
from arcid.train.engine.stopping import EarlyStop
from arcid.train.weights.checkpoint import CheckpointStore, seed_generators

LOG_EVERY = 10  # steps a row of metrics.csv stands for
BEST = "best"  # folder of a run with validation.patience: its best state
LOCK = ".lock"  # held by the process that trains here


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
    job: Job[Any], *, progress: bool = False, tell: Callable[[str], None] | None = None
) -> TrainResult:
    """Run ``job`` to its end, or from its newest checkpoint on.

    ``progress`` draws a bar on standard error, ``tell`` is given lines about network, data and
    start, and advice: at the start, and where the loss rises for good.

    Everything that can be wrong with schedule and checkpoints raises before the first step:
    ``ConfigError``, ``ModelNotFound``, ``CheckpointInvalid``, ``CheckpointMismatch``, and
    ``UsageError`` where another process trains in the run's folder. Later
    ``TrainingDiverged`` stops a run whose loss is no number any more, with its batch stored, and
    ``StorageFull`` one that cannot be stored.
    """
    config, ranks, photos = job.config, job.ranks, job.photos
    run = expand_path(config.out)
    if config.threads:
        torch.set_num_threads(config.threads)
    seed_generators(config.seed)
    length = Length(config.schedule, job.batch, photos, parity=job.objective.parity)
    model = Model(config, job.network(), job.objective, ranks)
    store = CheckpointStore(run / "checkpoints", config.checkpoint.keep)
    best = CheckpointStore(run / BEST, keep=1)

    step, position, spent, stored_at = 0, 0, 0.0, -1
    earlier: Mapping[str, float] = {}
    stored: Path | None = None
    if (checkpoint := store.latest(type(config))) is not None:
        checkpoint.check(config)
        _check_data(checkpoint.path.name, checkpoint.extra, job.facts)
        try:
            model.load(checkpoint)
        except CheckpointInvalid as error:
            raise CheckpointInvalid(
                f"{error.message}: move {checkpoint.path} away and start again, which goes on from "
                "the one before"
            ) from None
        step, position, stored_at = checkpoint.step, checkpoint.position, checkpoint.step
        spent, stored = float(checkpoint.extra["seconds"]), checkpoint.path
        earlier = checkpoint.extra.get("earlier", {})
    else:
        if config.init_from:
            earlier = job.start(model.backbone, str(expand_path(config.init_from)))
        model.begin()
    start = f"going on from step {step}" if step else "starting"
    watch = Watch(len(job.names), tell if ranks.first and tell else lambda line: None)

    with (
        _begun(run if ranks.first else None, job, start, tell),
        Interrupt() as interrupt,
        Record(run if ranks.first else None, step, progress=progress) as record,
        job.batches(step, position) as batches,
    ):
        began = time.monotonic() - spent
        seconds = spent
        early = EarlyStop(config.validation.patience, job.score, record.history())
        (ended,) = ranks.largest(early.over)

        def save(store: CheckpointStore = store) -> Path:
            return store.save(
                step=step,
                position=position,
                config=config,
                shared=model.shared_state(),
                own=model.own_state(),
                extra={"seconds": time.monotonic() - began, "earlier": earlier, **job.facts},
                rank=ranks.rank,
                world=ranks.world,
                everywhere=ranks.everywhere,
            )

        def validate() -> None:
            nonlocal ended
            with record.paused():
                found = job.measure(model.best())
                first_says = ranks.first and early.is_best(found)
                better, ended = ranks.largest(first_says, early.over)
                if better:
                    save(best)
                record.validated(step, position / photos, found)

        def log() -> None:
            spent = time.monotonic() - began
            numbers = {"seconds": spent, "lr": model.rate}
            done = length.share(step, spent, position)
            record.flush(step, position / photos, numbers, done)

        for batch in batches:
            before, since = position, seconds
            seconds, stopped = ranks.largest(time.monotonic() - began, interrupt.asked)
            if length.over(step, seconds, position) or stopped or ended:
                break
            model.set_rate(length.rate(step, seconds, position))
            facts = model.step(batch, step, run)
            seen = len(batch) * ranks.world
            step, position = step + 1, position + seen
            record.step(seen, facts)
            watch.step(step, facts, length.share(step, seconds, position))

            if step % LOG_EVERY == 0:
                log()
            every = config.validation
            if _passes(every.every * photos, before, position) or _passes(
                every.minutes * 60, since, seconds
            ):
                validate()
            if _passes(config.checkpoint.minutes * 60, since, seconds) or _is_stored(
                config.checkpoint, step, _passes(photos, before, position)
            ):
                stored, stored_at = save(), step

        log()
        if stored is None or step != stored_at:
            stored = save()
        (validated_at,) = ranks.largest(record.validated_at)
        if not stopped and step != validated_at:
            validate()
    return TrainResult(
        run=run,
        checkpoint=stored,
        steps=step,
        epochs=position / photos,
        seconds=time.monotonic() - began,
        images_per_s=record.images_per_s,
        metrics=record.history()[-1] if record.history() else {},
        history=record.history(),
        stopped=bool(stopped) and not (length.over(step, seconds, position) or ended),
    )


@contextmanager
def _begun(
    run: Path | None, job: Job[Any], start: str, tell: Callable[[str], None] | None
) -> Iterator[None]:
    """The run's folder with what it is of, no other process training there meanwhile; None on
    ranks that write nothing. Raises ``StorageFull``, ``UsageError``."""
    if run is None:
        yield
        return
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.not_written(run, error) from None
    if not (run / LOCK).exists():
        files.append(run / LOCK, "")
    busy = (
        f"another process trains in {run}; wait until it has ended, or give this run another out. "
        "Ranks of one run are started by torchrun"
    )
    with files.alone(run / LOCK, busy):
        files.write_text(run / "config.yaml", dump(job.config))
        files.write_text(run / "report.txt", "\n".join(job.report) + "\n")
        if job.names:
            names = "".join(f"{files.guarded(name)}\n" for name in job.names)
            files.write_text(run / "classes.txt", names)
        if tell is not None:
            place = f"{job.config.out} on {job.ranks.world} × {job.ranks.device.type}"
            for line in (*job.remarks(), *job.report, f"{start} in {place}"):
                tell(line)
        yield


def _passes(every: float, before: float, now: float) -> bool:
    """Whether a multiple of ``every`` lies in (before, now]; never for 0."""
    if not every:
        return False
    return math.floor(now / every + 1e-9) > math.floor(before / every + 1e-9)


def _is_stored(config: CheckpointConfig, step: int, epoch_ended: bool) -> bool:
    if config.every:
        return step % config.every == 0
    return epoch_ended and not config.minutes


def _check_data(name: str, stored: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raise ``CheckpointMismatch`` where a run's data is another now."""

    def told(found: Mapping[str, Any]) -> str:
        counts = (f"{n} {what}" for what, n in found.items() if isinstance(n, int))
        return " and ".join(counts)

    before = {what: stored.get(what, value) for what, value in facts.items()}
    if before != facts:
        raise CheckpointMismatch(
            f"{name} was trained on {told(before)}, the data now gives {told(facts)}, or others; "
            "bring the data back, or start a new run with init_from and another out"
        )


__all__ = ["BEST", "LOG_EVERY", "TrainResult", "train"]
