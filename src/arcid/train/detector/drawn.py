"""What runs on pictures have in common: views drawn by threads, a batch ahead of the network."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy.typing as npt
import torch
from torch import Tensor, nn

from arcid.train.backbones import count_parameters
from arcid.train.detector.config import ScenesRun
from arcid.train.detector.initial import load_weights
from arcid.train.detector.scenes import Scenes
from arcid.train.engine.job import Job
from arcid.train.objectives.objective import Objective
from arcid.train.ranks import one_rank
from arcid.train.weights.checkpoint import Checkpoint, open_checkpoint
from arcid.train.weights.states import load_state

View = TypeVar("View")
Batch = TypeVar("Batch", bound=Sized)
Config = TypeVar("Config", bound=ScenesRun)
Net = TypeVar("Net", bound=nn.Module)


class DrawnObjective(Objective[Batch, Batch], Generic[Batch]):
    """Base: a batch is a dataclass of arrays and goes through the network as one."""

    def parts(self, batch: Batch) -> Iterable[Batch]:
        return (batch,)

    def kept(self, batch: Batch) -> dict[str, Any]:
        item: Any = batch
        return {f.name: torch.from_numpy(getattr(batch, f.name)) for f in fields(item)}


class DrawnJob(Job[Batch], Generic[View, Batch]):
    """Base. Raises ``ConfigError`` under torchrun with several ranks."""

    config: ScenesRun
    part = ""  # of a bundle that holds several networks

    def __init__(
        self,
        config: ScenesRun,
        objective: DrawnObjective[Batch],
        training: Scenes,
        validation: Scenes,
    ) -> None:
        self.config, self.objective = config, objective
        self.ranks = one_rank("training a detector")
        self.photos, self.batch = len(training), config.scenes.batch
        self.facts = {"pictures": len(training)}
        self.report = [
            f"training on {_faces(training)} faces of {len(training)} pictures",
            f"{_faces(validation)} faces of {len(validation)} pictures reserved",
        ]

    @abstractmethod
    def draws(self, step: int) -> list[Callable[[], View]]:
        """The views of one batch, still to be drawn; they depend on (seed, step) alone."""

    @abstractmethod
    def collate(self, views: Sequence[View]) -> Batch:
        """Views of one batch; its length is the number of them."""

    @abstractmethod
    def restored(self, folder: Path) -> tuple[nn.Module, Checkpoint[Any]]:
        """The network of such a run."""

    def start(self, network: nn.Module, source: str) -> dict[str, float]:
        return load_weights(network, Path(source), self.restored, self.part)

    @contextmanager
    def batches(self, step: int, position: int) -> Iterator[Iterator[Batch]]:
        with closing(self._batches(step)) as running:
            yield running

    def remarks(self) -> list[str]:
        with torch.device("meta"):
            return [f"{count_parameters(self.network()):,} parameters"]

    def _batches(self, step: int) -> Generator[Batch, None, None]:
        import cv2

        cv2.setNumThreads(1)
        scenes, ahead = self.config.scenes, deque[list[Future[View]]]()
        with ThreadPoolExecutor(scenes.workers, thread_name_prefix="views") as pool:
            try:
                while True:
                    while len(ahead) <= scenes.prefetch:
                        ahead.append([pool.submit(draw) for draw in self.draws(step)])
                        step += 1
                    yield self.collate([future.result() for future in ahead.popleft()])
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


class TorchSession:
    """A network behind the ``Session`` protocol, so that the product reads it like its file.

    ``names`` of the outputs; ``answers``: them from what the network gives; ``side`` of its input
    in pixels, None: any.
    """

    runtime, device, precision = "torch", "cpu", "f32"
    input_name = "image"

    def __init__(
        self,
        network: nn.Module,
        names: tuple[str, ...],
        answers: Callable[[Any], tuple[Tensor, ...]],
        side: int | None = None,
    ) -> None:
        self.input_shape: tuple[int | None, ...] = (None, 3, side, side)
        self._network, self.output_names, self._answers = network.eval(), names, answers

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        with torch.inference_mode():
            x = torch.from_numpy(tensor).contiguous(memory_format=torch.channels_last)
            given = self._answers(self._network(x))
        return {name: value.numpy() for name, value in zip(self.output_names, given, strict=True)}


def restored(
    folder: Path, kind: type[Config], make: Callable[[Config], Net]
) -> tuple[Net, Checkpoint[Config]]:
    """A run's network in eval mode, with the averaged weights where there are any.

    Raises ``CheckpointInvalid``, ``CheckpointMismatch``.
    """
    checkpoint = open_checkpoint(folder, kind)
    shared, network = checkpoint.shared(), make(checkpoint.config)
    load_state(network, shared.get("averaged", shared["backbone"]), checkpoint.path.name)
    return network.eval(), checkpoint


def _faces(scenes: Scenes) -> int:
    return sum(len(scenes.labels(row).boxes) for row in range(len(scenes)))


__all__ = ["DrawnJob", "DrawnObjective", "TorchSession", "restored"]
