"""What pictures are to be taken for: stored vectors, or centres of classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from arcid.errors import InvalidArray, UsageError
from arcid.train.invert.settings import Goal
from arcid.train.objectives.losses import loss_spec
from arcid.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Targets:
    """(N,D) float32 unit-norm ``vectors``, each of which gets a picture; ``names`` (N) for sheets.

    ``centres`` (C,D) unit-norm and ``labels`` (N,) int64 say among which classes, and which, where
    the goal is "closed"; vectors are then the centres' own. Raises ``InvalidArray``.
    """

    vectors: Tensor
    names: Sequence[str]
    centres: Tensor | None = None
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or not len(self.vectors) or len(self.names) != len(self.vectors):
            raise InvalidArray(
                f"targets must be (N,D) vectors with N names, got {tuple(self.vectors.shape)} and "
                f"{len(self.names)}"
            )
        lengths = self.vectors.norm(dim=1)
        if not bool(((lengths - 1).abs() < 1e-3).all()):
            raise InvalidArray("vectors to invert must have unit norm, as galleries hold them")

    @classmethod
    def of_vectors(cls, vectors: FloatArray, names: Sequence[str]) -> Targets:
        """For the goal "open"."""
        return cls(torch.from_numpy(np.ascontiguousarray(vectors, np.float32)), tuple(names))

    @classmethod
    def of_centres(
        cls, centres: Tensor, names: Sequence[str], wanted: Sequence[int] | None = None
    ) -> Targets:
        """For the goal "closed": (C,D) or, with sub-centres, (C,K,D), whose first is taken.

        ``names`` (C). ``wanted``: the classes that get a picture; default: all.
        """
        first = F.normalize((centres[:, 0] if centres.ndim == 3 else centres).float(), dim=1)
        rows = torch.as_tensor(range(len(first)) if wanted is None else list(wanted))
        return cls(first[rows], tuple(names[int(row)] for row in rows), first, rows)

    def __len__(self) -> int:
        return len(self.vectors)

    def loss(self, unit: Tensor, rows: slice, goal: Goal) -> Tensor:
        """() mean over the pictures of ``rows``, whose (B,D) unit-norm features are ``unit``."""
        if goal == "open":
            return (unit - self.vectors[rows]).square().sum(1).mean()
        if self.centres is None or self.labels is None:
            raise UsageError("goal closed needs centres of classes, not single vectors")
        loss: Tensor = loss_spec("arcface").build().eval()(unit @ self.centres.T, self.labels[rows])
        return loss

    def cosines(self, unit: Tensor, rows: slice) -> Tensor:
        """(B,) of features to their targets."""
        return (unit * self.vectors[rows]).sum(1)

    def digest(self) -> str:
        """Of everything that decides the pictures."""
        parts = [self.vectors, *(t for t in (self.centres, self.labels) if t is not None)]
        found = hashlib.sha256()
        for part in parts:
            found.update(part.contiguous().numpy().tobytes())
        return found.hexdigest()


__all__ = ["Targets"]
