"""What a run is of: the network, what it learns from, on what, and how it is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from torch import nn

from arcid.train.config.recipe import RunConfig
from arcid.train.objectives.objective import Objective
from arcid.train.ranks import Ranks

Batch = TypeVar("Batch", bound=Sized)


class Job(ABC, Generic[Batch]):
    """Base. Making one raises for whatever is wrong with its config and data.

    ``photos``     an epoch
    ``batch``      photos of an ordinary step, over all ranks
    ``facts``      of the data, by name, that a resume must find again
    ``names``      of its classes, in the order of their centres; kept as classes.txt
    ``report``     where the photos are from, a line each; kept as report.txt
    """

    config: RunConfig
    ranks: Ranks
    objective: Objective[Batch, Any]
    photos: int
    batch: int
    facts: Mapping[str, Any]
    names: Sequence[str] = ()
    report: Sequence[str]

    @abstractmethod
    def network(self) -> nn.Module:
        """A new one, as it is exported."""

    @abstractmethod
    def start(self, network: nn.Module, source: str) -> dict[str, float]:
        """Load the weights of ``init_from``; the sums of the training before, for its successors.

        Raises ``ModelNotFound``, ``CheckpointInvalid``, ``CheckpointMismatch``.
        """

    @abstractmethod
    def batches(self, step: int, position: int) -> AbstractContextManager[Iterator[Batch]]:
        """This rank's part of every batch from ``step`` on, where the run has seen ``position``
        photos; what a step is shown depends on the seed and its number alone."""

    @abstractmethod
    def measure(self, network: nn.Module) -> Mapping[str, float]:
        """Numbers by name, on photos that are not trained on; every rank calls it."""

    @abstractmethod
    def score(self, found: Mapping[str, float]) -> Sequence[float] | None:
        """What was measured as numbers of which the higher are better, the first ones count most;
        None where nothing tells better from worse."""

    @abstractmethod
    def remarks(self) -> list[str]:
        """What is to be said of network and settings before the first step."""


__all__ = ["Job"]
