"""A vector index over an engine's candidates, with exact scores from the gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from arcid.gallery.index import Aggregate, Keys, PersonHit
from arcid.gallery.index.blocks import Chosen
from arcid.gallery.outside import Engine
from arcid.types import FloatArray

FIRST = 64  # candidates asked for at first, or four times as many as are wanted
MORE = 4  # times as many when those do not settle it
BLOCK = 4_096  # vectors read at a time
FEW = 5_000  # people whose faces are all compared, without asking the engine


def all_compared(only_people: Keys | None) -> bool:
    """Whether all faces of these people are compared, without asking the engine."""
    return only_people is not None and len(only_people) <= FEW


class Truth(Protocol):
    """Reads the gallery, in the transaction of the search."""

    def __call__(self, face_keys: Keys) -> FloatArray:
        """(N,D) stored vectors, in the order of the keys."""

    def owners(self, face_keys: Keys) -> tuple[Keys, Keys]:
        """Those of the faces that are there, with their people."""

    def everybody(self) -> Keys:
        """All faces that have a vector."""

    def faces_of(self, person_keys: Keys) -> tuple[Keys, Keys]:
        """All faces of people that have a vector, with their people."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Scored:
    """Faces by descending cosine, then ascending key."""

    faces: Keys
    people: Keys
    cosines: FloatArray


class OutsideIndex:
    """Exact where the engine is; what an approximate engine misses is missed."""

    def __init__(self, engine: Engine, truth: Truth) -> None:
        self.engine = engine
        self._truth = truth

    def __len__(self) -> int:
        return len(self.engine)

    def add(self, face_keys: Keys, person_keys: Keys, vectors: FloatArray) -> None:
        with self.engine.writing() as writer:
            writer.remove(face_keys)
            writer.add(face_keys, vectors)

    def remove(self, face_keys: Keys) -> None:
        with self.engine.writing() as writer:
            writer.remove(face_keys)

    def set_person(self, face_keys: Keys, person_keys: Keys) -> None:
        """Whose a face is, is read from the gallery."""

    def search_faces(
        self, probes: FloatArray, k: int, exclude_person: int | None = None
    ) -> list[tuple[Keys, Keys, FloatArray]]:
        found = [self._faces(probe, k, exclude_person) for probe in probes]
        return [(one.faces, one.people, one.cosines) for one in found]

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
        best = top_m if aggregate == "mean" else 1
        chosen = Chosen(exclude_person, only_people)
        if only_people is not None and all_compared(only_people):
            own = self._truth.faces_of(only_people)
            return [_grouped(self._scored(probe, *own, chosen), best)[:k] for probe in probes]
        return [self._people(probe, k, best, chosen) for probe in probes]

    def held(self, people: Keys) -> int:
        return len(self._truth.faces_of(people)[0])

    def close(self) -> None:
        """Nothing of it is held here."""

    def _faces(self, probe: FloatArray, k: int, excluded: int | None) -> _Scored:
        asked = max(FIRST, MORE * k)
        while True:
            keys, bound = self._candidates(probe, asked)
            found = self._scored(probe, *self._truth.owners(keys), Chosen(excluded))
            if bound is None or (len(found.faces) >= k and found.cosines[k - 1] >= bound):
                return _Scored(found.faces[:k], found.people[:k], found.cosines[:k])
            asked *= MORE

    def _people(self, probe: FloatArray, k: int, best: int, chosen: Chosen) -> list[PersonHit]:
        asked = max(FIRST, MORE * k)
        while True:
            keys, bound = self._candidates(probe, asked)
            people = np.unique(self._truth.owners(keys)[1])
            faces = self._scored(probe, *self._truth.faces_of(people), chosen)
            hits = _grouped(faces, best)
            # Whoever is not among the candidates has no face, and so no mean, above the bound.
            if bound is None or (len(hits) >= k and hits[k - 1].cosine >= bound):
                return hits[:k]
            asked *= MORE

    def _candidates(self, probe: FloatArray, asked: int) -> tuple[Keys, float | None]:
        """Keys, and the cosine that no other face has more of; None where these are all faces."""
        most = self.engine.most
        if most is not None and asked > most:
            if len(self) > most:
                return self._truth.everybody(), None
            asked = most + 1  # all there are
        keys, scores = self.engine.nearest(probe, min(asked, most or asked))
        if len(keys) < asked:
            return keys, None
        return keys, float(scores[-1]) + self.engine.margin

    def _scored(self, probe: FloatArray, faces: Keys, people: Keys, chosen: Chosen) -> _Scored:
        if (others := chosen.others(people)) is not None:
            faces, people = faces[~others], people[~others]
        if len(faces) == 0:
            return _Scored(faces, people, np.zeros(0, np.float32))
        asked = np.asarray(probe, np.float32)
        cosines: FloatArray = np.concatenate(
            [self._truth(faces[i : i + BLOCK]) @ asked for i in range(0, len(faces), BLOCK)]
        )
        order = np.lexsort((faces, -cosines))
        return _Scored(faces[order], people[order], cosines[order])


def _grouped(found: _Scored, best: int) -> list[PersonHit]:
    """People by the mean of their ``best`` highest cosines, then ascending key."""
    rows: dict[int, list[int]] = {}
    for row, person in enumerate(found.people.tolist()):
        rows.setdefault(person, []).append(row)
    hits = [
        PersonHit(
            person,
            int(found.faces[own[0]]),
            float(np.mean(found.cosines[own[:best]], dtype=np.float64)),
            len(own),
        )
        for person, own in rows.items()
    ]
    return sorted(hits, key=lambda hit: (-hit.cosine, hit.person_key))


__all__ = ["OutsideIndex", "Truth", "all_compared"]
