"""Faces that were said not to be somebody: whether a match is one of those again."""

from __future__ import annotations

from collections.abc import Sequence

from arcid.types import Embeddings, FloatArray, Match


class Blocks:
    """(person id, (D,) vector) pairs, as ``Events.blocked`` hands them out."""

    def __init__(self, pairs: Sequence[tuple[str, FloatArray]] = ()) -> None:
        self._faces: dict[str, list[FloatArray]] = {}
        for person, vector in pairs:
            self._faces.setdefault(person, []).append(vector)
        self._size = len(pairs)

    def __len__(self) -> int:
        return self._size

    def refuse(self, match: Match, probe: Embeddings) -> bool:
        """Whether the face (one row) is nearer to one that was said not to be that person."""
        faces = self._faces.get(match.person_id, ())
        return any(float(face @ probe.vectors[0]) > match.cosine for face in faces)
