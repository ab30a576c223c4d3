"""Answers a recogniser gave when its bundle was made: ``goldens.json``.

The crops are made up by a formula, so every machine has the same ones and no photograph is stored.
A runtime, driver or quantised file that computes something else is found by ``models verify``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from arcid.errors import ManifestInvalid, ModelUnsupported
from arcid.models.manifest import Manifest
from arcid.types import Crops, Embeddings

FILE = "goldens.json"
SCHEMA_VERSION = 1
COUNT = 4
DIGITS = 6
MINIMUM_COSINE = 0.999  # of fp32 models; kernels of other processors round otherwise
MINIMUM_COSINE_INT8 = 0.97
Embed = Callable[[Crops], Embeddings]


def synthetic_crops(size: int, count: int = COUNT) -> Crops:
    """(count,size,size,3) uint8 RGB: face-like ovals, different in every channel and crop."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    crops = []
    for k in range(count):
        oval = np.exp(-((x * (2.6 + 0.2 * k)) ** 2 + (y * 2.1) ** 2) * 2)
        eyes = np.exp(-(((np.abs(x) - 0.16) ** 2) + (y + 0.1 - 0.02 * k) ** 2) * (90 + 30 * k))
        mouth = np.exp(-((x * 1.2) ** 2 + ((y - 0.22) * 4) ** 2) * (40 - 5 * k))
        base = 40 + 150 * oval - 90 * eyes - 50 * mouth + 30 * x * np.cos(k)
        waves = 12 * np.sin((k + 2) * 6 * x + 3 * y)
        crops.append(np.stack([base + 25, base + waves, 0.7 * base - waves], axis=-1))
    return Crops(np.clip(np.stack(crops), 0, 255).astype(np.uint8))


def write(folder: Path, manifest: Manifest, embed: Embed) -> None:
    """Measure and store the goldens of a bundle."""
    vectors = embed(synthetic_crops(_size(manifest))).vectors
    content = {
        "schema_version": SCHEMA_VERSION,
        "crops": "synthetic",
        "contract_id": manifest.contract_id,
        "minimum_cosine": MINIMUM_COSINE_INT8 if manifest.precision == "int8" else MINIMUM_COSINE,
        "vectors": [[round(float(v), DIGITS) for v in row] for row in vectors],
    }
    (folder / FILE).write_text(json.dumps(content) + "\n", "utf-8")


def check(manifest: Manifest, embed: Embed, folder: Path | None) -> float | None:
    """Run a recogniser on the synthetic crops; the lowest cosine to its goldens, None without any.

    Raises ``ModelUnsupported`` where vectors are not what the manifest says, are all alike, or
    differ from the goldens; ``ManifestInvalid`` where goldens.json cannot be used.
    """
    found = embed(synthetic_crops(_size(manifest))).vectors
    dim = manifest.output.dim if manifest.output else 0
    if found.shape != (COUNT, dim):
        raise ModelUnsupported(f"{manifest.name} gave vectors {found.shape}, not ({COUNT}, {dim})")
    if float((found[:1] @ found[1:].T).min()) > 0.99999:
        raise ModelUnsupported(
            f"{manifest.name} gives every face the same vector: its input contract is wrong, or "
            "the file is damaged"
        )
    path = folder / FILE if folder else None
    if path is None or not path.is_file():
        return None
    stored = _load(path, manifest)
    wanted = np.asarray(stored["vectors"], np.float64)
    if wanted.shape != found.shape:
        raise ManifestInvalid(f"{path.name} of {manifest.name} has vectors {wanted.shape}")
    norms = np.linalg.norm(wanted, axis=1)
    cosine = float(((wanted * found).sum(axis=1) / norms).min())
    if not cosine >= float(stored["minimum_cosine"]):
        raise ModelUnsupported(
            f"{manifest.name} answers otherwise than when its bundle was made (cosine "
            f"{cosine:.4f}, at least {stored['minimum_cosine']} expected); try another runtime "
            "(ARCID_RUNTIME=onnxruntime) or get the model again",
            cosine=cosine,
        )
    return cosine


def _load(path: Path, manifest: Manifest) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text("utf-8"))
        usable = stored["schema_version"] == SCHEMA_VERSION and stored["crops"] == "synthetic"
        contract_id, _ = stored["contract_id"], (stored["vectors"], stored["minimum_cosine"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestInvalid(f"{path} cannot be read: {error}") from None
    if not usable:
        raise ManifestInvalid(f"{path} is of a kind that this arcid does not read")
    if contract_id != manifest.contract_id:
        raise ManifestInvalid(
            f"{path} belongs to contract {contract_id[:12]}, the manifest says "
            f"{manifest.contract_id[:12]}: the manifest was edited, or the file is another model's"
        )
    return dict(stored)


def _size(manifest: Manifest) -> int:
    if manifest.input.size is None:
        raise ManifestInvalid(f"{manifest.name} has no input size")
    return manifest.input.size[0]
