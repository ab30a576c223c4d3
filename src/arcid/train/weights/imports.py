"""Networks trained elsewhere: PyTorch state dicts and the Keras ArcFace ResNet-34.

    imported = import_weights("backbone.pth")              # arcface_torch: the names say which
    imported = import_weights("resnet50-imagenet.pth")     # torchvision: a trunk, the head is fresh
    imported = import_weights("model.pt", "resnet50")      # {"model_state": {"backbone.…": …}}
    imported = import_weights("arcface_weights.h5")        # Keras, read with h5py

What comes out always takes RGB as (pixel − 127.5) / 127.5; a network made for another divisor
has it folded into its first convolution, which changes no output.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arcid.errors import CheckpointInvalid, CheckpointMismatch
from arcid.train.backbones import BACKBONES, Backbone, create_backbone
from arcid.train.weights.foreign import is_torchvision, named_as_ours, read_torchvision
from arcid.train.weights.keras import KERAS_SUFFIXES, read_keras
from arcid.train.weights.states import fits, load_state

#: Where trainers keep the network inside their file, first found wins.
WRAPPERS = (
    "model_state", "state_dict_backbone", "model_state_dict", "state_dict", "backbone", "model",
)  # fmt: skip
PREFIXES = ("module.", "_orig_mod.", "backbone.")
_RESNET_OPTIONS: tuple[dict[str, Any], ...] = tuple(
    {"stem": stem, "pool": pool} for stem in ("face", "imagenet") for pool in ("flatten", "avg")
)
#: Names of a family, and an entry by which it is known; the first found counts.
_FAMILIES = {
    r"iresnet\d+": "layer1.0.prelu.weight",
    r"mbf|mobilefacenet.*": "gdconv.weight",
    r"vit_\w\w+": "patches.weight",
    r"vit_\w": "mask_token",
    r"resnet\d+": "layer1.0.conv1.weight",
}


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A backbone in eval mode, and how to make another of its kind."""

    backbone: Backbone
    name: str
    options: Mapping[str, Any]
    source: str  # what was read, in words
    ignored: tuple[str, ...] = field(default=())  # entries beside the backbone, such as classifiers


def import_weights(
    path: Path,
    backbone: str | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    size: int = 112,
) -> Imported:
    """Read a file of weights into a ``Backbone``.

    ``backbone``: one of ``BACKBONES``; None takes the one whose names and shapes are exactly those
    in the file. Raises ``CheckpointInvalid`` for a file that cannot be read, ``CheckpointMismatch``
    for weights of another network (naming missing and unexpected entries), ``MissingExtra``.
    """
    if not path.is_file():
        raise CheckpointInvalid(f"there is no file {path.name}", path=str(path))
    if path.suffix.lower() in KERAS_SUFFIXES:
        model, options = read_keras(path)
        return Imported(model.eval(), "iresnet34", options, "Keras ArcFace ResNet-34")
    state, ignored = torch_state(path)
    state = named_as_ours(state)
    if is_torchvision(state):
        name, chosen = "resnet50", {"size": size, "stem": "imagenet", "pool": "avg"}
        model, left_out = read_torchvision(state, chosen, path.name)
        return Imported(model.eval(), name, chosen, "torchvision state dict", (*ignored, *left_out))
    if backbone is None:
        name, chosen = _recognise(state, size, path.name)
    else:
        name, chosen = backbone, {"size": size, **(options or {})}
    model = create_backbone(name, _dim(state, path.name), **chosen)
    load_state(model, state, path.name)
    return Imported(model.eval(), name, chosen, "PyTorch state dict", ignored)


def torch_state(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """(tensors of the backbone by name, names of what else was there). Runs no code of the file.

    Unwraps the dictionaries that trainers put around a state dict and removes the prefixes
    ``module.``, ``_orig_mod.`` and ``backbone.``; once any name has ``backbone.``, names without it
    belong to something else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles by other programs
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever it stumbles over
        raise CheckpointInvalid(
            f"{path.name} cannot be read as PyTorch weights ({type(error).__name__}); expected a "
            "state dict saved with torch.save, without Python objects in it",
            path=str(path),
        ) from None
    while isinstance(content, Mapping):
        inner = [key for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = content[inner[0]]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointInvalid(
            f"{path.name} holds a {type(content).__name__}, expected a dictionary of tensors",
            path=str(path),
        )
    state = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    ignored = [str(k) for k in content if str(k) not in state]
    for prefix in PREFIXES:
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if own:
            ignored += [k for k in state if not k.startswith(prefix)]
            state = own
    if not state:
        raise CheckpointInvalid(f"{path.name} holds no tensors", path=str(path))
    return state, tuple(ignored)


def _recognise(state: Mapping[str, Tensor], size: int, source: str) -> tuple[str, dict[str, Any]]:
    """The one backbone whose names and shapes are the file's."""
    dim = _dim(state, source)
    nearest: tuple[int, str] = (-1, "")
    for name in _candidates(state):
        for extra in _RESNET_OPTIONS if name.startswith("resnet") else ({},):
            options = {"size": size, **extra}
            with torch.device("meta"):
                model = create_backbone(name, dim, **options)
            if fits(model, state):
                return name, options
            shared = len(set(model.state_dict()) & set(state))
            nearest = max(nearest, (shared - len(set(model.state_dict()) - set(state)), name))
    model = create_backbone(nearest[1], dim, size=size)
    try:
        load_state(model, state, source)
    except CheckpointMismatch as error:
        raise CheckpointMismatch(
            f"no backbone at {size} pixels fits; compared with the nearest, {nearest[1]}: "
            f"{error.message}",
            **error.details,
        ) from None
    raise CheckpointMismatch(f"{source} fits no known backbone: {', '.join(BACKBONES)}")


def _candidates(state: Mapping[str, Tensor]) -> list[str]:
    """The backbones of the family the file's entries show, or all."""
    family = next((f for f, entry in _FAMILIES.items() if entry in state), ".*")
    return [name for name in BACKBONES if re.fullmatch(family, name)]


def _dim(state: Mapping[str, Tensor], source: str) -> int:
    for name in ("features.weight", "head.features.weight", "feature.3.weight"):
        if name in state and state[name].ndim == 1:
            return len(state[name])
    raise CheckpointMismatch(
        f"{source} has no features.weight or head.features.weight, the batch norm that ends a face "
        f"embedding; its entries begin with {', '.join(list(state)[:4])}",
        missing=["features.weight", "head.features.weight"],
    )


__all__ = ["Imported", "import_weights", "torch_state"]
