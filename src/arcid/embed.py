"""Crops → Embeddings, over any ONNX recogniser that a manifest describes, or several as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from arcid.errors import ContractMismatch, ManifestInvalid, ModelUnsupported
from arcid.geometry import recut
from arcid.models import ensembles
from arcid.models.manifest import Manifest
from arcid.runtime import Session
from arcid.types import Crops, Embeddings, FloatArray, Image, Template

CHUNK = 8  # crops a call; larger batches fall out of cache and get slower per face


class Embedder(Protocol):
    """(N,S,S,3) uint8 RGB aligned crops in; (N,D) float32 unit-norm vectors out.

    Any class that has these works in ``Pipeline``; ``embed`` may be called from several threads at
    once. A ``name``, where there is one, is stored beside what it made.
    """

    @property
    def contract_id(self) -> str:
        """Of what gives its vectors their meaning; vectors of two contracts are never compared."""
        ...

    @property
    def dim(self) -> int:
        """D, numbers in a vector."""
        ...

    @property
    def size(self) -> int:
        """S, pixels a side of the crops it wants."""
        ...

    @property
    def template(self) -> Template:
        """How faces lie in its crops: "arcface" by the five points, "box" by the box."""
        ...

    def embed(self, crops: Crops) -> Embeddings:
        """N crops in; N vectors of ``dim`` and ``contract_id`` out, in order
        (``Embeddings.normalised`` makes them from raw output)."""
        ...


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


class Ensemble:
    """(N,S,S,3) uint8 RGB aligned crops in; (N,D) float32 unit-norm vectors of all members out.

    The cosine of two of its vectors is the mean of the members' cosines, weighted by ``weights``
    (shares; equal where None). Crops lie on the ArcFace template, of which members with another
    cut theirs, or all members take the box. Raises ``UsageError`` for fewer than two members,
    ``ManifestInvalid`` for members that cannot be joined, and what a member's ``embed`` raises.
    """

    def __init__(self, members: Sequence[Embedder], weights: Sequence[float] | None = None) -> None:
        shares = ensembles.shares([1.0] * len(members) if weights is None else weights)
        listed = zip(members, shares, strict=True)
        joined = sorted(listed, key=lambda one: one[0].contract_id)
        self.members = tuple(member for member, _ in joined)
        self.weights = tuple(share for _, share in joined)
        self.contract_id = ensembles.contract_id([(m.contract_id, share) for m, share in joined])
        self.template, self.size = ensembles.crops((m.template, m.size) for m in self.members)
        self.dim = sum(member.dim for member in self.members)
        names = [getattr(m, "name", type(m).__name__) for m in self.members]
        self.name = "+".join(map(str, names))
        self.session = Sessions([getattr(m, "session", None) for m in self.members])

    def embed(self, crops: Crops) -> Embeddings:
        """(N,S,S,3) uint8 RGB in; (N,D) float32 unit-norm out; N=0 is ordinary."""
        if len(crops) == 0:
            return Embeddings.empty(self.dim, self.contract_id)
        parts = [
            np.sqrt(np.float32(weight)) * self._of(member, crops)
            for member, weight in zip(self.members, self.weights, strict=True)
        ]
        return Embeddings.normalised(np.concatenate(parts, axis=1), self.contract_id)

    def cosines(self, a: Embeddings, b: Embeddings) -> FloatArray:
        """(K,N,M) every member's cosines of two batches of this ensemble's vectors.

        Raises ``ContractMismatch`` for vectors of another model.
        """
        for part in (a, b):
            if part.contract_id != self.contract_id:
                raise ContractMismatch(
                    f"vectors of contract {part.contract_id[:12]} are not this ensemble's, "
                    f"{self.contract_id[:12]}"
                )
        ends = np.cumsum([member.dim for member in self.members])[:-1]
        pairs = zip(
            np.split(a.vectors, ends, axis=1), np.split(b.vectors, ends, axis=1), strict=True
        )
        return np.stack([x @ y.T / w for (x, y), w in zip(pairs, self.weights, strict=True)])

    def _of(self, member: Embedder, crops: Crops) -> FloatArray:
        own = recut(crops, member.size, member.template)
        found = member.embed(resized(own, member.size))
        if found.contract_id != member.contract_id or found.dim != member.dim:
            raise ModelUnsupported(
                "a member of the ensemble answered vectors that it does not promise"
            )
        return found.vectors


class Sessions:
    """How an ensemble's members run: what they have in common, or each one's."""

    def __init__(self, sessions: Sequence[Any]) -> None:
        self.runtime, self.device, self.precision = (
            "+".join(dict.fromkeys(str(getattr(s, part, "unknown")) for s in sessions))
            for part in ("runtime", "device", "precision")
        )


def resized(crops: Crops, size: int) -> Crops:
    """(N,S,S,3) in; (N,size,size,3) out, the same object where nothing is to be done."""
    if crops.size == size:
        return crops
    if not len(crops):
        return Crops.empty(size)
    import cv2

    method = cv2.INTER_AREA if crops.size > size else cv2.INTER_LINEAR
    scaled = [cv2.resize(p, (size, size), interpolation=method) for p in crops.pixels]
    return Crops(np.stack(scaled).astype(np.uint8))
