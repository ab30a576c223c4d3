"""The Keras ArcFace ResNet-34: HDF5 weights as an IResNet-34."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from arcid.errors import CheckpointInvalid, CheckpointMismatch, MissingExtra
from arcid.train.backbones import Backbone, create_backbone
from arcid.train.backbones.inputs import STD
from arcid.train.weights.states import load_state

KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
KERAS_STD = 128.0  # Keras ArcFace divides by this
KERAS_EPS = 2e-5


def read_keras(path: Path) -> tuple[Backbone, dict[str, Any]]:
    """The network and its options. Raises ``CheckpointInvalid``, ``CheckpointMismatch``,
    ``MissingExtra``."""
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
    return model, options


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


__all__ = ["KERAS_SUFFIXES", "keras_layers", "read_keras"]
