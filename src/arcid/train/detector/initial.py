"""Where the run of a detector or landmark refiner begins: the weights of a run or a bundle."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from arcid.errors import CheckpointMismatch
from arcid.models.manifest import Manifest
from arcid.train.detector.folded import check_fits, unfold
from arcid.train.detector.solo.state import FILE, RunState

Restore = Callable[[Path], tuple[nn.Module, RunState]]


def load_weights(
    network: nn.Module, source: Path, restore: Restore, part: str = ""
) -> dict[str, float]:
    """Start from a run folder, or a bundle's model file or further ``part``; ``total`` of its
    training. Raises ``CheckpointInvalid``, ``CheckpointMismatch``."""
    if (source / FILE).exists() or not (source / "manifest.json").is_file():
        other, state = restore(source)
        setting = shlex.quote(f"network={json.dumps(state.config['network'])}")
        given = dict(other.state_dict())
        check_fits(dict(network.state_dict()), given, source.name, f"to fit it, set {setting}")
        network.load_state_dict(other.state_dict())
        return state.total
    manifest = Manifest.load(source / "manifest.json")
    if part and part not in manifest.options:
        raise CheckpointMismatch(
            f"init_from: {source.name} has no network {part}; start without it", path=str(source)
        )
    file = manifest.options[part]["file"] if part else manifest.file
    unfold(network, source / file, source.name)
    made: Mapping[str, Any] = manifest.provenance
    made = made.get(part, {}) if part else made
    steps, pictures, minutes = (float(made.get(n, 0)) for n in ("steps", "pictures", "minutes"))
    return {"steps": steps, "pictures": pictures, "seconds": 60 * minutes}


__all__ = ["load_weights"]
