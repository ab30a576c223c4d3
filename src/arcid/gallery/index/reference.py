"""Plain float32 NumPy index: the answers every other index has to give, at no special speed."""

from __future__ import annotations

import numpy as np

from arcid.gallery.index import Aggregate, FetchVectors, Keys, PersonHit
from arcid.types import FloatArray


class ReferenceIndex:
    """Brute force over float32 rows; keeps its own copy, so ``fetch`` is never called."""

    def __init__(self, dim: int, fetch: FetchVectors | None = None) -> None:
        self._faces = np.zeros(0, np.int64)
        self._people = np.zeros(0, np.int64)
        self._vectors = np.zeros((0, dim), np.float32)

    def __len__(self) -> int:
        return len(self._faces)

    def add(self, face_keys: Keys, person_keys: Keys, vectors: FloatArray) -> None:
        self._faces = np.concatenate([self._faces, np.asarray(face_keys, np.int64)])
        self._people = np.concatenate([self._people, np.asarray(person_keys, np.int64)])
        self._vectors = np.concatenate([self._vectors, np.asarray(vectors, np.float32)])

    def remove(self, face_keys: Keys) -> None:
        kept = ~np.isin(self._faces, face_keys)
        self._faces, self._people = self._faces[kept], self._people[kept]
        self._vectors = self._vectors[kept]

    def set_person(self, face_keys: Keys, person_keys: Keys) -> None:
        owner = dict(zip(map(int, face_keys), map(int, person_keys), strict=True))
        people = [
            owner.get(int(face), int(person))
            for face, person in zip(self._faces, self._people, strict=True)
        ]
        self._people = np.array(people, np.int64)

    def search_faces(
        self, probes: FloatArray, k: int, exclude_person: int | None = None
    ) -> list[tuple[Keys, Keys, FloatArray]]:
        found = []
        for probe in probes:
            order, cosines = self._ranked(probe, exclude_person)
            order = order[:k]
            found.append((self._faces[order], self._people[order], cosines[order]))
        return found

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
        found = []
        for probe in probes:
            order, cosines = self._ranked(probe, exclude_person)
            if only_people is not None:
                order = order[np.isin(self._people[order], only_people)]
            rows: dict[int, list[int]] = {}
            for row in order:
                rows.setdefault(int(self._people[row]), []).append(int(row))
            hits = [
                PersonHit(
                    person,
                    int(self._faces[own[0]]),
                    float(np.mean(cosines[own[:best]], dtype=np.float64)),
                    len(own),
                )
                for person, own in rows.items()
            ]
            hits.sort(key=lambda hit: (-hit.cosine, hit.person_key))
            found.append(hits[:k])
        return found

    def held(self, people: Keys) -> int:
        return int(np.isin(self._people, people).sum())

    def close(self) -> None:
        self.remove(self._faces)

    def _ranked(self, probe: FloatArray, exclude_person: int | None) -> tuple[Keys, FloatArray]:
        cosines: FloatArray = self._vectors @ probe
        order = np.lexsort((self._faces, -cosines))
        if exclude_person is not None:
            order = order[self._people[order] != exclude_person]
        return order, cosines
