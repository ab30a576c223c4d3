"""What a step makes smaller. An objective owns what ranks do not share (the class centres) and says
how the shared network is built around the backbone.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from arcid.errors import ConfigError
from arcid.train.backbones import Backbone
from arcid.train.config.recipe import TrainConfig
from arcid.train.data.dataset import SampleSet
from arcid.train.heads.classifier import Classifier
from arcid.train.heads.margin import ClassificationLoss
from arcid.train.heads.partial import PartialClassifier
from arcid.train.heads.softmax import MarginSpec
from arcid.train.objectives.losses import loss_spec
from arcid.train.ranks import Ranks

_MATMUL = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Step:
    """``loss`` () with a gradient; ``facts``: numbers to show, without."""

    loss: Tensor
    facts: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Seen:
    """One forward pass's photos as the network sees them."""

    images: Tensor  # (B,3,S,S) uint8 RGB
    labels: Tensor  # (B,) int64, -1 without identity
    index: npt.NDArray[np.int64]  # (B,) photo of the set
    clean: Tensor | None = None  # the same before blur, darkness and masks


class Objective(ABC):
    """Base: ``samples`` to draw from, ``centres`` of this rank (None: there are none)."""

    samples: SampleSet
    centres: Classifier | None = None

    def network(self, backbone: Backbone) -> nn.Module:
        """What is trained and shared by all ranks; by default the backbone itself."""
        return backbone

    def begin(self, network: nn.Module) -> None:
        """Called once, before the first step of a new run, with the weights it starts from."""
        return

    @abstractmethod
    def step(self, network: nn.Module, seen: Seen, inputs: Tensor) -> Step:
        """One forward pass; ``inputs`` are ``seen.images`` as the network eats them."""


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
        spec = dataclasses.replace(spec, straight_through=True)
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


__all__ = ["Objective", "Seen", "Step", "create_classifier"]
