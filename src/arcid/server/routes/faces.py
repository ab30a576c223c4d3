"""Enrolled faces: list, look at, move, delete."""

from __future__ import annotations

import io

from fastapi import APIRouter, Response

from arcid.errors import FaceNotFound
from arcid.server.deps import CollectionPath, FacePath, PersonPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import ERASED, After, Limit, erased, errors, require_crops
from arcid.server.schemas import FacesPage, MoveIn, StoredFaceOut

router = APIRouter(prefix="/v1/collections/{collection}", tags=["faces"], route_class=Route)


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
    return FacesPage(faces=[StoredFaceOut.model_validate(face) for face in found], next=found.next)


@router.get("/faces/{face_id}", responses=errors(404, 503))
def get_face(running: Running, collection: CollectionPath, face_id: FacePath) -> StoredFaceOut:
    """One face."""
    return StoredFaceOut.model_validate(running.gallery.face(collection, face_id))


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
    return StoredFaceOut.model_validate(moved)


@router.get(
    "/faces/{face_id}/crop",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, **errors(404, 503)},
)
def get_crop(running: Running, collection: CollectionPath, face_id: FacePath) -> Response:
    """The aligned crop as PNG, where the collection keeps crops."""
    from PIL import Image as Pil

    require_crops(running, collection)
    crop = running.gallery.face_crop(collection, face_id)
    if crop is None:
        raise FaceNotFound("no crop of this face was kept; the collection's keep_crops decides")
    running.looks.note("face.view", f"face:{face_id}", collection)
    buffer = io.BytesIO()
    Pil.fromarray(crop).save(buffer, "PNG")
    return Response(buffer.getvalue(), media_type="image/png")
