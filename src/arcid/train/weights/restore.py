"""A trained network out of a checkpoint: ``restore_backbone("runs/small").backbone``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from arcid.errors import CheckpointInvalid
from arcid.train.backbones import Backbone, create_backbone
from arcid.train.config.recipe import TrainConfig
from arcid.train.weights.checkpoint import Checkpoint, open_checkpoint
from arcid.train.weights.states import load_state


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """A backbone with the weights of one checkpoint, in eval mode."""

    backbone: Backbone
    config: TrainConfig
    step: int
    checkpoint: Checkpoint[TrainConfig]
    averaged: bool  # the weights are the averaged ones (optim.ema)


def backbone_of(config: TrainConfig) -> Backbone:
    """A fresh backbone as a config describes it."""
    options: Mapping[str, Any] = config.model.options
    return create_backbone(
        config.model.backbone,
        config.model.dim,
        **{
            "size": config.data.size,
            "dropout": config.model.dropout,
            "gradient_checkpointing": config.precision.gradient_checkpointing,
            **options,
        },
    )


def restore_backbone(path: str | os.PathLike[str], *, averaged: bool = True) -> Restored:
    """Open a checkpoint folder ``step-N``, or a run folder: its newest.

    ``averaged``: take the averaged weights where the run kept any. Raises ``CheckpointInvalid``
    and ``CheckpointMismatch``.
    """
    checkpoint = open_checkpoint(path)
    shared = checkpoint.shared()
    raw: Mapping[str, Tensor] | None = shared.get("backbone")
    if raw is None:
        raise CheckpointInvalid(
            f"{checkpoint.path.name} holds no backbone, only {', '.join(sorted(shared))}",
            path=str(checkpoint.path),
        )
    mean: Mapping[str, Tensor] | None = shared.get("averaged") if averaged else None
    backbone = backbone_of(checkpoint.config)
    load_state(backbone, {**raw, **(mean or {})}, checkpoint.path.name)
    return Restored(
        backbone.eval(), checkpoint.config, checkpoint.step, checkpoint, mean is not None
    )


__all__ = ["Restored", "backbone_of", "restore_backbone"]
