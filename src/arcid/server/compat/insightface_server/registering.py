"""Images of a registration, with trusted vectors where the client has its own, as new faces."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import File, Form, Request, UploadFile

from arcid.apps.enrol import new_face
from arcid.apps.vectors import embedding_of
from arcid.errors import ArcidError, ContractMismatch, NothingEnrolled
from arcid.gallery import Enrolment, NewFace, Refused
from arcid.server.compat.adapter import numbers
from arcid.server.compat.insightface_server.refusals import refusal
from arcid.server.compat.insightface_server.telling import PLACE, Told, box_told
from arcid.server.deps import Services
from arcid.server.scopes import Need, check
from arcid.server.uploads import UploadRoute
from arcid.types import Embeddings, Selection

MOST, NORM = 20, 2e-4  # images; how far the length of a trusted vector may be from 1
Images = Annotated[list[UploadFile], File()]
Review = Annotated[Literal["off", "standard", "strict"], Form()]
Mode = Annotated[Literal["server", "external_trusted"], Form()]
Vectors = Annotated[str | None, Form()]
Contract = Annotated[str | None, Form(max_length=256)]
#: arcid's code → a reason of theirs.
_REASONS: Mapping[str, str] = {
    "image_unreadable": "invalid_image",
    "image_too_small": "invalid_image",
    "image_too_large": "image_too_large",
    "no_face_found": "face_not_found",
    "several_faces_found": "multiple_faces",
    "quality_rejected": "low_quality",
    "possible_duplicate": "identity_similarity_conflict",
}
_QUALITY: Mapping[str, str] = {
    "too_small": "face_too_small",
    "turned_away": "extreme_pose",
    "looking_up_down": "extreme_pose",
    "tilted": "extreme_pose",
    "low_detection_score": "low_detection_score",
}


class RegisterRoute(UploadRoute):
    """Trusted vectors come as text of a form, those of all images in one field."""

    most_text = 2**20


async def faces_of(
    request: Request,
    running: Services,
    images: list[UploadFile],
    review: str,
    mode: str,
    vectors: str | None,
    contract: str | None,
) -> list[NewFace | ArcidError]:
    """The face of every image, or why it has none; with the vectors that came along, where they are
    trusted: that needs the verb ``vectors``. Raises ``HttpError``, ``ContractMismatch``."""
    if len(images) > MOST:
        raise refusal(400, "too_many_images", f"at most {MOST} images are taken at once")
    given = await _trusted(request, running, len(images), mode, vectors, contract)
    select: Selection = "largest" if review == "off" else "one"
    photos = [await image.read() for image in images]
    found = await running.faces_or_why(photos, select=select, photo_ids=True)
    new: list[NewFace | ArcidError] = []
    for i, faces in enumerate(found):
        try:
            if isinstance(faces, ArcidError):
                raise faces
            face = running.pipeline.checked(faces)
            if review != "off":
                face.check_quality()
        except ArcidError as error:
            new.append(error)
            continue
        size = faces.detections.image_size if faces.detections else (1, 1)
        origin: Told = {**running.pipeline.provenance}
        if face.box is not None:
            origin[PLACE] = box_told(face.box, size)
        made = new_face(face, images[i].filename or "", origin)
        if given is not None:
            made = replace(made, embedding=given[i], provenance={**origin, "given": "vector"})
        new.append(made)
    return new


def rejected(images: Sequence[UploadFile], results: Sequence[Any]) -> list[Told]:
    """``RejectedImage`` of each that was not taken."""
    return [
        {"index": i, "filename": image.filename or "", "reason": reason_of(result)}
        for i, (image, result) in enumerate(zip(images, results, strict=True))
        if isinstance(result, (Refused, ArcidError))
    ]


def reason_of(refused: Refused | ArcidError) -> str:
    """arcid's own code where they have no reason."""
    if refused.code == "quality_rejected":
        first = (refused.details.get("reasons") or [""])[0]
        return _QUALITY.get(first, "low_quality")
    return _REASONS.get(refused.code, refused.code)


def registered(
    running: Services,
    collection: str,
    images: Sequence[UploadFile],
    new: list[NewFace | ArcidError],
    review: str,
    **whose: Any,
) -> Enrolment:
    """``whose``: as of ``Gallery.enrol_images``. Raises ``HttpError`` where no image can be."""
    decide = running.pipeline.duplicate if review == "strict" else None
    results: Sequence[Any] = new
    if any(isinstance(one, NewFace) for one in new):
        try:
            return running.gallery.enrol_images(
                collection, new, decide=decide, partial=True, **whose
            )
        except NothingEnrolled as error:
            results = [Refused(**one) for one in error.details["results"]]
    why = rejected(images, results)
    raise refusal(422, "registration_failed", "no image can be registered", rejected_images=why)


async def _trusted(
    request: Request,
    running: Services,
    count: int,
    mode: str,
    vectors: str | None,
    contract: str | None,
) -> list[Embeddings] | None:
    if mode == "server":
        if vectors is not None or contract is not None:
            raise refusal(
                400, "unexpected_external_embedding", "vectors need the mode external_trusted"
            )
        return None
    await check(Need("vectors", "none"), request)
    if vectors is None:
        raise refusal(400, "missing_external_embeddings", "external_embeddings are missing")
    if contract is None:
        raise refusal(400, "missing_embedding_contract_id", "embedding_contract_id is missing")
    try:
        rows = json.loads(vectors)
    except (ValueError, RecursionError):
        rows = None
    if not isinstance(rows, list):
        raise refusal(400, "invalid_external_embeddings", "external_embeddings must be a JSON list")
    if len(rows) != count:
        raise refusal(
            400, "external_embedding_count_mismatch", f"{count} images, {len(rows)} vectors"
        )
    try:
        return [_embedding(running, row, contract) for row in rows]
    except ContractMismatch as error:
        raise refusal(409, "embedding_contract_mismatch", error.message) from None
    except ArcidError as error:
        raise refusal(400, "invalid_external_embeddings", error.message) from None


def _embedding(running: Services, row: Any, contract: str) -> Embeddings:
    embedder = running.pipeline.embedder
    values = numbers(row, embedder.dim)
    if abs(float(np.linalg.norm(values)) - 1) > NORM:
        raise refusal(
            400, "invalid_external_embeddings", f"a vector's length must be 1 within {NORM:g}"
        )
    return embedding_of(values, contract, embedder)
