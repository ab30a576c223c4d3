"""Where the run of a detector or landmark refiner begins: the weights of a run or a bundle, and how
long it was trained in all."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from arcid.errors import CheckpointMismatch, ModelNotFound
from arcid.models import weights
from arcid.models.manifest import Manifest
from arcid.train.detector.folded import unfold
from arcid.train.weights.checkpoint import Checkpoint
from arcid.train.weights.states import load_state

Restore = Callable[[Path], tuple[nn.Module, Checkpoint[Any]]]


def load_weights(
    network: nn.Module, source: Path, restore: Restore, part: str = "", own: Sequence[str] = ()
) -> dict[str, float]:
    """Start from a run folder, or from the model file or further ``part`` of a bundle (its folder
    or name), whose layers ``own`` may have another shape and are then left out; ``total`` of its
    training.

    Raises ``CheckpointInvalid``, ``CheckpointMismatch``.
    """
    if not source.exists() and len(source.parts) == 1:
        with suppress(ModelNotFound):
            source = weights.resolve(source.name).folder or source
    if not (source / "manifest.json").is_file():
        other, checkpoint = restore(source)
        setting = shlex.quote(f"network={json.dumps(checkpoint.config.network.to_dict())}")
        label = f"init_from: {source.name}"
        load_state(network, other.state_dict(), label, f"to fit it, set {setting}")
        return total(checkpoint)
    manifest = Manifest.load(source / "manifest.json")
    if part and part not in manifest.options:
        raise CheckpointMismatch(
            f"init_from: {source.name} has no network {part}; start without it", path=str(source)
        )
    file = manifest.options[part]["file"] if part else manifest.file
    unfold(network, source / file, source.name, own)
    made: Mapping[str, Any] = manifest.provenance
    made = made.get(part, {}) if part else made
    steps, pictures, minutes = (float(made.get(n, 0)) for n in ("steps", "pictures", "minutes"))
    return {"steps": steps, "pictures": pictures, "seconds": 60 * minutes}


def total(checkpoint: Checkpoint[Any]) -> dict[str, float]:
    """Steps, pictures and seconds of a run and of those it was started from."""
    step, position, extra = checkpoint.step, checkpoint.position, checkpoint.extra
    own = {"steps": step, "pictures": position, "seconds": extra["seconds"]}
    return {name: value + extra["earlier"].get(name, 0) for name, value in own.items()}


__all__ = ["load_weights", "total"]
