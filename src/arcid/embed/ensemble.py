"""Several recognisers as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from arcid.embed._common import Embedder, resized
from arcid.errors import ContractMismatch, ModelUnsupported
from arcid.geometry import recut
from arcid.models import ensembles
from arcid.types import Crops, Embeddings, FloatArray


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
        self.name = "+".join(map(_name, self.members))
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


def _name(member: Embedder) -> str:
    named = getattr(member, "manifest", member)
    return str(getattr(named, "name", type(member).__name__))


class Sessions:
    """How an ensemble's members run: what they have in common, or each one's."""

    def __init__(self, sessions: Sequence[Any]) -> None:
        self.runtime, self.device, self.precision = (
            "+".join(dict.fromkeys(str(getattr(s, part, "unknown")) for s in sessions))
            for part in ("runtime", "device", "precision")
        )
