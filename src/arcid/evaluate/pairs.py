"""Scored pairs with the people in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate.metrics import FAILED, Array, IndexArray, Mask


@dataclass(frozen=True, eq=False)
class PairScores:
    """Scored pairs with their people: what every verification metric takes.

    ``first`` and ``second`` number the people of both sides, 0 … people − 1. Failed pairs score
    ``FAILED``. Raises ``InvalidArray`` where the arrays disagree.
    """

    scores: Array  # (M,) float64, higher is closer
    same: Mask  # (M,)
    first: IndexArray  # (M,)
    second: IndexArray  # (M,)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "scores", np.asarray(self.scores, np.float64))
        set_(self, "same", np.asarray(self.same).astype(bool))
        for name in ("first", "second"):
            set_(self, name, np.asarray(getattr(self, name), np.int64))
        shapes = {a.shape for a in (self.scores, self.same, self.first, self.second)}
        if len(shapes) != 1 or self.scores.ndim != 1:
            raise InvalidArray(f"scores, labels and people must be of one length, got {shapes}")
        if np.isnan(self.scores).any():
            raise InvalidArray("scores hold NaN; a failed photo scores -inf, never NaN")
        wrong = np.flatnonzero((self.first == self.second) != self.same)
        if len(wrong):
            raise InvalidArray(
                f"pair {wrong[0]} is labelled {'same' if self.same[wrong[0]] else 'different'} "
                "but its people say otherwise"
            )

    @classmethod
    def from_labels(
        cls, scores: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike
    ) -> PairScores:
        """People by any labels (names, numbers); a pair is one person where they are equal."""
        a, b = np.asarray(first), np.asarray(second)
        ids = np.unique(np.concatenate([a, b]), return_inverse=True)[1]
        return cls(np.asarray(scores), a == b, ids[: len(a)], ids[len(a) :])

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def genuine(self) -> Array:
        return self.scores[self.same]

    @property
    def impostor(self) -> Array:
        return self.scores[~self.same]

    @property
    def failed(self) -> int:
        """How many pairs have a failed photo."""
        return int((self.scores == FAILED).sum())

    @property
    def people(self) -> int:
        return int(max(self.first.max(initial=-1), self.second.max(initial=-1))) + 1


def people_of_pairs(
    first: npt.ArrayLike, second: npt.ArrayLike, same: npt.ArrayLike, photos: int
) -> IndexArray:
    """(photos,) person numbers where only pairs are labelled, as in ``.bin`` files.

    Photos joined by genuine pairs, directly or in a chain, are one person. People met in
    unconnected pairs stay apart, so an interval made of these is somewhat too narrow.
    """
    parent = np.arange(photos)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    flags = np.asarray(same).astype(bool)
    for a, b in zip(np.asarray(first)[flags], np.asarray(second)[flags], strict=True):
        parent[root(int(a))] = root(int(b))
    roots = [root(i) for i in range(photos)]
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)
