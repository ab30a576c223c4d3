"""A run of the landmark refiner: crops, loss, validation; ``detector.solo.loop`` does the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import DatasetInvalid
from arcid.geometry import warp
from arcid.train.backbones import to_channels_last
from arcid.train.config.section import build
from arcid.train.detector.evaluate import point_error
from arcid.train.detector.initial import load_weights
from arcid.train.detector.landmarks.config import FREE, SIZE, PointNetworkConfig, PointsConfig
from arcid.train.detector.landmarks.network import PointNetwork
from arcid.train.detector.landmarks.views import (
    FaceBatch,
    FaceView,
    FaceViews,
    crop_matrix,
    learnable,
)
from arcid.train.detector.loop import INPUT, images_tensor
from arcid.train.detector.scenes import split
from arcid.train.detector.solo import loop
from arcid.train.detector.solo.state import RunState, stored_state

PART = "points"  # its name in a bundle
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class PointLoss:
    """Mean over all coordinates, in hundredths of the crop's side."""

    total: Tensor

    @property
    def parts(self) -> dict[str, float]:
        return {}


@dataclass(frozen=True, slots=True)
class LandmarkMetrics:
    """Point errors on labelled faces, shares of the distance of the eyes."""

    faces: int
    median: float
    mean: float
    below_95: float  # 95 % are below

    def flat(self) -> dict[str, float]:
        """The numbers as one row."""
        return {
            "faces": self.faces,
            "median": self.median,
            "mean": self.mean,
            "below_95": self.below_95,
        }


class PointsJob(loop.Job[FaceView, FaceBatch, LandmarkMetrics]):
    """The landmark refiner, trained on labelled faces."""

    free: ClassVar[tuple[str, ...]] = FREE

    def __init__(self, config: PointsConfig) -> None:
        self.config: PointsConfig = config
        training, self._validation = split(config.scenes)
        self.photos = len(training)
        self.measure_minutes = config.validation.minutes
        self.workers, self.prefetch = config.scenes.workers, config.scenes.prefetch
        self._views = FaceViews(training, config.views, config.scenes, config.seed)

    def network(self) -> PointNetwork:
        made = PointNetwork(self.config.network)
        to_channels_last(made)
        return made

    def start(self, network: nn.Module, source: Path) -> dict[str, float]:
        return load_weights(network, source, restore_points, PART)

    def draws(self, step: int) -> list[Callable[[], FaceView]]:
        return [partial(self._views, step, row) for row in range(self.config.scenes.batch)]

    def collate(self, views: Sequence[FaceView]) -> FaceBatch:
        return FaceBatch(
            np.stack([view.image for view in views]), np.stack([view.points for view in views])
        )

    def loss(self, network: nn.Module, batch: FaceBatch) -> PointLoss:
        answers = network(images_tensor(batch.images)).reshape(-1, 5, 2)
        wanted, beta = torch.from_numpy(batch.points), self.config.loss.beta
        return PointLoss(100 * F.smooth_l1_loss(answers, wanted, beta=beta))

    def measure(self, network: nn.Module) -> LandmarkMetrics:
        """On reserved faces cut by their own boxes and points: what is left is the network's."""
        crops, wanted = self._judged
        session = PointsSession(network)
        given = np.concatenate([
            session.run(INPUT.prepare(crops[i : i + _CHUNK]))["points"]
            for i in range(0, len(crops), _CHUNK)
        ])  # fmt: skip
        error = point_error(given.reshape(-1, 5, 2), wanted)
        return LandmarkMetrics(
            len(error),
            float(np.median(error)),
            float(error.mean()),
            float(np.percentile(error, 95)),
        )

    @cached_property
    def _judged(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        crops, wanted = [], []
        for row in range(len(self._validation)):
            labels = self._validation.labels(row)
            for face in learnable(labels, self.config.views.least_px):
                points = labels.points[face]
                matrix = crop_matrix(labels.boxes[face], points)
                crops.append(warp(self._validation.image(row), matrix, SIZE))
                placed = points @ matrix[:, :2].T + matrix[:, 2]
                wanted.append((placed - (SIZE - 1) / 2) / SIZE)
        if not crops:
            raise DatasetInvalid("no reserved picture has a labelled face to measure on")
        most = self.config.validation.faces
        every = max(1, len(crops) // most) if most else 1
        return np.stack(crops)[::every], np.stack(wanted).astype(np.float32)[::every]


def train_points(config: PointsConfig) -> loop.Result[LandmarkMetrics]:
    """Train until the schedule's length; raises as ``solo.loop.train``."""
    return loop.train(PointsJob(config))


def restore_points(folder: Path) -> tuple[PointNetwork, RunState]:
    """The network of a run in eval mode, with its averaged weights.

    Raises ``CheckpointInvalid``, ``ConfigError`` for the run of another network.
    """
    state = stored_state(folder)
    network = PointNetwork(build(PointNetworkConfig, state.config["network"]))
    network.load_state_dict(state.averaged)
    return network.eval(), state


class PointsSession:
    """A network behind the ``Session`` protocol, as the product's refiner reads it."""

    runtime, device, precision = "torch", "cpu", "f32"
    input_name = "image"
    input_shape: tuple[int | None, ...] = (None, 3, SIZE, SIZE)
    output_names: tuple[str, ...] = ("points",)

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        with torch.inference_mode():
            x = torch.from_numpy(tensor).contiguous(memory_format=torch.channels_last)
            return {"points": self._network(x).numpy()}


__all__ = [
    "PART",
    "LandmarkMetrics",
    "PointsJob",
    "PointsSession",
    "restore_points",
    "train_points",
]
