"""Networks trained elsewhere: PyTorch state dicts and the Keras ArcFace ResNet-34.

    imported = import_weights("backbone.pth")              # arcface_torch: the names say which
    imported = import_weights("model.pt", "resnet50")      # {"model_state": {"backbone.…": …}}
    imported = import_weights("arcface_weights.h5")        # Keras, read with h5py

What comes out always takes RGB as (pixel − 127.5) / 127.5; a network made for another divisor
has it folded into its first convolution, which changes no output.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from arcid.errors import CheckpointInvalid, CheckpointMismatch, MissingExtra
from arcid.train.backbones import BACKBONES, Backbone, create_backbone
from arcid.train.backbones.inputs import STD
from arcid.train.weights.states import fits, load_state

#: Where trainers keep the network inside their file, first found wins.
WRAPPERS = (
    "model_state", "state_dict_backbone", "model_state_dict", "state_dict", "backbone", "model",
)  # fmt: skip
PREFIXES = ("module.", "_orig_mod.", "backbone.")
KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
KERAS_STD = 128.0  # Keras ArcFace divides by this
KERAS_EPS = 2e-5
_RESNET_OPTIONS: tuple[dict[str, Any], ...] = tuple(
    {"stem": stem, "pool": pool} for stem in ("face", "imagenet") for pool in ("flatten", "avg")
)
#: An entry by which a family is known, the first found counts.
_FAMILIES = {
    "iresnet": "layer1.0.prelu.weight",
    "mobilefacenet": "gdconv.weight",
    "vit": "patches.weight",
    "resnet": "layer1.0.conv1.weight",
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
        return _from_keras(path)
    state, ignored = torch_state(path)
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
    family = next((f for f, entry in _FAMILIES.items() if entry in state), "")
    return [name for name in BACKBONES if name.startswith(family)]


def _dim(state: Mapping[str, Tensor], source: str) -> int:
    for name in ("features.weight", "head.features.weight"):
        if name in state and state[name].ndim == 1:
            return len(state[name])
    raise CheckpointMismatch(
        f"{source} has no features.weight or head.features.weight, the batch norm that ends a face "
        f"embedding; its entries begin with {', '.join(list(state)[:4])}",
        missing=["features.weight", "head.features.weight"],
    )


def _from_keras(path: Path) -> Imported:
    layers = keras_layers(path)
    state = dict(_keras_entries(layers, path.name))
    cells = state["fc.weight"].shape[1] / 512
    side = math.isqrt(int(cells))
    if side * side != cells:
        raise CheckpointMismatch(
            f"{path.name}: its dense layer takes {state['fc.weight'].shape[1]} numbers, no square "
            "map of 512 channels"
        )
    options = {"size": 16 * side, "bn_eps": KERAS_EPS}
    model = create_backbone("iresnet34", len(state["features.weight"]), **options)
    load_state(model, state, path.name)
    with torch.no_grad():
        model.get_parameter("conv1.weight").mul_(STD / KERAS_STD)
    return Imported(model.eval(), "iresnet34", options, "Keras ArcFace ResNet-34")


Layers = dict[str, dict[str, npt.NDArray[np.float32]]]


def keras_layers(path: Path) -> Layers:
    """Layer → weight → array of a Keras ``.h5`` file, of weights or of a whole model."""
    try:
        import h5py
    except ImportError:
        raise MissingExtra("reading Keras .h5 files", "import-keras") from None
    layers: Layers = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            parts = name.split("/")
            values = np.asarray(item, np.float32)
            layers.setdefault(parts[0], {})[parts[-1].split(":")[0]] = values

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            root.visititems(visit)
    except (OSError, ValueError) as error:
        raise CheckpointInvalid(
            f"{path.name} cannot be read as HDF5 ({type(error).__name__})", path=str(path)
        ) from None
    if not layers:
        raise CheckpointInvalid(f"{path.name} holds no weights", path=str(path))
    return layers


def _keras_entries(layers: Layers, source: str) -> Iterator[tuple[str, Tensor]]:
    unknown: list[str] = []
    for layer, weights in layers.items():
        target = _keras_target(layer)
        if target is None:
            unknown.append(layer)
            continue
        for weight, values in weights.items():
            if weight not in _KERAS_WEIGHTS:
                unknown.append(f"{layer}/{weight}")
                continue
            entry = f"{target}.{_KERAS_WEIGHTS[weight]}"
            yield entry, torch.from_numpy(np.ascontiguousarray(_to_torch(weight, values)))
    dense = [name for name in layers if _keras_target(name) == "fc"]
    if unknown or len(dense) != 1 or "embedding" not in layers:
        raise CheckpointMismatch(
            f"{source} is not the Keras ArcFace ResNet-34: expected layers conv1_conv, "
            "conv2_block1_1_bn … conv5_block3_3_bn, batch_normalization, dense and embedding"
            + (f"; it also has {', '.join(unknown[:5])}" if unknown else "")
            + f"; it has {len(dense)} dense layers"
            + ("" if "embedding" in layers else "; embedding is missing"),
            unexpected=unknown,
        )


_KERAS_WEIGHTS = {
    "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias", "alpha": "weight",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
_KERAS_PARTS = {
    "1_bn": "bn1", "1_conv": "conv1", "2_bn": "bn2", "1_prelu": "prelu", "2_conv": "conv2",
    "3_bn": "bn3", "0_conv": "downsample.0", "0_bn": "downsample.1",
}  # fmt: skip
_KERAS_STEM = {"conv1_conv": "conv1", "conv1_bn": "bn1", "conv1_prelu": "prelu"}


def _keras_target(layer: str) -> str | None:
    """Our module of a Keras layer; the unnamed two carry a counter, such as ``dense_1``."""
    if layer in _KERAS_STEM:
        return _KERAS_STEM[layer]
    if layer == "embedding":
        return "features"
    if re.fullmatch(r"batch_normalization(_\d+)?", layer):
        return "bn2"
    if re.fullmatch(r"dense(_\d+)?", layer):
        return "fc"
    match = re.fullmatch(r"conv([2-5])_block(\d+)_(\w+)", layer)
    if match and match[3] in _KERAS_PARTS:
        return f"layer{int(match[1]) - 1}.{int(match[2]) - 1}.{_KERAS_PARTS[match[3]]}"
    return None


def _to_torch(weight: str, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if weight == "alpha":  # (1,1,C)
        return values.reshape(-1)
    if values.ndim == 4:  # HWIO → OIHW
        return values.transpose(3, 2, 0, 1)
    if values.ndim == 2:  # rows in the order height, width, channel; ours is channel, height, width
        side = math.isqrt(values.shape[0] // 512)
        if side * side * 512 == values.shape[0]:
            cells = values.reshape(side, side, 512, values.shape[1])
            return cells.transpose(3, 2, 0, 1).reshape(values.shape[1], -1)
        return values.T
    return values


__all__ = ["Imported", "import_weights", "keras_layers", "torch_state"]
