"""A run of the landmark refiner: crops, loss, validation; ``engine.loop`` does the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from arcid.landmarks.points import FACING
from arcid.train.detector.drawn import DrawnJob, DrawnObjective, TorchSession, restored
from arcid.train.detector.evaluate import point_error
from arcid.train.detector.initial import load_weights
from arcid.train.detector.job import INPUT, images_tensor
from arcid.train.detector.landmarks.config import PointLossConfig, PointsConfig
from arcid.train.detector.landmarks.network import PointNetwork
from arcid.train.detector.landmarks.views import (
    FaceBatch,
    FaceView,
    FaceViews,
    cut,
)
from arcid.train.detector.scenes import split
from arcid.train.engine import loop
from arcid.train.objectives.objective import Step
from arcid.train.weights.checkpoint import Checkpoint

PART = "points"  # its name in a bundle
OUTPUTS = ("points",)
_CHUNK = 64


class PointsObjective(DrawnObjective[FaceBatch]):
    """Smooth L1, the mean over all coordinates, in hundredths of the crop's side. With
    ``loss.gaps`` also of the way from each lid and lip to the one below it: openness is a
    difference of points, and small beside what moves all of them.
    """

    def __init__(self, config: PointLossConfig) -> None:
        self._config = config

    def step(self, network: nn.Module, part: FaceBatch) -> Step:
        wanted = torch.from_numpy(part.points)
        answers = network(images_tensor(part.images)).reshape(wanted.shape)
        loss = 100 * F.smooth_l1_loss(answers, wanted, beta=self._config.beta)
        if not self._config.gaps:
            return Step(loss)
        above, below = (list(side) for side in zip(*FACING, strict=True))
        own, taught = (points[:, above] - points[:, below] for points in (answers, wanted))
        gaps = 100 * F.smooth_l1_loss(own, taught, beta=self._config.beta)
        return Step(loss + self._config.gaps * gaps, {"gaps": gaps.detach()})


class PointsJob(DrawnJob[FaceView, FaceBatch]):
    """The landmark refiner, which learns from labelled faces."""

    part = PART

    def __init__(self, config: PointsConfig) -> None:
        training, self._validation = split(config.scenes)
        super().__init__(config, PointsObjective(config.loss), training, self._validation)
        self.config: PointsConfig = config
        self._views = FaceViews(training, config)

    def network(self) -> PointNetwork:
        return PointNetwork(self.config.network)

    def restored(self, folder: Path) -> tuple[PointNetwork, Checkpoint[PointsConfig]]:
        return restore_points(folder)

    def start(self, network: nn.Module, source: str) -> dict[str, float]:
        """A refiner of five points starts one of 68, or of larger crops, but for what differs."""
        return load_weights(
            network, Path(source), self.restored, self.part, own=("whole.0", "points")
        )

    def draws(self, step: int) -> list[Callable[[], FaceView]]:
        return [partial(self._views, step, row) for row in range(self.config.scenes.batch)]

    def collate(self, views: Sequence[FaceView]) -> FaceBatch:
        return FaceBatch(
            np.stack([view.image for view in views]), np.stack([view.points for view in views])
        )

    def measure(self, network: nn.Module) -> dict[str, float]:
        """On reserved faces cut by their own boxes and points: what is left is the network's."""
        crops, wanted = self._judged
        session = points_session(cast(PointNetwork, network))
        given = np.concatenate([
            session.run(INPUT.prepare(crops[i : i + _CHUNK]))["points"]
            for i in range(0, len(crops), _CHUNK)
        ])  # fmt: skip
        error = point_error(given.reshape(wanted.shape), wanted)
        return {
            "faces": len(error),
            "median": float(np.median(error)),
            "mean": float(error.mean()),
            "below_95": float(np.percentile(error, 95)),
        }

    def score(self, found: Mapping[str, float]) -> tuple[float]:
        return (-found["median"],)

    @cached_property
    def _judged(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        crops, wanted, _ = cut(self._validation, self.config)
        most = self.config.validation.faces
        every = max(1, len(crops) // most) if most else 1
        return crops[::every], wanted[::every]


def train_points(
    config: PointsConfig, *, progress: bool = False, tell: Callable[[str], None] | None = None
) -> loop.TrainResult:
    """Train until the schedule's length; as ``engine.loop.train``, and ``DatasetInvalid``."""
    return loop.train(PointsJob(config), progress=progress, tell=tell)


def restore_points(folder: Path) -> tuple[PointNetwork, Checkpoint[PointsConfig]]:
    """The network of a run in eval mode, with its averaged weights.

    Raises ``CheckpointInvalid``, ``CheckpointMismatch``.
    """
    return restored(folder, PointsConfig, lambda config: PointNetwork(config.network))


def points_session(network: PointNetwork) -> TorchSession:
    """The network as the product reads it."""
    return TorchSession(network, OUTPUTS, lambda points: (points,), network.side)


__all__ = [
    "OUTPUTS",
    "PART",
    "PointsJob",
    "PointsObjective",
    "points_session",
    "restore_points",
    "train_points",
]
