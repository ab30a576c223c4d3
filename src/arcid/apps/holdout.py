"""Photos kept back when people are enrolled, then searched for: how well are they found again?"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcid.apps.enrol import Rejection, one_face_each
from arcid.errors import ArcidError, by_reason
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline
from arcid.types import Selection

RANKS = (1, 3, 5)


@dataclass(frozen=True, slots=True)
class Holdout:
    """How the photos kept back were found. Top-k counts every probe, failed reads as not found."""

    probes: int
    top: dict[int, int]  # k → probes whose person is among the first k
    failed: list[Rejection]  # probes without a face, and why
    already_enrolled: int  # photos enrolled earlier; they would find themselves and are left out
    gallery_people: int
    gallery_faces: int

    def by_reason(self) -> dict[str, int]:
        """Failed reads by error code."""
        return by_reason(failure.error.code for failure in self.failed)

    def to_dict(self) -> dict[str, Any]:
        """Counts and rates; not the single failures."""
        rates = {f"top{k}": round(n / self.probes, 4) for k, n in self.top.items() if self.probes}
        return {
            "probes": self.probes,
            "already_enrolled": self.already_enrolled,
            "gallery_people": self.gallery_people,
            "gallery_faces": self.gallery_faces,
            **rates,
            **{f"top{k}_count": n for k, n in self.top.items()},
            "failed_reads": len(self.failed),
            "failed_by_reason": self.by_reason(),
        }


def hold_back(
    people: Mapping[str, Sequence[Path]], holdout: int, seed: int | None
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Split each person's photos into those enrolled, at least one, and those kept back."""
    lot = None if seed is None else random.Random(seed)  # noqa: S311
    kept: dict[str, list[Path]] = {}
    probes: dict[str, list[Path]] = {}
    for person, photos in people.items():
        order = list(photos)
        if lot is not None:
            lot.shuffle(order)
        back = set(order[max(len(order) - holdout, 1) :])
        kept[person] = [photo for photo in photos if photo not in back]
        probes[person] = [photo for photo in photos if photo in back]
    return kept, probes


def look_up(
    pipeline: Pipeline,
    gallery: Gallery,
    collection: str,
    probes: Mapping[str, Sequence[Path]],
    *,
    select: Selection = "prominent",
    aligned: bool = False,
    advance: Callable[[int], object] = lambda count: None,
) -> Holdout:
    """Search for every photo kept back; the quality gate is off, as in any search."""
    keyed = [((person, str(photo)), photo) for person, files in probes.items() for photo in files]
    top: dict[int, int] = dict.fromkeys(RANKS, 0)
    failed: list[Rejection] = []
    known = 0
    enrolled = {person: gallery.find_person(collection, person) for person in probes}
    for (person, label), face in one_face_each(pipeline, keyed, select=select, aligned=aligned):
        advance(1)
        if isinstance(face, ArcidError):
            failed.append(Rejection(label, person, face))
        elif gallery.photo_known(collection, face.photo_id):
            known += 1
        elif (mate := enrolled[person]) is not None:
            matches = gallery.search(collection, face.embedding, k=max(RANKS))[0]
            names = [match.person_id for match in matches]
            for k in RANKS:
                top[k] += mate.id in names[:k]
    size = gallery.collection(collection)
    return Holdout(len(keyed) - known, top, failed, known, size.people, size.faces)


__all__ = ["RANKS", "Holdout", "hold_back", "look_up"]
