"""Enrolled faces: add, list, look at, move, delete."""

from __future__ import annotations

import io
from typing import Annotated

from fastapi import APIRouter, Form, Response, UploadFile
from fastapi.concurrency import run_in_threadpool

from arcid.apps.enrol import new_face, provenance
from arcid.errors import FaceNotFound
from arcid.gallery import NewFace
from arcid.server import views
from arcid.server.deps import CollectionPath, FacePath, PersonPath, Running
from arcid.server.routes._common import (
    ERASED,
    UPLOAD,
    After,
    Aligned,
    AllowDuplicate,
    Images,
    Limit,
    RequireQuality,
    Select,
    erased,
    errors,
)
from arcid.server.schemas import Enrolled, FacesPage, MoveIn, PersonOut, StoredFaceOut, StoredFaces
from arcid.server.uploads import UploadRoute
from arcid.types import Selection

router = APIRouter(prefix="/v1/collections/{collection}", tags=["faces"], route_class=UploadRoute)


@router.post("/enrol", status_code=201, responses=errors(*UPLOAD, 404, 409, 503, 507))
async def enrol(
    running: Running,
    collection: CollectionPath,
    name: Annotated[str, Form(min_length=1, max_length=200, description="Of the person.")],
    image: Images,
    select: Select = "prominent",
    aligned: Aligned = False,
    require_quality: RequireQuality = True,
    allow_duplicate: AllowDuplicate = False,
) -> Enrolled:
    """Add faces under a name; who is not there yet is created. All images or none."""
    await run_in_threadpool(running.gallery.collection, collection)
    faces = await _new_faces(running, image, select, aligned, require_quality)
    decide = None if allow_duplicate else running.pipeline.duplicate
    person, stored = await run_in_threadpool(
        running.gallery.enrol, collection, name, faces, decide=decide
    )
    return Enrolled(
        person=PersonOut.model_validate(person), faces=[views.stored_face(f) for f in stored]
    )


@router.post(
    "/people/{person_id}/faces",
    status_code=201,
    responses=errors(*UPLOAD, 404, 409, 503, 507),
)
async def add_faces(
    running: Running,
    collection: CollectionPath,
    person_id: PersonPath,
    image: Images,
    select: Select = "prominent",
    aligned: Aligned = False,
    require_quality: RequireQuality = True,
    allow_duplicate: AllowDuplicate = False,
) -> StoredFaces:
    """Add faces to a person. All images or none."""
    await run_in_threadpool(running.gallery.person, collection, person_id)
    faces = await _new_faces(running, image, select, aligned, require_quality)
    decide = None if allow_duplicate else running.pipeline.duplicate
    stored = await run_in_threadpool(
        running.gallery.add_faces, collection, person_id, faces, decide=decide
    )
    return StoredFaces(faces=[views.stored_face(face) for face in stored])


@router.get("/people/{person_id}/faces", responses=errors(404, 503))
def list_faces(
    running: Running,
    collection: CollectionPath,
    person_id: PersonPath,
    limit: Limit = 100,
    after: After = None,
) -> FacesPage:
    """Faces of a person, oldest first, a page at a time."""
    found = running.gallery.faces(collection, person_id, limit=limit, after=after)
    return FacesPage(faces=[views.stored_face(face) for face in found], next=found.next)


@router.get("/faces/{face_id}", responses=errors(404, 503))
def get_face(running: Running, collection: CollectionPath, face_id: FacePath) -> StoredFaceOut:
    """One face."""
    return views.stored_face(running.gallery.face(collection, face_id))


@router.delete(
    "/faces/{face_id}",
    status_code=204,
    response_model=None,
    responses=ERASED | errors(404, 503, 507),
)
def delete_face(running: Running, collection: CollectionPath, face_id: FacePath) -> Response:
    """Delete a face with its vectors and its crop."""
    running.gallery.delete_face(collection, face_id)
    return erased(running)


@router.post("/faces/{face_id}/move", responses=errors(400, 404, 409, 413, 503, 507))
def move_face(
    running: Running, collection: CollectionPath, face_id: FacePath, body: MoveIn
) -> StoredFaceOut:
    """Give a face to another person."""
    moved = running.gallery.move_face(collection, face_id, body.person_id)
    return views.stored_face(moved)


@router.get(
    "/faces/{face_id}/crop",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, **errors(404, 503)},
)
def get_crop(running: Running, collection: CollectionPath, face_id: FacePath) -> Response:
    """The aligned crop as PNG, where the collection keeps crops."""
    from PIL import Image as Pil

    crop = running.gallery.face_crop(collection, face_id)
    if crop is None:
        raise FaceNotFound("no crop of this face was kept; the collection's keep_crops decides")
    buffer = io.BytesIO()
    Pil.fromarray(crop).save(buffer, "PNG")
    return Response(buffer.getvalue(), media_type="image/png")


async def _new_faces(
    running: Running,
    images: list[UploadFile],
    select: Selection,
    aligned: bool,
    require_quality: bool,
) -> list[NewFace]:
    found = await running.one_face_each(
        images, select=select, aligned=aligned, require_quality=require_quality
    )
    origin = provenance(running.pipeline)
    return [
        new_face(face, file.filename or "", origin)
        for file, (_, face) in zip(images, found, strict=True)
    ]
