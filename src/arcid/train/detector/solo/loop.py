"""The training loop of one process, to read top to bottom: draw views, step, average, measure."""

from __future__ import annotations

import csv
import io
import logging
import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from arcid.errors import ConfigError, DatasetInvalid
from arcid.files import append, write_text
from arcid.train.config.file import dump
from arcid.train.config.recipe import expand_path
from arcid.train.detector.solo.config import FREE, AdamConfig, SoloConfig
from arcid.train.detector.solo.state import Average, RunState, load_state, save_state
from arcid.train.engine.schedule import rate_factor

_LOG = logging.getLogger(__name__)
LOG_EVERY = 20  # steps a row of metrics.csv
View = TypeVar("View")
Batch = TypeVar("Batch", bound=Sized)
Metrics = TypeVar("Metrics", bound="Flat")


class Loss(Protocol):
    """What a batch costs."""

    @property
    def total(self) -> Tensor:
        """The weighted sum, to go back from."""
        ...

    @property
    def parts(self) -> Mapping[str, float]:
        """What it is made of, for metrics.csv."""
        ...


class Flat(Protocol):
    """What validation found."""

    def flat(self) -> Mapping[str, float]:
        """As one row of validation.csv."""
        ...


class Job(ABC, Generic[View, Batch, Metrics]):
    """What is trained, on what, and how it is measured."""

    free: ClassVar[tuple[str, ...]] = FREE  # settings that may change when a run goes on
    config: SoloConfig
    photos: int  # an epoch
    measure_minutes: float  # 0: at the end only
    workers: int  # threads that draw views
    prefetch: int  # batches made ahead

    @abstractmethod
    def network(self) -> nn.Module:
        """A new one, in channels-last order."""

    @abstractmethod
    def start(self, network: nn.Module, source: Path) -> dict[str, float]:
        """Load the weights of a run or bundle; ``total`` of its training.

        Raises ``CheckpointInvalid``, ``CheckpointMismatch``.
        """

    @abstractmethod
    def draws(self, step: int) -> list[Callable[[], View]]:
        """The views of one batch, still to be drawn; they depend on (seed, step) alone."""

    @abstractmethod
    def collate(self, views: Sequence[View]) -> Batch:
        """Views of one batch; its length is the number of them."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch) -> Loss:
        """What the network's answers to a batch cost."""

    @abstractmethod
    def measure(self, network: nn.Module) -> Metrics:
        """The network on photographs that are not trained on."""


@dataclass(frozen=True, slots=True)
class Result(Generic[Metrics]):
    """What a run left."""

    run: Path
    steps: int
    pictures: int
    seconds: float
    metrics: Metrics


def train(job: Job[View, Batch, Metrics]) -> Result[Metrics]:
    """Train until the schedule's length; rerun with the same ``out``, it goes on where it stood.

    Raises ``ConfigError``, ``DatasetInvalid``, ``CheckpointInvalid``, ``CheckpointMismatch``,
    ``StorageFull``, and ``DatasetInvalid`` where the loss is no longer finite.
    """
    config = job.config
    if not config.schedule.length:
        raise ConfigError("the schedule has no length; set schedule.minutes, epochs or steps")
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    run = Path(config.out)
    state = load_state(run)
    if state:
        state.check(config, job.free)
    network = job.network()
    earlier = dict(state.earlier) if state else {}
    if config.init_from and not state:
        earlier = job.start(network, expand_path(config.init_from))
    average = Average(network, config.optim.ema)
    optimizer = _optimizer(network, config.optim)
    step = pictures = 0
    before = 0.0
    if state:
        network.load_state_dict(state.network)
        average.values = dict(state.averaged)
        optimizer.load_state_dict(state.optimizer)
        step, pictures, before = state.step, state.pictures, state.seconds
    run.mkdir(parents=True, exist_ok=True)
    write_text(run / "config.yaml", dump(config))
    _LOG.info("training starts", extra={"photos": job.photos, "step": step})
    began = stored = measured = time.monotonic()
    recent: deque[dict[str, float]] = deque(maxlen=LOG_EVERY)
    batches = _batches(job, step)

    def seconds() -> float:
        return before + time.monotonic() - began

    def progress() -> float:
        minutes, unit = seconds() / 60, config.schedule.unit
        return {"minutes": minutes, "steps": step, "epochs": pictures / job.photos}[unit]

    def store() -> None:
        save_state(
            run,
            RunState(
                step, pictures, seconds(), config.to_dict(), network.state_dict(),
                average.values, optimizer.state_dict(), earlier,
            ),
        )  # fmt: skip

    def measure() -> Metrics:
        averaged = job.network()
        averaged.load_state_dict(average.values)
        found = job.measure(averaged.eval())
        row = {"step": step, "minutes": round(seconds() / 60, 2)}
        told = {name: round(value, 4) for name, value in found.flat().items()}
        _append(run / "validation.csv", {**row, **told})
        _LOG.info("validated", extra={**row, **told})
        return found

    while progress() < config.schedule.length:
        network.train()
        factor = max(rate_factor(config.schedule, progress()), 1e-3)
        for group in optimizer.param_groups:
            group["lr"] = config.optim.lr * factor
        batch = next(batches)
        loss = job.loss(network, batch)
        total = float(loss.total.detach())
        if not math.isfinite(total):
            raise DatasetInvalid(
                f"the loss is no longer a number at step {step}; lower optim.lr and resume",
                step=step,
            )
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss.total)
        if config.optim.clip:
            nn.utils.clip_grad_norm_(network.parameters(), config.optim.clip)
        optimizer.step()
        average.update(network, step)
        step += 1
        pictures += len(batch)
        recent.append({"loss": total, **loss.parts})
        now = time.monotonic()
        if step % LOG_EVERY == 0:
            means = {
                name: round(float(np.mean([one[name] for one in recent])), 5) for name in recent[-1]
            }
            row = {"step": step, "pictures": pictures, "minutes": round(seconds() / 60, 3)}
            _append(run / "metrics.csv", {**row, "lr": round(config.optim.lr * factor, 8), **means})
        if now - stored > config.checkpoint_minutes * 60:
            store()
            stored = now
        if job.measure_minutes and now - measured > job.measure_minutes * 60:
            measure()
            measured = time.monotonic()
    batches.close()
    store()
    return Result(run, step, pictures, seconds(), measure())


def _optimizer(network: nn.Module, config: AdamConfig) -> torch.optim.AdamW:
    """AdamW; biases and batch norms are not decayed."""
    flat = [p for p in network.parameters() if p.ndim == 1]
    deep = [p for p in network.parameters() if p.ndim > 1]
    groups: list[dict[str, Any]] = [{"params": deep}, {"params": flat, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay
    )


def _batches(job: Job[View, Batch, Metrics], step: int) -> Generator[Batch, None, None]:
    """Batches from ``step`` on, made ahead by threads; what a step sees depends on nothing else."""
    import cv2

    cv2.setNumThreads(1)
    ahead = deque[list[Future[View]]]()
    with ThreadPoolExecutor(job.workers, thread_name_prefix="views") as pool:
        try:
            while True:
                while len(ahead) <= job.prefetch:
                    ahead.append([pool.submit(draw) for draw in job.draws(step)])
                    step += 1
                yield job.collate([future.result() for future in ahead.popleft()])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _append(path: Path, row: dict[str, Any]) -> None:
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, list(row))
    if not path.exists():
        writer.writeheader()
    writer.writerow(row)
    append(path, lines.getvalue())


__all__ = ["Flat", "Job", "Loss", "Result", "train"]
