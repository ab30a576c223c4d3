"""Weights to go on from: a bundle, a checkpoint, a run, or a file of another project.

load_initial(backbone, "mobilefacenet_mine")     # warm start from an exported bundle
initial = open_initial("runs/small")             # the network itself, and what is known of it
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from arcid.errors import (
    ArcidError,
    CheckpointInvalid,
    CheckpointMismatch,
    MissingExtra,
    ModelNotFound,
)
from arcid.models import weights
from arcid.models.manifest import Manifest
from arcid.train.backbones import Backbone, create_backbone
from arcid.train.backbones.inputs import MEAN, STD
from arcid.train.backbones.mobilefacenet import MobileFaceNet
from arcid.train.config.recipe import TrainConfig, expand_path
from arcid.train.weights.imports import import_weights
from arcid.train.weights.keras import KERAS_SUFFIXES
from arcid.train.weights.restore import restore_backbone
from arcid.train.weights.states import load_state

Kind = Literal["checkpoint", "bundle", "import"]
_ELSEWHERE = ("size", "dropout", "gradient_checkpointing")  # of the options; no shape is theirs
TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".tar")


@dataclass(frozen=True, slots=True, eq=False)
class Initial:
    """A network in eval mode and what is known of where it comes from."""

    backbone: Backbone
    name: str  # of BACKBONES
    options: Mapping[str, Any]  # size among them
    kind: Kind
    label: str  # what was opened, without its folder
    config: TrainConfig | None = None  # of the run that trained it
    step: int = 0
    averaged: bool = False
    folder: Path | None = None  # of the run
    bundle: weights.Bundle | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest | None:
        """Of a bundle."""
        return self.bundle.manifest if self.bundle else None

    @property
    def overrides(self) -> list[str]:
        """What makes a config's network this one."""
        options = {k: v for k, v in self.options.items() if k not in _ELSEWHERE}
        given = {
            "model.backbone": self.name,
            "model.dim": self.backbone.dim,
            "model.options": json.dumps(options),
            "data.size": self.backbone.size,
        }
        return [f"{key}={value}" for key, value in given.items()]

    @property
    def settings(self) -> str:
        """``overrides`` for a command line."""
        return shlex.join(self.overrides)


def load_initial(backbone: Backbone, source: str | os.PathLike[str]) -> Initial:
    """Copy the weights of ``source`` into ``backbone``; all of them, or none.

    ``source``: folder of a bundle or the name of an installed one (stored in fp32 or fp16), a
    checkpoint or run folder, a ``.pt`` or ``.h5`` file of another project. Averaged weights are
    taken where a run kept any. A MobileFaceNet with a smaller ``expansion`` is widened.

    Raises ``ModelNotFound``, ``CheckpointInvalid``, and ``CheckpointMismatch`` where it is another
    network, with the entries that differ.
    """
    found = open_initial(source)
    state: Mapping[str, Tensor] = found.backbone.state_dict()
    if isinstance(backbone, MobileFaceNet) and isinstance(found.backbone, MobileFaceNet):
        state = backbone.widened(state)
    load_state(backbone, state, f"{found.label} ({found.name})", f"to fit it, set {found.settings}")
    return found


def open_initial(
    source: str | os.PathLike[str], *, backbone: str | None = None, size: int = 112
) -> Initial:
    """Open any source that ``load_initial`` takes.

    ``backbone`` and ``size`` say what a file of another project holds; None goes by its names and
    shapes.
    """
    text = os.fspath(source)
    path = expand_path(text)
    if path.is_dir() and (path / "manifest.json").is_file():
        return _from_bundle(weights.resolve(os.fspath(path.absolute())))
    if path.is_dir():
        return _from_checkpoint(path)
    if path.suffix == ".onnx":
        return _from_bundle(weights.resolve(os.fspath(path.absolute())))
    if path.suffix.lower() in (*TORCH_SUFFIXES, *KERAS_SUFFIXES) and path.is_file():
        imported = import_weights(path, backbone, size=size)
        notes = {"imported_as": imported.source, "ignored": list(imported.ignored[:20])}
        return Initial(
            imported.backbone, imported.name, imported.options, "import", path.name, notes=notes
        )
    if weights.has_folder(text) or path.suffix.lower() in (*TORCH_SUFFIXES, *KERAS_SUFFIXES):
        raise ModelNotFound(
            f"{path.name} is not there; expected the folder of a bundle, of a run or of a "
            "checkpoint, the name of an installed model, or a .pt or .h5 file",
            path=str(path),
        )
    return _from_bundle(weights.resolve(text))


def _from_checkpoint(path: Path) -> Initial:
    restored = restore_backbone(path)
    config = restored.config
    spent = restored.checkpoint.extra.get("seconds")
    return Initial(
        restored.backbone,
        config.model.backbone,
        {"size": config.data.size, **config.model.options},
        "checkpoint",
        restored.checkpoint.path.name,
        config,
        restored.step,
        restored.averaged,
        restored.checkpoint.path.parent.parent,
        notes={} if spent is None else {"minutes": round(float(spent) / 60, 1)},
    )


def _from_bundle(bundle: weights.Bundle) -> Initial:
    manifest = bundle.manifest
    made = manifest.provenance
    if "backbone" not in made or manifest.output is None:
        raise CheckpointMismatch(
            f"{bundle.name} does not say which backbone it is; only bundles written by "
            "arcid export can be trained on (and .pt files, whose entries have names)"
        )
    if manifest.precision not in ("fp32", "fp16"):
        raise CheckpointMismatch(
            f"{bundle.name} is stored in {manifest.precision}, from which the trained weights "
            "cannot be had back; use the float bundle it was made from",
            precision=manifest.precision,
        )
    spec = manifest.input
    if (spec.colour, set(spec.mean), set(spec.std)) != ("RGB", {MEAN}, {STD}):
        raise CheckpointMismatch(
            f"{bundle.name} takes {spec.colour} with mean {spec.mean} and std {spec.std}; training "
            f"feeds RGB with {MEAN} and {STD}"
        )
    options = dict(made.get("options", {}))
    try:
        model = create_backbone(str(made["backbone"]), manifest.output.dim, **options)
    except (ArcidError, TypeError) as error:
        raise CheckpointMismatch(
            f"{bundle.name} was written from a backbone this arcid does not have: {error}"
        ) from None
    load_state(model, onnx_state(bundle.path), bundle.name)
    return Initial(
        model.eval(),
        str(made["backbone"]),
        options,
        "bundle",
        bundle.name,
        bundle=bundle,
        notes={"contract_id": manifest.contract_id},
    )


def onnx_state(path: Path) -> dict[str, Tensor]:
    """The weights in an ONNX file by name, as float32. Raises ``CheckpointInvalid``."""
    try:
        import onnx
    except ImportError:
        raise MissingExtra("reading the weights of a bundle", "train") from None
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's own kinds among them
        raise CheckpointInvalid(
            f"{path.name} cannot be read as ONNX ({type(error).__name__})", path=str(path)
        ) from None
    return {
        tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).astype(np.float32))
        for tensor in model.graph.initializer
    }


__all__ = ["Initial", "load_initial", "onnx_state", "open_initial"]
