"""Collections: their id is the name of arcid's."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from arcid.errors import AlreadyExists
from arcid.server.compat.insightface_server.photos import PREFIX
from arcid.server.compat.insightface_server.refusals import refusal
from arcid.server.compat.insightface_server.telling import OWN, Told, collection_told, told
from arcid.server.deps import CollectionPath, Running
from arcid.server.lanes import Route

router = APIRouter(prefix=f"{PREFIX}/v1/collections", include_in_schema=False, route_class=Route)
Chosen = Annotated[str, StringConstraints(pattern=r"^(_default|[A-Za-z0-9][A-Za-z0-9._-]{0,63})$")]
Limit = Annotated[int, Query(ge=1, le=100)]
Cosine = Annotated[float, Field(ge=0, le=1)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class New(Body):
    """``threshold``, ``search`` and ``detection`` are taken and change nothing: see the page."""

    id: Chosen
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    metadata: dict[str, Any] = Field(default_factory=dict)
    save_face_crops: bool | None = None
    threshold: Cosine | None = None
    search: dict[str, Any] = Field(default_factory=dict)
    detection: dict[str, Any] = Field(default_factory=dict)


class Changes(Body):
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    description: Annotated[str, StringConstraints(max_length=2000)] | None = None
    metadata: dict[str, Any] | None = None
    save_face_crops: bool | None = None
    threshold: Cosine | None = None
    search: dict[str, Any] | None = None
    detection: dict[str, Any] | None = None


@router.post("", name="insightface_create_collection")
def create(request: Request, running: Running, body: New) -> Response:
    own = {"name": body.name, "description": body.description}
    try:
        made = running.gallery.create_collection(
            body.id, keep_crops=bool(body.save_face_crops), metadata={**body.metadata, OWN: own}
        )
    except AlreadyExists:
        message = "there is a collection of that id already"
        raise refusal(409, "collection_exists", message) from None
    return told(request, {"collection": collection_told(running, made)}, 201)


@router.get("", name="insightface_list_collections")
def listed(
    request: Request, running: Running, limit: Limit = 50, cursor: str | None = None
) -> Response:
    page = running.gallery.collections(limit=limit, after=cursor)
    rows = [collection_told(running, one) for one in page]
    return told(request, {"collections": rows, "next_cursor": page.next})


@router.get("/{collection}", name="insightface_get_collection")
def get(request: Request, running: Running, collection: CollectionPath) -> Response:
    found = running.gallery.collection(collection)
    return told(request, {"collection": collection_told(running, found)})


@router.patch("/{collection}", name="insightface_change_collection")
def change(
    request: Request, running: Running, collection: CollectionPath, body: Changes
) -> Response:
    given = body.model_dump(exclude_unset=True)
    if not given or None in given.values():
        raise refusal(400, "invalid_request", "say what is to be changed; null changes nothing")
    found = running.gallery.collection(collection)
    kept = {name: value for name, value in found.metadata.items() if name != OWN}
    own: Told = {"name": found.name, "description": "", **found.metadata.get(OWN, {})}
    own |= {name: given[name] for name in ("name", "description") if name in given}
    changed = running.gallery.update_collection(
        collection,
        keep_crops=body.save_face_crops,
        metadata={**given.get("metadata", kept), OWN: own},
    )
    return told(request, {"collection": collection_told(running, changed)})


@router.delete("/{collection}", name="insightface_delete_collection")
def delete(running: Running, collection: CollectionPath, force: bool = False) -> Response:
    if not force and running.gallery.collection(collection).people:
        raise refusal(409, "collection_not_empty", "it has people: say force=true to delete them")
    running.gallery.delete_collection(collection)
    return Response(status_code=204)
