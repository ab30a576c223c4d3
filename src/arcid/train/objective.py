"""What a step makes smaller: a margin loss on class centres, or a loss on triplets.

An objective owns what ranks do not share (the class centres) and says how the shared network is
built around the backbone. ``arcid.train.distil`` adds a third kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from arcid.errors import ConfigError
from arcid.train.backbones import Backbone
from arcid.train.classifier import Classifier
from arcid.train.config import TrainConfig
from arcid.train.data.dataset import ChipSet, TrainData
from arcid.train.losses import ClassificationLoss, loss_spec
from arcid.train.partial import PartialClassifier
from arcid.train.ranks import Ranks
from arcid.train.triplet import TripletLoss

_MATMUL = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Step:
    """``loss`` () with a gradient; ``facts``: numbers to show, without."""

    loss: Tensor
    facts: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """One forward pass's photos as the network sees them."""

    images: Tensor  # (B,3,S,S) uint8 RGB
    labels: Tensor  # (B,) int64, -1 without identity
    clean: Tensor | None = None  # the same before blur, darkness and masks


class Objective(ABC):
    """Base: ``chips`` to draw from, ``centres`` of this rank (None: there are none)."""

    chips: ChipSet
    centres: Classifier | None = None

    def network(self, backbone: Backbone) -> nn.Module:
        """What is trained and shared by all ranks; by default the backbone itself."""
        return backbone

    @abstractmethod
    def step(self, network: nn.Module, seen: Seen, inputs: Tensor) -> Step:
        """One forward pass; ``inputs`` are ``seen.images`` as the network eats them."""


class MarginObjective(Objective):
    """Features against class centres, by any loss of ``arcid.train.losses``."""

    def __init__(self, config: TrainConfig, data: TrainData, ranks: Ranks) -> None:
        self.chips = data.train
        self.centres = create_classifier(config, len(data.classes), ranks)

    def step(self, network: nn.Module, seen: Seen, inputs: Tensor) -> Step:
        assert self.centres is not None
        out = self.centres(network(inputs), seen.labels)
        return Step(
            out.loss, {"cosine": out.cosine.mean(), "train_accuracy": out.correct.float().mean()}
        )


class TripletObjective(Objective):
    """Triplets mined in batches of P identities × K photos."""

    def __init__(self, config: TrainConfig, data: TrainData, loss: TripletLoss) -> None:
        if not config.data.per_identity:
            raise ConfigError(
                f"{config.loss.name} needs several photos of an identity in a batch; "
                "set data.per_identity, for example to 4",
                key="data.per_identity",
            )
        if config.classifier.kind == "partial" or config.classifier.centres:
            raise ConfigError("triplets have no class centres; remove the classifier section")
        self.chips = data.train
        self.loss = loss

    def step(self, network: nn.Module, seen: Seen, inputs: Tensor) -> Step:
        return Step(self.loss(network(inputs), seen.labels))


def create_classifier(config: TrainConfig, classes: int, ranks: Ranks) -> Classifier:
    """The class centres ``config`` describes. Raises ``ConfigError``."""
    spec = loss_spec(config.loss.name, **config.loss.options)
    loss = spec.build()
    if not isinstance(loss, ClassificationLoss):
        raise ConfigError(f"{config.loss.name} has no class centres")
    wanted = config.classifier
    options: dict[str, Any] = {
        "k": wanted.centres or spec.k,
        "filter_cosine": wanted.filter_cosine if wanted.filter_cosine < 1 else None,
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


def create_objective(config: TrainConfig, data: TrainData, ranks: Ranks) -> Objective:
    """The objective of a config: distillation where it names teachers. Raises ``ConfigError``."""
    if config.distil.teachers:
        from arcid.train.distil import DistilObjective

        return DistilObjective(config, data, ranks)
    loss = loss_spec(config.loss.name, **config.loss.options).build()
    if isinstance(loss, TripletLoss):
        return TripletObjective(config, data, loss)
    return MarginObjective(config, data, ranks)


def needs_identities(config: TrainConfig) -> bool:
    """Whether at least two identities must remain (not for distillation without a margin)."""
    return not config.distil.teachers or config.distil.margin > 0


__all__ = [
    "MarginObjective",
    "Objective",
    "Seen",
    "Step",
    "TripletObjective",
    "create_classifier",
    "create_objective",
    "needs_identities",
]
