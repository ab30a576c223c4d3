"""What a vector index must do: a disposable projection of one collection's vectors of one contract.

SQL is the truth; an index holds only integer keys and whatever it needs to find neighbours, and can
be dropped at any time. Every implementation passes the same contract suite and gives the answers of
``reference.ReferenceIndex``: exact neighbours, best first, equal cosines by ascending key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from arcid.types import FloatArray

Keys = npt.NDArray[np.int64]
Aggregate = Literal["max", "mean"]
FetchVectors = Callable[[Keys], FloatArray]
"""(N,) face keys in; (N,D) float32 stored vectors out, in the order of the keys."""


@dataclass(frozen=True, slots=True)
class PersonHit:
    """One person found for a probe, by the integer keys of the store."""

    person_key: int
    best_face_key: int  # the person's face nearest to the probe
    cosine: float  # aggregate over the person's faces
    faces: int  # faces of the person that were compared
    given_to: int | None = None  # the probe of the same photo that this person was given to


class VectorIndex(Protocol):
    """Searches may run in several threads at once; the store never changes an index meanwhile."""

    def add(self, face_keys: Keys, person_keys: Keys, vectors: FloatArray) -> None:
        """Add (N,) new faces of (N,) people with (N,D) float32 unit-norm vectors."""

    def remove(self, face_keys: Keys) -> None:
        """Forget faces; keys that are not held are ignored."""

    def set_person(self, face_keys: Keys, person_keys: Keys) -> None:
        """Give faces to other people; keys that are not held are ignored."""

    def __len__(self) -> int:
        """Faces held."""

    def search_faces(
        self, probes: FloatArray, k: int, exclude_person: int | None = None
    ) -> list[tuple[Keys, Keys, FloatArray]]:
        """(Q,D) probes in; per probe the exact top-k (face keys, person keys, cosines)."""

    def search_people(
        self,
        probes: FloatArray,
        k: int,
        *,
        aggregate: Aggregate = "max",
        top_m: int = 3,
        exclude_person: int | None = None,
        only_people: Keys | None = None,
    ) -> list[list[PersonHit]]:
        """(Q,D) probes in; per probe the exact top-k people by aggregated cosine.

        ``only_people``: (N,) sorted keys; nobody else is compared.
        """

    def held(self, people: Keys) -> int:
        """How many faces these people have: (N,) sorted keys in."""

    def close(self) -> None:
        """Free memory; the index is not used again."""


IndexFactory = Callable[[int, FetchVectors], VectorIndex]

__all__ = [
    "Aggregate",
    "FetchVectors",
    "IndexFactory",
    "Keys",
    "PersonHit",
    "VectorIndex",
]
