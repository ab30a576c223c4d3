"""Crops → Embeddings, over any ONNX recogniser that a manifest describes."""

from __future__ import annotations

import numpy as np

from arcid.embed._common import resized
from arcid.errors import ManifestInvalid, ModelUnsupported
from arcid.models.manifest import Manifest
from arcid.runtime import Session
from arcid.types import Crops, Embeddings, FloatArray, Image

CHUNK = 8  # crops a call; larger batches fall out of cache and get slower per face


class OnnxEmbedder:
    """(N,S,S,3) uint8 RGB crops in; (N,D) float32 unit-norm embeddings out.

    Colour order, mean, std and layout follow the manifest. Crops of another size than the model's
    are resized. With ``flip`` the vector is the normalised sum over the face and its mirror image.
    Raises ``ManifestInvalid`` where the model's output is not what its manifest says and
    ``InvalidArray`` where the model returns a zero or NaN vector.
    """

    def __init__(self, session: Session, manifest: Manifest, *, chunk: int = CHUNK) -> None:
        if manifest.output is None or manifest.input.size is None:
            raise ManifestInvalid(f"{manifest.name} is a {manifest.task} model, not a recogniser")
        self._output = manifest.output.name or session.output_names[0]
        if self._output not in session.output_names:
            raise ManifestInvalid(
                f"{manifest.name} has no output {self._output!r}; "
                f"it has {', '.join(session.output_names[:8])}"
            )
        self.session = session
        self.manifest = manifest
        self.contract_id = manifest.contract_id
        self.dim = manifest.output.dim
        self.size = manifest.input.size[0]
        self.template = manifest.template
        fixed = session.input_shape[0] if session.input_shape else None
        self._fixed_batch = manifest.input.batch or fixed
        self._chunk = self._fixed_batch or chunk

    def embed(self, crops: Crops) -> Embeddings:
        """(N,S,S,3) uint8 RGB in; (N,D) float32 unit-norm out; N=0 is ordinary."""
        if len(crops) == 0:
            return Embeddings.empty(self.dim, self.contract_id)
        pixels = resized(crops, self.size).pixels
        raw = np.concatenate(
            [self._forward(pixels[i : i + self._chunk]) for i in range(0, len(crops), self._chunk)]
        )
        return Embeddings.normalised(raw, self.contract_id)

    def _forward(self, pixels: Image) -> FloatArray:
        vectors = self._run(pixels)
        if not self.manifest.flip:
            return vectors
        mirrored = self._run(pixels[:, :, ::-1])
        total: FloatArray = vectors + mirrored
        return total

    def _run(self, pixels: Image) -> FloatArray:
        count = len(pixels)
        if self._fixed_batch and count < self._fixed_batch:
            filler = np.repeat(pixels[-1:], self._fixed_batch - count, axis=0)
            pixels = np.concatenate([pixels, filler])
        tensor = self.manifest.input.prepare(pixels)
        vectors = self.session.run(tensor)[self._output]
        vectors = vectors.reshape(len(vectors), -1)[:count].astype(np.float32, copy=False)
        if vectors.shape != (count, self.dim):
            raise ModelUnsupported(
                f"{self.manifest.name} returned {vectors.shape} for {count} crops; its manifest "
                f"promises ({count}, {self.dim})"
            )
        return vectors
