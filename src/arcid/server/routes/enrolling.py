"""Faces of photos into a collection."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, astuple
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Form, Response, UploadFile
from fastapi.concurrency import run_in_threadpool

from arcid.apps.enrol import new_face
from arcid.errors import ArcidError, NoFaceFound, QualityRejected
from arcid.gallery import Enrolment, NewConsent, NewFace, Once
from arcid.gallery.records import Refused
from arcid.server.deps import CollectionPath, PersonPath, Running
from arcid.server.routes._common import (
    UPLOAD,
    Agreed,
    AgreedAt,
    AgreedBy,
    AgreedEvidence,
    Aligned,
    AllowDuplicate,
    IdempotencyKey,
    Image,
    Images,
    Partial,
    RequireQuality,
    Select,
    consent_of,
    errors,
)
from arcid.server.schemas import Enrolled, EnrolledEach
from arcid.server.uploads import UploadRoute, read_images
from arcid.types import Selection

router = APIRouter(prefix="/v1/collections/{collection}", tags=["faces"], route_class=UploadRoute)


@router.post("/enrol", status_code=201, responses=errors(*UPLOAD, 404, 409, 503, 507))
async def enrol(
    running: Running,
    response: Response,
    collection: CollectionPath,
    name: Annotated[str, Form(min_length=1, max_length=200, description="Of the person.")],
    image: Images,
    external_id: Annotated[
        str | None,
        Form(
            min_length=1,
            max_length=200,
            description="They go to whoever has it; who is not there yet is made with both.",
        ),
    ] = None,
    select: Select = "prominent",
    aligned: Aligned = False,
    require_quality: RequireQuality = True,
    allow_duplicate: AllowDuplicate = False,
    partial: Partial = False,
    consent: Agreed = None,
    consent_evidence: AgreedEvidence = "",
    consent_by: AgreedBy = "themselves",
    consent_at: AgreedAt = None,
    idempotency_key: IdempotencyKey = None,
) -> Enrolled:
    """Add faces under a name; who is not there yet is created. All images or none, unless
    `partial`."""
    await run_in_threadpool(running.gallery.collection, collection)
    given = consent_of(consent, consent_evidence, consent_by, consent_at)
    asked = _Asked(image, select, aligned, require_quality, allow_duplicate, partial, given)
    return await _enrol(
        running, response, collection, asked, idempotency_key, name=name, external_id=external_id
    )


@router.post(
    "/people/{person_id}/faces",
    status_code=201,
    responses=errors(*UPLOAD, 404, 409, 503, 507),
)
async def add_faces(
    running: Running,
    response: Response,
    collection: CollectionPath,
    person_id: PersonPath,
    image: Images,
    select: Select = "prominent",
    aligned: Aligned = False,
    require_quality: RequireQuality = True,
    allow_duplicate: AllowDuplicate = False,
    partial: Partial = False,
    consent: Agreed = None,
    consent_evidence: AgreedEvidence = "",
    consent_by: AgreedBy = "themselves",
    consent_at: AgreedAt = None,
    idempotency_key: IdempotencyKey = None,
) -> Enrolled:
    """Add faces to a person. All images or none, unless `partial`."""
    await run_in_threadpool(running.gallery.person, collection, person_id)
    given = consent_of(consent, consent_evidence, consent_by, consent_at)
    asked = _Asked(image, select, aligned, require_quality, allow_duplicate, partial, given)
    return await _enrol(running, response, collection, asked, idempotency_key, person_id=person_id)


@router.post("/enrol/faces", status_code=201, responses=errors(*UPLOAD, 404, 409, 503, 507))
async def enrol_each(
    running: Running,
    collection: CollectionPath,
    image: Image,
    name: Annotated[
        str,
        Form(
            min_length=1, max_length=180, description="What all are called, with digits behind it."
        ),
    ] = "Unnamed",
    select: Select = "all",
    require_quality: RequireQuality = True,
    allow_duplicate: AllowDuplicate = False,
    consent: Agreed = None,
    consent_evidence: AgreedEvidence = "",
    consent_by: AgreedBy = "themselves",
    consent_at: AgreedAt = None,
) -> EnrolledEach:
    """Enrol every face of a photo as a person of its own, or say why not. `consent` is that of
    everybody in it."""
    await run_in_threadpool(running.gallery.collection, collection)
    (faces,) = await running.faces([image], select=select, photo_ids=True)
    if not len(faces):
        raise NoFaceFound("no face was found in the photo; use one that shows faces clearly")
    origin = running.pipeline.provenance
    images: list[NewFace | ArcidError] = []
    for face in faces:
        try:
            if require_quality:
                face.check_quality()
            images.append(new_face(face, image.filename or "", origin))
        except QualityRejected as error:
            images.append(error)
    done = await running.writes.run(
        running.gallery.enrol_each,
        collection,
        images,
        name=name,
        decide=None if allow_duplicate else running.pipeline.duplicate,
        consent=consent_of(consent, consent_evidence, consent_by, consent_at),
    )
    told = [{"face": face.to_dict(), **_told(one)} for face, one in zip(faces, done, strict=True)]
    return EnrolledEach.model_validate({"faces": told})


class _Asked(NamedTuple):
    """What both ways to enrol are asked for."""

    images: list[UploadFile]
    select: Selection
    aligned: bool
    require_quality: bool
    allow_duplicate: bool
    partial: bool
    consent: NewConsent | None


async def _enrol(
    running: Running,
    response: Response,
    collection: str,
    asked: _Asked,
    key: str | None,
    *,
    name: str | None = None,
    person_id: str | None = None,
    external_id: str | None = None,
) -> Enrolled:
    photos = await read_images(asked.images, running.settings)
    once = None
    if key is not None:
        whose = [name, person_id] if external_id is None else [name, person_id, external_id]
        given = None if asked.consent is None else list(map(str, astuple(asked.consent)))
        options = [*asked[1:-1], given]
        once = Once(key, await run_in_threadpool(fingerprint, whose, options, photos))
        done = await run_in_threadpool(running.gallery.answered, collection, once)
        if done is not None:
            return enrolled(response, done)
    found = await running.each_face(
        photos,
        select=asked.select,
        aligned=asked.aligned,
        require_quality=asked.require_quality,
    )
    origin = running.pipeline.provenance
    images = [
        face if isinstance(face, ArcidError) else new_face(face, file.filename or "", origin)
        for file, face in zip(asked.images, found, strict=True)
    ]
    done = await running.writes.run(
        running.gallery.enrol_images,
        collection,
        images,
        name=name,
        person_id=person_id,
        external_id=external_id,
        decide=None if asked.allow_duplicate else running.pipeline.duplicate,
        partial=asked.partial,
        once=once,
        consent=asked.consent,
    )
    return enrolled(response, done)


def fingerprint(whose: Sequence[Any], options: Sequence[Any], photos: Sequence[bytes]) -> str:
    """sha256 over all that a request asks for; file names are no part of it."""
    digests = [hashlib.sha256(photo).hexdigest() for photo in photos]
    return hashlib.sha256(json.dumps([whose, options, digests]).encode()).hexdigest()


def enrolled(response: Response, done: Enrolment) -> Enrolled:
    if done.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return Enrolled.model_validate(done)


def _told(one: Enrolment | ArcidError) -> dict[str, Any]:
    if isinstance(one, ArcidError):
        return {"person": None, "face_id": None, "error": asdict(Refused.of(one))}
    return {"person": one.person.to_dict(), "face_id": one.faces[0].id, "error": None}
