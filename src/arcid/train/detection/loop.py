"""The detector's training loop: draw canvases, step, average, judge, store; read top to bottom."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from arcid.detect.arcid_detect import ArcidDetect
from arcid.errors import ConfigError, DatasetInvalid
from arcid.models.manifest import InputSpec
from arcid.train.config import expand_path
from arcid.train.configfile import dump, to_dict
from arcid.train.detection.config import DetectConfig
from arcid.train.detection.evaluate import Judgement, judge
from arcid.train.detection.losses import (
    DetectLoss,
    Targets,
    detection_loss,
    forced_loss,
    imitation_loss,
)
from arcid.train.detection.network import MEAN, STD, DetectorNetwork
from arcid.train.detection.scenes import Scenes, split
from arcid.train.detection.state import Average, RunState, load_state, save_state
from arcid.train.detection.teacher import DetectorTeacher
from arcid.train.detection.views import ViewBatch, Views, collate
from arcid.train.schedule import rate_factor

_LOG = logging.getLogger(__name__)
LOG_EVERY = 20  # steps a row of metrics.csv
JUDGE_THRESHOLD = 0.05  # low, so that the curve reaches its false alarms
INPUT = InputSpec("image", "RGB", (MEAN,) * 3, (STD,) * 3, None)


@dataclass(frozen=True, slots=True)
class DetectResult:
    """What a run left."""

    run: Path
    steps: int
    pictures: int
    seconds: float
    judgement: Judgement


def train_detector(config: DetectConfig) -> DetectResult:
    """Train until the schedule's length; rerun with the same ``out``, it goes on where it stood.

    Raises ``ConfigError``, ``DatasetInvalid``, ``CheckpointInvalid``, ``CheckpointMismatch``,
    ``StorageFull``, and ``DatasetInvalid`` where the loss is no longer finite.
    """
    if not config.schedule.length:
        raise ConfigError("the schedule has no length; set schedule.minutes, epochs or steps")
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    run = Path(config.out)
    state = load_state(run)
    if state:
        state.check(config)
    training, judging = split(config.scenes)
    teacher = DetectorTeacher(config.teacher.model) if config.teacher.model else None
    views = Views(training, config.views, config.scenes, config.seed)
    network = DetectorNetwork(config.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    earlier = dict(state.earlier) if state else {}
    if config.init_from and not state:
        from arcid.train.detection.export import load_weights

        earlier = load_weights(network, expand_path(config.init_from))
    average = Average(network, config.optim.ema)
    optimizer = _optimizer(network, config)
    step = pictures = 0
    before = 0.0
    if state:
        network.load_state_dict(state.network)
        average.values = dict(state.averaged)
        optimizer.load_state_dict(state.optimizer)
        step, pictures, before = state.step, state.pictures, state.seconds
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text(dump(config), encoding="utf-8")
    _LOG.info(
        "detector training starts",
        extra={"training": len(training), "reserved": len(judging), "step": step},
    )
    began = stored = judged = time.monotonic()
    recent: deque[DetectLoss] = deque(maxlen=LOG_EVERY)
    batches = _batches(views, config, step)

    def seconds() -> float:
        return before + time.monotonic() - began

    def progress() -> float:
        minutes, unit = seconds() / 60, config.schedule.unit
        return {"minutes": minutes, "steps": step, "epochs": pictures / len(training)}[unit]

    def store() -> None:
        save_state(
            run,
            RunState(
                step, pictures, seconds(), to_dict(config), network.state_dict(),
                average.values, optimizer.state_dict(), earlier,
            ),
        )  # fmt: skip

    while progress() < config.schedule.length:
        network.train()
        factor = max(rate_factor(config.schedule, progress()), 1e-3)
        for group in optimizer.param_groups:
            group["lr"] = config.optim.lr * factor
        batch = next(batches)
        loss = step_loss(network, batch, teacher, config)
        if not math.isfinite(float(loss.total.detach())):
            raise DatasetInvalid(
                f"the loss is no longer a number at step {step}; lower optim.lr and resume",
                step=step,
            )
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call,unused-ignore]
        if config.optim.clip:
            nn.utils.clip_grad_norm_(network.parameters(), config.optim.clip)
        optimizer.step()
        average.update(network, step)
        step += 1
        pictures += len(batch.images)
        recent.append(replace(loss, total=loss.total.detach()))
        now = time.monotonic()
        if step % LOG_EVERY == 0:
            _append(run / "metrics.csv", _row(step, pictures, seconds(), factor, recent, config))
        if now - stored > config.checkpoint_minutes * 60:
            store()
            stored = now
        if config.judge.minutes and now - judged > config.judge.minutes * 60:
            _judged(run, step, seconds(), average, judging, config)
            judged = time.monotonic()
    batches.close()
    store()
    judgement = _judged(run, step, seconds(), average, judging, config)
    return DetectResult(run, step, pictures, seconds(), judgement)


def step_loss(
    network: DetectorNetwork,
    batch: ViewBatch,
    teacher: DetectorTeacher | None,
    config: DetectConfig,
) -> DetectLoss:
    """Of labels, of labels and a teacher, or of a teacher part by part."""
    images, targets = _tensors(batch)
    seen = teacher(batch.images) if teacher else None
    if seen and config.teacher.forced:
        return forced_loss(network, images, seen, config.loss, config.teacher.maps)
    raw = network(images)
    loss = detection_loss(raw, targets, _size(images), config.loss)
    if seen:
        without_points = replace(config.loss, points=0.0)  # those are the labels' alone
        imitated = imitation_loss(raw, seen, _size(images), without_points)
        loss = replace(loss, total=loss.total + config.teacher.weight * imitated.total)
    return loss


def _optimizer(network: nn.Module, config: DetectConfig) -> torch.optim.AdamW:
    """AdamW; biases and batch norms are not decayed."""
    flat = [p for p in network.parameters() if p.ndim == 1]
    deep = [p for p in network.parameters() if p.ndim > 1]
    groups: list[dict[str, Any]] = [{"params": deep}, {"params": flat, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups,
        lr=config.optim.lr,
        betas=config.optim.betas,
        weight_decay=config.optim.weight_decay,
    )


def _batches(views: Views, config: DetectConfig, step: int) -> Generator[ViewBatch, None, None]:
    """Batches from ``step`` on, made ahead by threads; what a step sees depends on nothing else."""
    import cv2

    cv2.setNumThreads(1)
    sizes, ahead = config.views.sizes, deque[list[Future[Any]]]()
    with ThreadPoolExecutor(config.scenes.workers, thread_name_prefix="views") as pool:
        try:
            while True:
                while len(ahead) <= config.scenes.prefetch:
                    size = sizes[
                        int(np.random.default_rng([config.seed, step]).integers(len(sizes)))
                    ]
                    count = max(2, round(config.scenes.batch * (sizes[0] / size) ** 2))
                    ahead.append([pool.submit(views, step, row, size) for row in range(count)])
                    step += 1
                yield collate([future.result() for future in ahead.popleft()])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _tensors(batch: ViewBatch) -> tuple[Tensor, Targets]:
    """(B,3,S,S) float32 in channels-last order, and what should be answered."""
    images = torch.from_numpy(batch.images).permute(0, 3, 1, 2).float().sub_(MEAN).div_(STD)
    arrays = (batch.boxes, batch.points, batch.boxes_of, batch.ignore, batch.ignore_of)
    return images, Targets(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


class TorchSession:
    """A network behind the ``Session`` protocol, so that the product's own decoder reads it."""

    runtime, device, precision = "torch", "cpu", "f32"
    input_name = "image"
    input_shape: tuple[int | None, ...] = (None, 3, None, None)
    output_names: tuple[str, ...] = ("scores", "boxes", "points")

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        with torch.inference_mode():
            x = torch.from_numpy(tensor).contiguous(memory_format=torch.channels_last)
            scores, boxes, points = self._network(x)
        values = (scores.sigmoid(), boxes, points)
        return {n: v.numpy() for n, v in zip(self.output_names, values, strict=True)}


def judge_network(network: nn.Module, judging: Scenes, config: DetectConfig) -> Judgement:
    """The network on the reserved pictures, or an even choice of ``judge.pictures`` of them."""
    j = config.judge
    rows = np.arange(len(judging))
    if j.pictures and j.pictures < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, j.pictures).round().astype(int)]
    detector = ArcidDetect(TorchSession(network), INPUT, threshold=JUDGE_THRESHOLD, size=j.size)
    return judge(
        detector.detect,
        ((judging.image(int(row)), judging.labels(int(row))) for row in rows),
        alarms=j.alarms,
    )


def _judged(
    run: Path, step: int, seconds: float, average: Average, judging: Scenes, config: DetectConfig
) -> Judgement:
    network = DetectorNetwork(config.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.load_state_dict(average.values)
    found = judge_network(network, judging, config)
    row = {"step": step, "minutes": round(seconds / 60, 2)}
    _append(run / "validation.csv", {**row, **{k: round(v, 4) for k, v in found.flat().items()}})
    _LOG.info("judged", extra={**row, "recall": found.recall, "point_error": found.point_error})
    return found


def _row(
    step: int,
    pictures: int,
    seconds: float,
    factor: float,
    recent: deque[DetectLoss],
    config: DetectConfig,
) -> dict[str, Any]:
    means = {
        name: round(float(np.mean([float(getattr(one, name)) for one in recent])), 5)
        for name in ("score", "box", "points", "cells", "maps")
    }
    return {
        "step": step,
        "pictures": pictures,
        "minutes": round(seconds / 60, 3),
        "lr": round(config.optim.lr * factor, 8),
        "loss": round(float(np.mean([float(one.total) for one in recent])), 5),
        **means,
    }


def _append(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


__all__ = ["INPUT", "DetectResult", "TorchSession", "judge_network", "step_loss", "train_detector"]
