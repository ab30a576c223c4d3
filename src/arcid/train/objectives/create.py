"""The objective a config asks for: a margin loss on class centres, triplets, or distillation."""

from __future__ import annotations

import torch
from torch import nn

from arcid.errors import ConfigError
from arcid.train.config.recipe import TrainConfig
from arcid.train.data.dataset import TrainData
from arcid.train.objectives.distil import DistilObjective
from arcid.train.objectives.losses import loss_spec
from arcid.train.objectives.objective import FaceObjective, Step, create_classifier
from arcid.train.objectives.parts import Seen
from arcid.train.objectives.triplet import TripletLoss
from arcid.train.ranks import Ranks


class MarginObjective(FaceObjective):
    """Features against class centres, by any loss of ``arcid.train.objectives.losses``."""

    def __init__(self, config: TrainConfig, data: TrainData, ranks: Ranks) -> None:
        super().__init__(config, data.train, ranks.device)
        self.centres = create_classifier(config, len(data.classes), ranks)

    def step(self, network: nn.Module, seen: Seen) -> Step:
        assert self.centres is not None
        out = self.centres(network(seen.inputs), seen.labels)
        return Step(
            out.loss, {"cosine": out.cosine.mean(), "train_accuracy": out.correct.float().mean()}
        )


class TripletObjective(FaceObjective):
    """Triplets mined in batches of P identities × K photos."""

    def __init__(
        self, config: TrainConfig, data: TrainData, loss: TripletLoss, device: torch.device
    ) -> None:
        if not config.data.per_identity:
            raise ConfigError(
                f"{config.loss.name} needs several photos of an identity in a batch; "
                "set data.per_identity, for example to 4",
                key="data.per_identity",
            )
        if config.classifier.kind == "partial" or config.classifier.centres:
            raise ConfigError("triplets have no class centres; remove the classifier section")
        super().__init__(config, data.train, device)
        self.loss = loss

    def step(self, network: nn.Module, seen: Seen) -> Step:
        return Step(self.loss(network(seen.inputs), seen.labels))


def create_objective(config: TrainConfig, data: TrainData, ranks: Ranks) -> FaceObjective:
    """The objective of a config: distillation where it names teachers. Raises ``ConfigError``."""
    if config.distil.teachers:
        return DistilObjective(config, data, ranks)
    loss = loss_spec(config.loss.name, **config.loss.options).build()
    if isinstance(loss, TripletLoss):
        return TripletObjective(config, data, loss, ranks.device)
    return MarginObjective(config, data, ranks)


def needs_identities(config: TrainConfig) -> bool:
    """Whether at least two identities must remain (not for distillation without a margin)."""
    return not config.distil.teachers or config.distil.margin > 0


__all__ = ["MarginObjective", "TripletObjective", "create_objective", "needs_identities"]
