"""What a detector's run is: canvases, loss and validation; ``engine.loop`` does the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from arcid.detect.arcid_detect import ArcidDetect
from arcid.models.manifest import InputSpec
from arcid.runtime import Session
from arcid.train.detector.config import DetectConfig
from arcid.train.detector.drawn import DrawnJob, DrawnObjective, TorchSession, restored
from arcid.train.detector.evaluate import DetectionMetrics, measure
from arcid.train.detector.losses import (
    DetectLoss,
    Targets,
    detection_loss,
    forced_loss,
    imitation_loss,
)
from arcid.train.detector.network import MEAN, STD, DetectorNetwork
from arcid.train.detector.scenes import Scenes, split
from arcid.train.detector.teacher import DetectorTeacher
from arcid.train.detector.views import View, ViewBatch, Views, collate
from arcid.train.engine import loop
from arcid.train.objectives.objective import Step
from arcid.train.weights.checkpoint import Checkpoint

MEASURE_THRESHOLD = 0.05  # low, so that the curve reaches its false positives
OUTPUTS = ("scores", "boxes", "points")
INPUT = InputSpec("image", "RGB", (MEAN,) * 3, (STD,) * 3, None)


class DetectObjective(DrawnObjective[ViewBatch]):
    """What labels, a teacher's answers, or both ask of a detector."""

    def __init__(self, config: DetectConfig) -> None:
        self._config = config
        self._teacher = DetectorTeacher(config.teacher.model) if config.teacher.model else None

    def step(self, network: nn.Module, part: ViewBatch) -> Step:
        loss = step_loss(cast(DetectorNetwork, network), part, self._teacher, self._config)
        return Step(loss.total, loss.parts)


class DetectJob(DrawnJob[View, ViewBatch]):
    """A detector that learns from labelled pictures."""

    def __init__(self, config: DetectConfig) -> None:
        training, self.validation = split(config.scenes)
        super().__init__(config, DetectObjective(config), training, self.validation)
        self.config: DetectConfig = config
        self._views = Views(training, config.views, config.scenes, config.seed)

    def network(self) -> DetectorNetwork:
        return DetectorNetwork(self.config.network)

    def restored(self, folder: Path) -> tuple[DetectorNetwork, Checkpoint[DetectConfig]]:
        return restore_network(folder)

    def draws(self, step: int) -> list[Callable[[], View]]:
        sizes, batch = self.config.views.sizes, self.config.scenes.batch
        size = sizes[int(np.random.default_rng([self.config.seed, step]).integers(len(sizes)))]
        count = max(2, round(batch * (sizes[0] / size) ** 2))
        return [partial(self._views, step, row, size) for row in range(count)]

    def collate(self, views: Sequence[View]) -> ViewBatch:
        return collate(views)

    def measure(self, network: nn.Module) -> dict[str, float]:
        return measure_network(network, self.validation, self.config).flat()

    def score(self, found: Mapping[str, float]) -> tuple[float]:
        return (found["recall"],)


def train_detector(
    config: DetectConfig, *, progress: bool = False, tell: Callable[[str], None] | None = None
) -> loop.TrainResult:
    """Train until the schedule's length; as ``engine.loop.train``, and ``DatasetInvalid``."""
    return loop.train(DetectJob(config), progress=progress, tell=tell)


def restore_network(folder: Path) -> tuple[DetectorNetwork, Checkpoint[DetectConfig]]:
    """The network of a run in eval mode, with its averaged weights.

    Raises ``CheckpointInvalid``, ``CheckpointMismatch``.
    """
    return restored(folder, DetectConfig, lambda config: DetectorNetwork(config.network))


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
    loss, asked = detection_loss(raw, targets, _size(images), config.loss)
    if seen:
        without_points = config.loss.but(points=0.0)  # those are the labels' alone
        imitated = imitation_loss(raw, seen, _size(images), without_points, asked)
        loss = replace(loss, total=loss.total + config.teacher.weight * imitated.total)
    return loss


def detector_session(network: nn.Module) -> TorchSession:
    """The network as the product's own decoder reads it."""
    return TorchSession(network, OUTPUTS, lambda raw: (raw[0].sigmoid(), *raw[1:]))


def images_tensor(images: npt.NDArray[np.uint8]) -> Tensor:
    """(B,H,W,3) uint8 in; (B,3,H,W) float32 in channels-last order out, as the networks take it."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().sub_(MEAN).div_(STD)


def _tensors(batch: ViewBatch) -> tuple[Tensor, Targets]:
    """(B,3,S,S) float32 in channels-last order, and what should be answered."""
    arrays = (batch.boxes, batch.points, batch.boxes_of, batch.ignore, batch.ignore_of)
    return images_tensor(batch.images), Targets(
        *(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
    )


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


def measure_network(
    network: nn.Module, validation: Scenes, config: DetectConfig, refiner: Session | None = None
) -> DetectionMetrics:
    """The network on the reserved pictures, or an even choice of ``validation.pictures`` of them;
    ``refiner`` refines the landmarks."""
    j = config.validation
    rows = np.arange(len(validation))
    if j.pictures and j.pictures < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, j.pictures).round().astype(int)]
    sessions: dict[str, Session] = {"model": detector_session(network)}
    if refiner is not None:
        sessions["points"] = refiner
    detector = ArcidDetect(sessions, INPUT, threshold=MEASURE_THRESHOLD, size=j.size)
    return measure(
        detector.detect_once,
        ((validation.image(int(row)), validation.labels(int(row))) for row in rows),
        fppi=j.fppi,
    )


__all__ = [
    "INPUT",
    "OUTPUTS",
    "DetectJob",
    "DetectObjective",
    "detector_session",
    "images_tensor",
    "measure_network",
    "restore_network",
    "step_loss",
    "train_detector",
]
