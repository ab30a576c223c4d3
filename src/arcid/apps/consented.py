"""Faces of a collection whose people agreed to be tried: what an audit may take for a thief's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from arcid.embed import resized
from arcid.errors import DatasetInvalid
from arcid.gallery import Gallery
from arcid.protection.consents import Consents
from arcid.types import Crops, FloatArray, Image

AGREED_TO = "inversion audit"  # what a consent must name: being enrolled is not that


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ConsentedFaces:
    """Two kept faces each of P people: ``photos`` and ``others`` (P,S,S,3) uint8 RGB aligned,
    ``vectors`` (P,D) float32 as stored of ``photos``, ``names`` the ids of the people.

    Left out were ``refused`` people without a consent to ``AGREED_TO`` that stands, and ``short``
    ones of whom the gallery keeps fewer than two different pictures.
    """

    names: tuple[str, ...]
    photos: Image
    others: Image
    vectors: FloatArray
    refused: int
    short: int


def consented_faces(
    gallery: Gallery, collection: str, contract_id: str, *, size: int, limit: int
) -> ConsentedFaces:
    """Of up to ``limit`` people, in the order they were added; crops brought to ``size`` pixels.

    Raises ``DatasetInvalid`` where nobody is left, saying why, and ``CollectionNotFound``.
    """
    stored = {
        face: vector
        for faces, _, block in gallery.vectors(collection, contract_id)
        for face, vector in zip(faces, block, strict=True)
    }
    consents = Consents(gallery)
    names: list[str] = []
    pictures: list[list[Image]] = []
    vectors: list[FloatArray] = []
    refused = short = 0
    for person in gallery.everybody(collection):
        if len(names) == limit:
            break
        if not any(
            one.withdrawn_at is None and one.what.strip().casefold() == AGREED_TO
            for one in consents.of(collection, person.id)
        ):
            refused += 1
            continue
        own = [f for f in gallery.faces(collection, person.id) if f.id in stored and f.has_crop]
        kept: list[tuple[str, Image]] = []
        for face in own:
            crop = gallery.face_crop(collection, face.id)
            if crop is not None and not any(np.array_equal(crop, c) for _, c in kept):
                kept.append((face.id, resized(Crops(crop[None]), size).pixels[0]))
            if len(kept) == 2:
                break
        if len(kept) < 2:
            short += 1
            continue
        names.append(person.id)
        pictures.append([crop for _, crop in kept])
        vectors.append(stored[kept[0][0]])
    if not names:
        raise DatasetInvalid(
            f"nobody of {collection!r} can be taken: {refused} people have no consent to it that "
            f"stands, of {short} fewer than two pictures are kept with vectors of this recogniser; "
            f'record who agreed (arcid people consent NAME TEXT --what "{AGREED_TO}"), or take '
            "research photographs with --people"
        )
    first, second = zip(*pictures, strict=True)
    return ConsentedFaces(
        tuple(names), np.stack(first), np.stack(second), np.stack(vectors), refused, short
    )


__all__ = ["AGREED_TO", "ConsentedFaces", "consented_faces"]
