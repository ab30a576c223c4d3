"""Vectors that somebody keeps elsewhere: compared and enrolled like those of photos.

A vector tells nothing of the photo it came from: no quality is measured, and nobody can look at a
face. Whoever hands one in is trusted to have made it with the model that it is said to be of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arcid.embed import Embedder
from arcid.errors import ArcidError, ContractMismatch, InvalidArray
from arcid.gallery import Enrolment, Gallery, NewConsent, NewFace, Once
from arcid.pipeline import Pipeline
from arcid.types import Embeddings

Vector = Sequence[float]


def embedding_of(vector: Vector, contract_id: str, embedder: Embedder) -> Embeddings:
    """(D,) of any length in; one unit-norm row out.

    Raises ``ContractMismatch`` where it is of another model than ``embedder``, and ``InvalidArray``
    for another D, a value that is no finite number, or nothing but zeros.
    """
    if contract_id != embedder.contract_id:
        raise ContractMismatch(
            f"the vector is of contract {contract_id[:12]}, the model in use is of "
            f"{embedder.contract_id[:12]}; embed the photo with it",
            contract_id=embedder.contract_id,
        )
    values = np.asarray(vector, np.float64)
    if values.shape != (embedder.dim,):
        raise InvalidArray(
            f"the vector has {values.size} values; this model's have {embedder.dim}",
            dim=embedder.dim,
        )
    largest = np.abs(values).max()
    if not np.isfinite(largest) or largest == 0:
        raise InvalidArray("a vector needs finite numbers, and not nothing but zeros")
    return Embeddings.normalised([values / largest], contract_id)


def new_face(embedding: Embeddings, source: str, model: str) -> NewFace:
    """A vector as the gallery takes it in.

    Its ``photo_id`` is a hash of its numbers, so that the same vector is enrolled once.
    """
    numbers = embedding.contract_id.encode() + embedding.vectors.tobytes()
    return NewFace(
        embedding=embedding,
        photo_id=f"vector:{hashlib.sha256(numbers).hexdigest()}",
        source=source[:200],
        provenance={"model": model, "given": "vector"},
    )


def enrol_vectors(
    pipeline: Pipeline,
    gallery: Gallery,
    collection: str,
    vectors: Sequence[Vector],
    contract_id: str,
    *,
    name: str | None = None,
    person_id: str | None = None,
    external_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    source: str = "",
    allow_duplicate: bool = False,
    partial: bool = False,
    consent: NewConsent | None = None,
    once: Once | None = None,
) -> Enrolment:
    """Vectors as faces of the person of that ``name``, made if missing, or with that id; ``name``
    and ``external_id`` as of ``Gallery.enrol_images``.

    All or none, unless ``partial``: then ``results`` say for each, in order, what became of it. The
    rest is as of ``Gallery.enrol_images``. Raises what ``embedding_of`` and that do.
    """
    model = str(pipeline.provenance["model"])
    faces: list[NewFace | ArcidError] = []
    for vector in vectors:
        try:
            embedding = embedding_of(vector, contract_id, pipeline.embedder)
        except InvalidArray as error:
            faces.append(error)
        else:
            faces.append(new_face(embedding, source, model))
    return gallery.enrol_images(
        collection,
        faces,
        name=name,
        person_id=person_id,
        external_id=external_id,
        metadata=metadata,
        decide=None if allow_duplicate else pipeline.duplicate,
        partial=partial,
        once=once,
        consent=consent,
    )
