"""From a run to a detector bundle: ``manifest.json``, ``model.onnx``, ``MODEL_CARD.md``.

Batch norms are folded into their convolutions, which keep their names, so that a bundle can start
another run (``init_from``). The file is written only after ONNX Runtime gave torch's answers on
real views of reserved pictures, at two shapes.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from arcid.errors import CheckpointMismatch, MissingExtra, ModelUnsupported
from arcid.geometry import letterbox
from arcid.models.install import check_name, publish, staging
from arcid.models.manifest import Licence, Manifest
from arcid.runtime import open_session
from arcid.train.detection.config import STRIDES
from arcid.train.detection.evaluate import Judgement
from arcid.train.detection.loop import INPUT, TorchSession
from arcid.train.detection.network import DetectorNetwork
from arcid.train.detection.state import FILE, RunState, restore_network
from arcid.types import Image

OPSET = 17
TOLERANCE = 1e-3  # largest difference to torch in cells or in score
SHAPES = ((320, 256), (128, 192))
LICENCE = Licence("Research only: the training photographs are research sets", None, False)
DATA = "pictures without labels, labelled by two detectors that agree"


class _Exported(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores, boxes, points = self.network(image)
        return scores.sigmoid(), boxes, points


def export_detector(
    run: Path,
    target: Path,
    photos: Sequence[Image],
    *,
    name: str = "arcid-detect-s",
    threshold: float = 0.5,
    judgement: Judgement | None = None,
    licence: Licence = LICENCE,
    data: str = DATA,
) -> Path:
    """Write the bundle ``target/NAME`` from a run's averaged weights.

    ``photos``: real (H,W,3) uint8 RGB pictures on which the file has to answer as torch does.
    Raises ``CheckpointInvalid``, ``ModelUnsupported`` where it does not, ``MissingExtra``.
    """
    check_name(name)
    if not importlib.util.find_spec("onnx"):
        raise MissingExtra("exporting a detector", "convert")
    network, state = restore_network(run)
    folded = fold(network)
    target.mkdir(parents=True, exist_ok=True)
    with staging(target) as staged:
        path = staged / "model.onnx"
        _write_onnx(folded, path)
        difference = _largest_difference(network, path, photos)
        if not difference <= TOLERANCE:
            raise ModelUnsupported(
                f"the exported file differs from torch by {difference:.2g}, at most {TOLERANCE:g} "
                "is right; export it with other versions of torch and onnx"
            )
        accuracy = _accuracy(judgement)
        manifest = Manifest(
            name=name,
            task="detection",
            family="arcid",
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            input=INPUT,
            licence=licence,
            description="Anchor-free detector of boxes and five points, strides 8, 16 and 32.",
            training_data=data,
            source="arcid detector train",
            accuracy=accuracy,
            provenance=_provenance(state, network, difference),
            options={"threshold": round(threshold, 3), "strides": list(STRIDES)},
        )
        (staged / "MODEL_CARD.md").write_text(_card(manifest, path.stat().st_size), "utf-8")
        return publish(staged, manifest, target)


def fold(network: DetectorNetwork) -> DetectorNetwork:
    """A copy whose batch norms are part of the convolutions before them, names kept."""
    folded = copy.deepcopy(network).eval()
    for conv, norm, parent, key in _pairs(folded):
        fused = fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = fused.weight, fused.bias
        parent._modules[key] = nn.Identity()
    return folded


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d, nn.Module, str]]:
    """Every convolution directly followed by a batch norm, and where the norm hangs."""
    for parent in list(network.modules()):
        items = list(parent._modules.items())
        for (_, conv), (key, norm) in pairwise(items):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                yield conv, norm, parent, key


def load_weights(network: DetectorNetwork, source: Path) -> dict[str, float]:
    """Start from a run folder or a detector bundle of the same network; ``total`` of its training.

    A bundle's folded weights go into the convolutions and its biases into the batch norms, which
    then change nothing else. Raises ``CheckpointInvalid``, ``CheckpointMismatch``.
    """
    if (source / FILE).exists() or not (source / "manifest.json").is_file():
        other, state = restore_network(source)
        _fits(network, dict(other.state_dict()), source, dict(network.state_dict()))
        network.load_state_dict(other.state_dict())
        return state.total
    import onnx
    from onnx import numpy_helper

    manifest = Manifest.load(source / "manifest.json")
    graph = onnx.load(source / manifest.file).graph
    stored = {
        item.name.removeprefix("network."): torch.from_numpy(
            np.array(numpy_helper.to_array(item), np.float32)
        )
        for item in graph.initializer
        if item.name.startswith("network.")
    }
    wanted = dict(fold(network).state_dict())
    _fits(network, stored, source, wanted)
    named = {module: name for name, module in network.named_modules()}
    normed: dict[str, nn.BatchNorm2d] = {}
    with torch.no_grad():
        for conv, norm, _, _ in _pairs(network):
            normed[named[conv]] = norm
        for name, module in network.named_modules():
            if not isinstance(module, nn.Conv2d):
                continue
            module.weight.copy_(stored[f"{name}.weight"])
            if name in normed:
                after = normed[name]
                after.reset_running_stats()
                after.weight.fill_((1 + after.eps) ** 0.5)
                after.bias.copy_(stored[f"{name}.bias"])
            elif module.bias is not None:
                module.bias.copy_(stored[f"{name}.bias"])
    made = manifest.provenance
    names = ("steps", "pictures", "minutes")
    steps, pictures, minutes = (float(made.get(name, 0)) for name in names)
    return {"steps": steps, "pictures": pictures, "seconds": 60 * minutes}


def _fits(
    network: nn.Module, given: Mapping[str, Tensor], source: Path, wanted: Mapping[str, Tensor]
) -> None:
    wrong = [
        name
        for name in dict.fromkeys([*wanted, *given])
        if name not in given or name not in wanted or given[name].shape != wanted[name].shape
    ]
    if wrong:
        raise CheckpointMismatch(
            f"init_from: {source.name} holds another network ({len(wrong)} tensors differ, such as "
            f"{wrong[0]}); use its network section",
            path=str(source),
        )


def _write_onnx(network: nn.Module, path: Path) -> None:
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no further package is deprecated
        torch.onnx.export(
            _Exported(network).eval(),
            (torch.zeros(1, 3, 64, 96),),
            str(path),
            input_names=["image"],
            output_names=list(TorchSession.output_names),
            dynamic_axes={
                "image": axes,
                **{out: {0: "batch", 1: "cells"} for out in TorchSession.output_names},
            },
            opset_version=OPSET,
            dynamo=False,
        )


def _largest_difference(network: nn.Module, path: Path, photos: Sequence[Image]) -> float:
    """Over all outputs on the photos at two shapes; infinite without a photo."""
    session, torch_session = open_session(path, runtime="onnxruntime"), TorchSession(network)
    largest = [0.0] if photos else [float("inf")]
    for shape in SHAPES:
        for photo in photos:
            tensor = INPUT.prepare(letterbox(photo, *shape)[0][None])
            theirs, ours = session.run(tensor), torch_session.run(tensor)
            largest += [float(np.abs(theirs[name] - ours[name]).max()) for name in ours]
    return max(largest)


def _accuracy(judgement: Judgement | None) -> dict[str, Any]:
    if judgement is None:
        return {}
    return {
        "reserved_pictures": judgement.pictures,
        "reserved_faces": judgement.faces,
        "false_alarms_per_picture": judgement.alarms,
        **{name: round(value, 4) for name, value in judgement.flat().items()},
    }


def _provenance(state: RunState, network: nn.Module, difference: float) -> dict[str, Any]:
    total = state.total
    return {
        "steps": int(total["steps"]),
        "pictures": int(total["pictures"]),
        "minutes": round(total["seconds"] / 60, 1),
        "parameters": sum(p.numel() for p in network.parameters()),
        "seed": state.config["seed"],
        "torch": torch.__version__,
        "largest_difference_to_torch": float(f"{difference:.2g}"),
        "exported": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _card(manifest: Manifest, size: int) -> str:
    facts, made = manifest.accuracy, manifest.provenance
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in facts.items())
    allowed = {True: "allowed", False: "not allowed", None: "not stated"}
    return f"""# {manifest.name}

Finds faces: a box, a score and five points (eyes, nose, corners of the mouth) each.
Input: any picture as RGB; the longer side is brought to 640 px at most.

| | |
|---|---|
| file | {size / 1e6:.2f} MB, {made["parameters"]:,} parameters, sha256 `{manifest.sha256}` |
| trained | {made["pictures"]:,} canvases in {made["steps"]:,} steps, {made["minutes"]} minutes |
| data | {manifest.training_data} |

## Terms

Licence of the weights: {manifest.licence.name}
Commercial use: {allowed[manifest.licence.commercial_use]}. The terms of the training data may
narrow it further.

## Intended use

Finding faces to be aligned and compared. Not for counting crowds, for drawings, or for any decision
about a person by itself.

## Measured accuracy

On pictures that were kept out of training, against labels that two other detectors agree on: faces
both miss, and mistakes both make, do not show. Point error is the mean distance of the five points
over the distance of the eyes. Again by `arcid detector evaluate {manifest.name} --labels LABELS`.

| | |
|---|---|
{rows}

## Where it fails

- Faces below about 16 px, half hidden, dark, or turned by more than about 45°.
- Not measured here: groups of age, skin tone and sex.
"""


__all__ = ["export_detector", "fold", "load_weights"]
