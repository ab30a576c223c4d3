"""From a run to a detector bundle: ``manifest.json``, ``model.onnx``, ``goldens.json``,
``MODEL_CARD.md`` and, with a landmark refiner, ``points.onnx``.

Batch norms are folded into their convolutions, which keep their names, so that a bundle can start
another run (``init_from``). A file is written only after ONNX Runtime gave torch's answers on real
views of reserved pictures, the detector's at two shapes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arcid import files
from arcid.detect import create, model_files, once
from arcid.errors import MissingExtra, ModelUnsupported
from arcid.geometry import letterbox
from arcid.models import goldens, trust
from arcid.models.install import check_name, publish, require_place, staging
from arcid.models.manifest import Licence, Manifest
from arcid.models.weights import sha256_file
from arcid.runtime import Session, open_session
from arcid.train.detector.config import STRIDES
from arcid.train.detector.evaluate import DetectionMetrics
from arcid.train.detector.folded import fold
from arcid.train.detector.initial import total
from arcid.train.detector.job import INPUT, OUTPUTS, detector_session, restore_network
from arcid.train.detector.landmarks.job import OUTPUTS as POINTS
from arcid.train.detector.landmarks.job import PART, points_session, restore_points
from arcid.train.detector.landmarks.network import PointNetwork
from arcid.train.weights.checkpoint import Checkpoint
from arcid.types import FloatArray, Image

TOLERANCE = 1e-3  # largest difference to torch in cells or in score
SHAPES = ((320, 256), (128, 192))
LICENCE = Licence("Research only: the training photographs are research sets", None, False)
_AXES = {
    "image": {0: "batch", 2: "height", 3: "width"},
    **{name: {0: "batch", 1: "cells"} for name in OUTPUTS},
}
_CROP_AXES = {"image": {0: "batch"}, **{name: {0: "batch"} for name in POINTS}}
DATA = "pictures without labels, labelled by two detectors that agree"


class _Named(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network  # its name is folded.PREFIX


class _Cropped(_Named):
    def forward(self, image: Tensor) -> Any:
        return self.network(image)


class _Exported(_Named):
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
    metrics: DetectionMetrics | None = None,
    licence: Licence = LICENCE,
    data: str = DATA,
    refiner: Path | None = None,
    replace: bool = False,
) -> Path:
    """Write the bundle ``target/NAME`` from a run's averaged weights.

    ``photos``: real (H,W,3) uint8 RGB pictures on which the file has to answer as torch does.
    ``refiner``: the run of a landmark refiner, which then belongs to the bundle. ``replace``: an
    older bundle of that name goes.
    Raises ``CheckpointInvalid``, ``ModelUnsupported`` where it does not, ``MissingExtra``,
    ``UsageError``.
    """
    check_name(name)
    require_place(target / name, replace=replace)
    if not importlib.util.find_spec("onnx"):
        raise MissingExtra("exporting a detector", "convert")
    network, checkpoint = restore_network(run)
    folded = fold(network)
    target.mkdir(parents=True, exist_ok=True)
    with staging(target) as staged:
        path = staged / "model.onnx"
        _write_onnx(_Exported(folded), path, torch.zeros(1, 3, 64, 96), _AXES)
        tensors = [_fitted(photo, shape) for shape in SHAPES for photo in photos]
        difference = _checked(path, detector_session(network), tensors)
        options: dict[str, Any] = {"threshold": round(threshold, 3), "strides": list(STRIDES)}
        provenance = history(checkpoint, network, difference)
        if refiner:
            options[PART], provenance[PART] = _refined(refiner, staged / f"{PART}.onnx", photos)
        manifest = Manifest(
            name=name,
            task="detection",
            family="arcid",
            sha256=sha256_file(path),
            input=INPUT,
            licence=licence,
            description="Anchor-free detector of boxes and five points, strides 8, 16 and 32"
            + ("; the points again from a crop of each face." if refiner else "."),
            training_data=data,
            source="arcid detector train",
            accuracy=_accuracy(metrics),
            provenance=provenance,
            options=options,
        )
        sessions = {
            part: open_session(staged / file) for part, (file, _) in model_files(manifest).items()
        }
        goldens.write_finds(staged, manifest, once(create(manifest, sessions)))
        size = sum(file.stat().st_size for file in staged.glob("*.onnx"))
        files.write_text(staged / "MODEL_CARD.md", _card(manifest, size))
        path = publish(staged, manifest, target)
        trust.accept_own(name, path)
        return path


def _refined(
    run: Path, path: Path, photos: Sequence[Image]
) -> tuple[dict[str, str], dict[str, Any]]:
    """Write the landmark refiner's file; what the manifest says of it, and its provenance."""
    network, checkpoint = restore_points(run)
    difference = write_points(network, path, photos)
    return (
        {"file": path.name, "sha256": sha256_file(path)},
        history(checkpoint, network, difference),
    )


def write_points(network: PointNetwork, path: Path, photos: Sequence[Image]) -> float:
    """Write the file of a landmark network; its largest difference to torch on these pictures.

    Raises ``ModelUnsupported`` where that is too large, ``MissingExtra`` without onnx.
    """
    if not importlib.util.find_spec("onnx"):
        raise MissingExtra("exporting landmarks", "convert")
    side = network.side
    _write_onnx(_Cropped(fold(network)), path, torch.zeros(1, 3, side, side), _CROP_AXES)
    tensors = [_fitted(photo, (side, side)) for photo in photos]
    return _checked(path, points_session(network), tensors)


def _write_onnx(
    network: nn.Module, path: Path, example: Tensor, axes: Mapping[str, dict[int, str]]
) -> None:
    """``axes``: as ``trace`` takes them."""
    from arcid.train.export.onnx import to_bytes, trace

    files.write_bytes(path, to_bytes(trace(network.eval(), example, axes)))


def _fitted(photo: Image, shape: tuple[int, int]) -> FloatArray:
    return INPUT.prepare(letterbox(photo, *shape)[0][None])


def _checked(path: Path, ours: Session, tensors: Sequence[FloatArray]) -> float:
    """Largest difference of a file's outputs to torch's. Raises ``ModelUnsupported`` where it is
    too large, or where there is nothing to compare on."""
    theirs = open_session(path, runtime="onnxruntime")
    largest = 0.0 if tensors else float("inf")
    for tensor in tensors:
        given, wanted = theirs.run(tensor), ours.run(tensor)
        largest = max(
            largest, *(float(np.abs(given[name] - wanted[name]).max()) for name in wanted)
        )
    if not largest <= TOLERANCE:
        raise ModelUnsupported(
            f"the exported file differs from torch by {largest:.2g}, at most {TOLERANCE:g} is "
            "right; export it with other versions of torch and onnx"
        )
    return largest


def _accuracy(metrics: DetectionMetrics | None) -> dict[str, Any]:
    if metrics is None:
        return {}
    return {
        "reserved_pictures": metrics.pictures,
        "reserved_faces": metrics.faces,
        "false_positives_per_image": metrics.fppi,
        **{name: round(value, 4) for name, value in metrics.flat().items()},
    }


def history(checkpoint: Checkpoint[Any], network: nn.Module, difference: float) -> dict[str, Any]:
    """How a network came to be, with the runs it was started from."""
    whole = total(checkpoint)
    return {
        "steps": int(whole["steps"]),
        "pictures": int(whole["pictures"]),
        "minutes": round(whole["seconds"] / 60, 1),
        "parameters": sum(p.numel() for p in network.parameters()),
        "seed": checkpoint.config.seed,
        "torch": torch.__version__,
        "largest_difference_to_torch": float(f"{difference:.2g}"),
        "exported": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _card(manifest: Manifest, size: int) -> str:
    facts, made = manifest.accuracy, manifest.provenance
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in facts.items())
    parameters = made["parameters"] + made.get(PART, {}).get("parameters", 0)
    allowed = {True: "allowed", False: "not allowed", None: "not stated"}
    return f"""# {manifest.name}

Finds faces: a box, a score and five points (eyes, nose, corners of the mouth) each.
Input: any picture as RGB; the longer side is brought to 640 px at most.

| | |
|---|---|
| files | {size / 1e6:.2f} MB, {parameters:,} parameters, sha256 `{manifest.sha256}` |
| trained | {made["pictures"]:,} canvases in {made["steps"]:,} steps, {made["minutes"]} minutes |
{_refiner_row(made)}| data | {manifest.training_data} |

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
- Faces that fill pictures of 400 px and more: at first sight missed, or a part of the face is taken
  for one. The library tries such pictures a second time, small and amid a black border (`sure`),
  and finds them; video is not tried again.
- Not measured here: groups of age, skin tone and sex.
"""


def _refiner_row(made: Mapping[str, Any]) -> str:
    if PART not in made:
        return ""
    own = made[PART]
    return (
        f"| points again | {own['pictures']:,} faces in {own['steps']:,} steps, "
        f"{own['minutes']} minutes |\n"
    )


__all__ = ["export_detector", "history", "write_points"]
