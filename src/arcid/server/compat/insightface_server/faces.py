"""Faces of a person: added, listed, looked at, deleted."""

from __future__ import annotations

import io

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from arcid.errors import FaceNotFound
from arcid.gallery import Gallery
from arcid.server.compat.insightface_server.collections import Limit
from arcid.server.compat.insightface_server.photos import PREFIX
from arcid.server.compat.insightface_server.refusals import refusal
from arcid.server.compat.insightface_server.registering import (
    Contract,
    Images,
    Mode,
    RegisterRoute,
    Review,
    Vectors,
    faces_of,
    registered,
    rejected,
)
from arcid.server.compat.insightface_server.telling import face_told, person_of, told
from arcid.server.deps import CollectionPath, Running
from arcid.server.routes._common import require_crops

router = APIRouter(
    prefix=f"{PREFIX}/v1/collections/{{collection}}/persons/{{person}}/faces",
    include_in_schema=False,
    route_class=RegisterRoute,
)


@router.post("", name="insightface_add_faces")
async def add_faces(
    request: Request,
    running: Running,
    collection: CollectionPath,
    person: str,
    images: Images,
    review_mode: Review = "off",
    embedding_mode: Mode = "server",
    external_embeddings: Vectors = None,
    embedding_contract_id: Contract = None,
) -> Response:
    """What can be registered of the images; none at all is an error."""
    found = await run_in_threadpool(person_of, running.gallery, collection, person)
    new = await faces_of(
        request, running, images, review_mode, embedding_mode, external_embeddings,
        embedding_contract_id,
    )  # fmt: skip
    done = await running.writes.run(
        registered, running, collection, images, new, review_mode, person_id=found.id
    )
    body = {
        "faces": [face_told(face, person) for face in done.faces],
        "rejected_images": rejected(images, done.results),
    }
    return told(request, body, 201)


@router.get("", name="insightface_list_faces")
def list_faces(
    request: Request,
    running: Running,
    collection: CollectionPath,
    person: str,
    limit: Limit = 50,
    cursor: str | None = None,
) -> Response:
    found = person_of(running.gallery, collection, person)
    page = running.gallery.faces(collection, found.id, limit=limit, after=cursor)
    rows = [face_told(face, person) for face in page]
    return told(request, {"faces": rows, "next_cursor": page.next})


@router.delete("/{face}", name="insightface_delete_face")
def delete_face(running: Running, collection: CollectionPath, person: str, face: str) -> Response:
    _require_face(running.gallery, collection, person, face)
    running.gallery.delete_face(collection, face)
    return Response(status_code=204)


@router.get("/{face}/image", name="insightface_face_image")
def picture(running: Running, collection: CollectionPath, person: str, face: str) -> Response:
    """The aligned crop, where the collection keeps crops."""
    from PIL import Image as Pil

    require_crops(running, collection)
    _require_face(running.gallery, collection, person, face)
    crop = running.gallery.face_crop(collection, face)
    if crop is None:
        raise refusal(404, "face_image_not_found", "no crop of this face was kept")
    running.looks.note("face.view", f"face:{face}", collection)
    buffer = io.BytesIO()
    Pil.fromarray(crop).save(buffer, "JPEG", quality=95)
    return Response(buffer.getvalue(), media_type="image/jpeg")


def _require_face(gallery: Gallery, collection: str, person: str, face: str) -> None:
    owner = person_of(gallery, collection, person)
    if gallery.face(collection, face).person_id != owner.id:
        raise FaceNotFound("this person has no face of that id")
