"""What a step makes smaller. An objective owns what ranks do not share (class centres,
memory) and says how the shared network is built around the one that is exported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from arcid.errors import ConfigError
from arcid.train.config.recipe import TrainConfig
from arcid.train.data.dataset import SampleSet
from arcid.train.data.loader import Batch
from arcid.train.heads.classifier import Classifier
from arcid.train.heads.margin import ClassificationLoss
from arcid.train.heads.partial import PartialClassifier
from arcid.train.heads.softmax import MarginSpec
from arcid.train.objectives.losses import loss_spec
from arcid.train.objectives.parts import Seen, parts_of
from arcid.train.ranks import Ranks

Given = TypeVar("Given")
Part = TypeVar("Part")
_MATMUL = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Step:
    """``loss`` () with a gradient; ``facts``: numbers to show, without."""

    loss: Tensor
    facts: dict[str, Tensor] = field(default_factory=dict)


class Objective(ABC, Generic[Given, Part]):
    """Base, for batches ``Given`` that go through the network in one ``Part`` or several.

    ``centres``      of this rank; None: there are none
    ``memory``       of earlier steps, of this rank; None: there is none
    ``parity``       everything decays, and only the network's gradient is clipped
    ``freeze_norm``  batch norms keep their statistics
    """

    centres: Classifier | None = None
    memory: nn.Module | None = None
    parity = False
    freeze_norm = False

    def network(self, backbone: nn.Module) -> nn.Module:
        """What is trained and shared by all ranks, with the exported network as its ``backbone``;
        by default that network itself."""
        return backbone

    def begin(self, network: nn.Module) -> None:
        """Called once, before the first step of a new run, with the weights it starts from."""
        return

    @abstractmethod
    def parts(self, batch: Given) -> Iterable[Part]:
        """The batch as ``optim.accumulate`` parts of one size."""

    @abstractmethod
    def step(self, network: nn.Module, part: Part) -> Step:
        """One forward pass."""

    @abstractmethod
    def kept(self, batch: Given) -> dict[str, Any]:
        """What is stored of a batch whose loss was no number."""


class FaceObjective(Objective[Batch, Seen]):
    """Base of what recognisers learn by; ``samples`` to draw from."""

    def __init__(self, recipe: TrainConfig, samples: SampleSet, device: torch.device) -> None:
        self.recipe, self.samples, self.device = recipe, samples, device
        self.parity, self.freeze_norm = bool(recipe.parity), recipe.model.freeze_norm

    def parts(self, batch: Batch) -> Iterable[Seen]:
        return parts_of(batch, self.recipe, self.device)

    def kept(self, batch: Batch) -> dict[str, Any]:
        keys = [self.samples.key(i) for i in batch.index.tolist()]
        return {"images": batch.images, "labels": batch.labels, "keys": keys}


def create_classifier(config: TrainConfig, classes: int, ranks: Ranks) -> Classifier:
    """The class centres ``config`` describes. Raises ``ConfigError``."""
    spec = loss_spec(config.loss.name, **config.loss.options)
    if config.parity:
        if not isinstance(spec, MarginSpec):
            raise ConfigError(
                f"arcface_torch has no {config.loss.name}; take arcface or cosface, or leave "
                "parity out",
                key="parity",
            )
        spec = spec.but(straight_through=True)
    loss = spec.build()
    if not isinstance(loss, ClassificationLoss):
        raise ConfigError(f"{config.loss.name} has no class centres")
    wanted = config.classifier
    options: dict[str, Any] = {
        "k": wanted.centres or spec.k,
        "filter_cosine": wanted.filter_cosine if wanted.filter_cosine < 1 else None,
        "filter_to": 0.0 if config.parity else -torch.inf,
        "chunk": wanted.chunk,
        "matmul_dtype": _MATMUL[config.precision.autocast],
        "seed": config.seed,
        "device": ranks.device,
    }
    if wanted.kind == "partial":
        return PartialClassifier(
            classes, config.model.dim, loss, sample_rate=wanted.rate, **options
        )
    return Classifier(classes, config.model.dim, loss, **options)


__all__ = ["FaceObjective", "Objective", "Step", "create_classifier"]
