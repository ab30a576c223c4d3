"""How close an exported file must come to the network it was made from, measured on faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from arcid.embed import OnnxEmbedder
from arcid.errors import ExportRefused
from arcid.models import goldens
from arcid.models.manifest import Manifest
from arcid.runtime import RUNTIMES, RuntimeName, open_session
from arcid.train.backbones import Backbone
from arcid.train.data.features import embed
from arcid.types import Crops, FloatArray

FLOAT_COSINE = 0.9999  # every crop, fp32 and fp16-stored, on each runtime
INT8_MINIMUM, INT8_MEAN = 0.97, 0.99
TAR_FMR = 1e-4
TAR_POINTS = 0.005  # paired difference of TAR, as a share


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cosines of the same crops by the file and by the network."""

    minimum: float
    mean: float
    crops: int

    def to_dict(self) -> dict[str, float]:
        return {
            "minimum": round(self.minimum, 6), "mean": round(self.mean, 6), "crops": self.crops,
        }  # fmt: skip


def agreement(found: FloatArray, wanted: FloatArray) -> Agreement:
    """Cosine of corresponding rows, (N,D) unit-norm each."""
    cosines = np.einsum("nd,nd->n", found.astype(np.float64), wanted.astype(np.float64))
    return Agreement(float(cosines.min()), float(cosines.mean()), len(cosines))


def torch_vectors(backbone: Backbone, crops: Crops, *, flip: bool = False) -> FloatArray:
    """(N,S,S,3) uint8 RGB in; (N,dim) float32 unit-norm out, by the network itself."""
    pixels = np.ascontiguousarray(crops.pixels)
    features = embed(backbone, pixels, torch.device("cpu"), flip=flip)
    if not bool(torch.isfinite(features).all()):
        raise ExportRefused("the network gives NaN or infinite vectors; its training diverged")
    unit: FloatArray = F.normalize(features, dim=1).numpy()
    return unit


def require_apart(backbone: Backbone) -> None:
    """Raise ``ExportRefused`` where a network tells no two faces apart."""
    if goldens.all_alike(torch_vectors(backbone, goldens.synthetic_crops(backbone.size))):
        raise ExportRefused(
            "the network gives every face the same vector: it has hardly been trained, or its "
            "training went astray (metrics.csv of its run shows the loss); train it further or anew"
        )


def file_embedder(path: Path, manifest: Manifest, runtime: RuntimeName | None) -> OnnxEmbedder:
    """The product's own embedder over a file that is not a bundle yet."""
    session = open_session(path, runtime=runtime, device="cpu", input_name=manifest.input.name)
    return OnnxEmbedder(session, manifest)


def agreements(
    path: Path, manifest: Manifest, crops: Crops, wanted: FloatArray
) -> dict[str, Agreement]:
    """Agreement by runtime, on the CPU in fp32."""
    return {
        runtime: agreement(file_embedder(path, manifest, runtime).embed(crops).vectors, wanted)
        for runtime in _RUNTIMES
    }


_RUNTIMES: tuple[RuntimeName, ...] = tuple(RUNTIMES)  # type: ignore[arg-type]


def require_float(found: dict[str, Agreement]) -> None:
    """Raise ``ExportRefused`` where a float file leaves the tolerance on any runtime."""
    _require(found, lambda a: a.minimum >= FLOAT_COSINE, f"every cosine at least {FLOAT_COSINE}")


def require_int8(found: dict[str, Agreement]) -> None:
    """Raise ``ExportRefused`` where a quantised file may not share the float contract."""
    _require(
        found,
        lambda a: a.minimum >= INT8_MINIMUM and a.mean >= INT8_MEAN,
        f"a minimum of {INT8_MINIMUM} and a mean of {INT8_MEAN}",
        "; more calibration photos may help, --own-contract lets it be a model of its own",
    )


def _require(
    found: dict[str, Agreement], good: Callable[[Agreement], bool], wanted: str, advice: str = ""
) -> None:
    for runtime, seen in found.items():
        if not good(seen):
            raise ExportRefused(
                f"on {runtime} the exported file's vectors have a cosine to the network's of "
                f"{seen.minimum:.5f} at least and {seen.mean:.5f} on average over {seen.crops} "
                f"faces; {wanted} is needed{advice}",
                runtime=runtime,
                minimum=seen.minimum,
                mean=seen.mean,
            )


__all__ = [
    "FLOAT_COSINE",
    "INT8_MEAN",
    "INT8_MINIMUM",
    "TAR_FMR",
    "TAR_POINTS",
    "Agreement",
    "agreement",
    "agreements",
    "file_embedder",
    "require_apart",
    "require_float",
    "require_int8",
    "torch_vectors",
]
