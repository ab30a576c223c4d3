"""Faces of subjects: added, listed, looked at, deleted, compared with one of them."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from arcid.apps.enrol import new_face
from arcid.errors import AlreadyExists, FaceNotFound, PossibleDuplicate
from arcid.gallery import Gallery, NewFace, StoredFace
from arcid.server.compat.adapter import owners
from arcid.server.compat.compreface.asking import (
    INTEGERS,
    PREFIX,
    Asked,
    Collection,
    allowed,
    json_of,
    photos_of,
)
from arcid.server.compat.compreface.refusals import refusal
from arcid.server.compat.compreface.telling import (
    chosen,
    face_id,
    image_id,
    only,
    result,
    similarity,
    size_of,
    told,
)
from arcid.server.deps import Running, Services
from arcid.server.errors import HttpError
from arcid.server.routes._common import require_crops
from arcid.server.uploads import UploadRoute
from arcid.types import Embeddings

MOST = 1000  # faces of a page
ELSEWHERE = "so by arcid's own REST, with allow_duplicate=true: this protocol cannot"
router = APIRouter(
    prefix=f"{PREFIX}/recognition/faces", route_class=UploadRoute, include_in_schema=False
)


@router.post("", status_code=201, name="compreface_add_face")
@router.post("/", status_code=201, name="compreface_add_face")
async def add(
    request: Request, running: Running, options: Asked, collection: Collection
) -> dict[str, str]:
    """A face of a subject, who is made where there is none of that name."""
    subject = request.query_params.get("subject")
    if subject is None:
        raise refusal(33, "Required parameter subject is missing")
    if not subject.strip():
        raise refusal(26, "Subject name cannot be empty")
    name = allowed(subject)
    photos = await photos_of(request, "file")
    (faces,) = await running.faces_in(photos, aligned=not options.detect_faces, photo_ids=True)
    face = only(faces, options)
    face.check_quality()
    new = new_face(face, "", running.pipeline.provenance)
    return await running.writes.run(_enrol, running, collection, name, new)


@router.get("", name="compreface_faces")
@router.get("/", name="compreface_faces")
def listed(
    running: Running,
    collection: Collection,
    page: int = 0,
    size: int = 20,
    subject: str | None = None,
) -> dict[str, Any]:
    """A page of faces, oldest first."""
    if not (0 <= page < INTEGERS and 1 <= size <= MOST):
        raise refusal(26, f"page should be from 0 to {INTEGERS - 1}, size from 1 to {MOST}; ")
    person = None if subject is None else running.gallery.find_person(collection, subject)
    total = running.gallery.collection(collection).faces if subject is None else 0
    faces: list[dict[str, str]] = []
    if person is not None or subject is None:
        total = person.faces if person else total
        only = None if person is None else person.id
        found = running.gallery.faces(collection, only, limit=size, skip=page * size)
        faces = [
            {"image_id": image_id(face.id), "subject": owner.name}
            for face, owner in owners(running.gallery, collection, found)
        ]
    return {
        "faces": faces,
        "page_number": page,
        "page_size": size,
        "total_pages": -(-total // size),
        "total_elements": total,
    }


@router.delete("", name="compreface_delete_faces")
def delete_all(
    running: Running, collection: Collection, subject: str | None = None
) -> dict[str, int]:
    """All faces of a subject, who may be nobody, or of everybody; the subjects stay."""
    gallery = running.gallery
    if subject is not None and not subject.strip():
        raise refusal(26, "Subject name is empty")
    person = None if subject is None else gallery.find_person(collection, subject)
    if subject is not None and person is None:
        return {"deleted": 0}
    deleted = 0
    for face in gallery.faces(collection, None if person is None else person.id):
        with suppress(FaceNotFound):  # by another request
            gallery.delete_face(collection, face.id)
            deleted += 1
    return {"deleted": deleted}


@router.post("/delete", name="compreface_delete_listed")
async def delete_listed(
    request: Request, running: Running, collection: Collection
) -> list[dict[str, str]]:
    """Those of a list that are there."""
    ids = await json_of(request)
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise refusal(26, "the body must be a JSON list of image ids")
    return await running.writes.run(_delete_listed, running.gallery, collection, ids)


@router.delete("/", name="compreface_delete_face")
async def delete_unnamed() -> None:
    """Never all of them: what a client sends for an empty image id."""
    raise refusal(26, "Image id cannot be empty")


@router.delete("/{image}", name="compreface_delete_face")
def delete(running: Running, collection: Collection, image: str) -> dict[str, str]:
    """One face."""
    return _delete(running.gallery, collection, image)


@router.get("/{image}/img", name="compreface_image")
def picture(running: Running, collection: Collection, image: str) -> Response:
    """The aligned crop as PNG, where the collection keeps crops."""
    from PIL import Image as Pil

    require_crops(running, collection)
    face = stored_face(running.gallery, collection, image)
    crop = running.gallery.face_crop(collection, face.id)
    if crop is None:
        raise refusal(44, "no crop of this face was kept; the collection's keep_crops decides", 404)
    running.looks.note("face.view", f"face:{face.id}", collection)
    buffer = io.BytesIO()
    Pil.fromarray(crop).save(buffer, "PNG")
    return Response(buffer.getvalue(), media_type="application/octet-stream")


@router.post("/{image}/verify", name="compreface_verify_face")
async def verify(
    request: Request, running: Running, options: Asked, collection: Collection, image: str
) -> dict[str, Any]:
    """Every face of a photo, compared with one that is enrolled."""
    stored, name = await run_in_threadpool(stored_vector, running, collection, image)
    photos = await photos_of(request, "file")
    (faces,) = await running.faces_in(photos, aligned=not options.detect_faces)
    calibration = running.pipeline.calibration
    rows = []
    for face in chosen(faces, options):
        cosine = float(face.embedding.cosine(stored)[0, 0])
        said = told(face, size_of(faces), options)
        rows.append(said | {"subject": name, "similarity": similarity(calibration, cosine)})
    running.looks.likened("photos", len(rows), f"face:{face_id(image)}", collection)
    return result(rows, running, options)


def _enrol(running: Services, collection: str, name: str, face: NewFace) -> dict[str, str]:
    """The same photo again is answered with the face that it gave."""
    gallery = running.gallery
    try:
        done = gallery.enrol_images(
            collection, [face], name=name, decide=running.pipeline.duplicate
        )
        stored, owner = done.faces[0].id, done.person.name
    except PossibleDuplicate as doubt:
        raise refusal(43, doubt.message.replace(doubt.allow, ELSEWHERE)) from None
    except AlreadyExists as error:
        stored = str(error.details["face_id"])
        owner = gallery.person(collection, gallery.face(collection, stored).person_id).name
    return {"image_id": image_id(stored), "subject": owner}


def stored_face(gallery: Gallery, collection: str, image: str) -> StoredFace:
    """The face of an image id. Raises ``HttpError``."""
    try:
        return gallery.face(collection, face_id(image))
    except FaceNotFound:
        raise refusal(44, f"Image {image[:64]} not found", 404) from None


def stored_vector(running: Services, collection: str, image: str) -> tuple[Embeddings, str]:
    """The vector of an image id, and whose it is. Raises ``HttpError``, ``FaceNotFound``."""
    gallery = running.gallery
    face = stored_face(gallery, collection, image)
    name = gallery.person(collection, face.person_id).name
    return gallery.embedding(collection, face.id, running.contract_id), name


def _delete(gallery: Gallery, collection: str, image: str) -> dict[str, str]:
    face = stored_face(gallery, collection, image)
    owner = gallery.person(collection, face.person_id).name
    gallery.delete_face(collection, face.id)
    return {"image_id": image_id(face.id), "subject": owner}


def _delete_listed(gallery: Gallery, collection: str, images: list[str]) -> list[dict[str, str]]:
    deleted = []
    for image in images:
        with suppress(HttpError, FaceNotFound):
            deleted.append(_delete(gallery, collection, image))
    return deleted
