"""Persons of a collection."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Form, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.responses import Response

from arcid.errors import AlreadyExists, PersonNotFound
from arcid.gallery import Enrolment, Gallery, Page, Person
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
from arcid.server.compat.insightface_server.telling import (
    OWN,
    Told,
    face_told,
    person_of,
    person_told,
    told,
)
from arcid.server.deps import CollectionPath, Running

router = APIRouter(
    prefix=f"{PREFIX}/v1/collections/{{collection}}/persons",
    include_in_schema=False,
    route_class=RegisterRoute,
)
Short = Annotated[str, StringConstraints(max_length=200)]
EXTERNAL = "external_id"
READ_AT_ONCE = 1000  # people, by a search
T = TypeVar("T")


class Changes(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Short | None = None
    external_id: Short | None = None
    metadata: dict[str, Any] | None = None


@router.post("", name="insightface_create_person")
async def create(
    request: Request,
    running: Running,
    collection: CollectionPath,
    images: Images,
    id: Annotated[str | None, Form()] = None,
    name: Annotated[str | None, Form(max_length=200)] = None,
    external_id: Annotated[str | None, Form(max_length=200)] = None,
    metadata: Annotated[str, Form()] = "{}",
    review_mode: Review = "off",
    embedding_mode: Mode = "server",
    external_embeddings: Vectors = None,
    embedding_contract_id: Contract = None,
) -> Response:
    """A person with what can be registered of the images; none at all is an error."""
    person_id = id or str(uuid.uuid4())
    if not _is_id(person_id):
        raise refusal(400, "invalid_person_id", "an id has 1 to 64 letters, digits, . _ and -")
    own = {**_object(metadata), OWN: {"name": name, EXTERNAL: external_id}}
    gallery = running.gallery
    await run_in_threadpool(_refuse_known, gallery, collection, person_id)
    new = await faces_of(
        request, running, images, review_mode, embedding_mode, external_embeddings,
        embedding_contract_id,
    )  # fmt: skip

    def enrol(called: str) -> Enrolment:
        try:
            return registered(
                running, collection, images, new, review_mode,
                name=called, external_id=person_id, metadata=own, fresh=True,
            )  # fmt: skip
        except AlreadyExists:
            _refuse_known(gallery, collection, person_id)
            raise

    done = await running.writes.run(_under_a_name, name, person_id, enrol)
    body = {
        "person": person_told(done.person),
        "faces": [face_told(face, person_id) for face in done.faces],
        "rejected_images": rejected(images, done.results),
    }
    return told(request, body, 201)


@router.get("", name="insightface_list_persons")
def listed(
    request: Request,
    running: Running,
    collection: CollectionPath,
    limit: Limit = 50,
    cursor: str | None = None,
    search: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    if search is not None and search.strip():
        page = _searched(running.gallery, collection, search.strip(), limit, cursor)
    else:
        page = running.gallery.people(collection, limit=limit, after=cursor)
    return told(request, {"persons": [*map(person_told, page)], "next_cursor": page.next})


@router.get("/{person}", name="insightface_get_person")
def get(request: Request, running: Running, collection: CollectionPath, person: str) -> Response:
    found = person_of(running.gallery, collection, person)
    return told(request, {"person": person_told(found)})


@router.patch("/{person}", name="insightface_change_person")
async def change(
    request: Request, running: Running, collection: CollectionPath, person: str, body: Changes
) -> Response:
    given = body.model_dump(exclude_unset=True)
    if not given or given.get("metadata", {}) is None:
        raise refusal(400, "invalid_request", "say what is to be changed; metadata is an object")
    changed = await running.writes.run(_change, running.gallery, collection, person, given)
    return told(request, {"person": person_told(changed)})


@router.delete("/{person}", name="insightface_delete_person")
def delete(running: Running, collection: CollectionPath, person: str) -> Response:
    found = person_of(running.gallery, collection, person)
    running.gallery.delete_person(collection, found.id)
    return Response(status_code=204)


def _searched(
    gallery: Gallery, collection: str, search: str, limit: int, after: str | None
) -> Page[Person]:
    """Whose id, name or external id, as clients are told them, has a text in it, whatever its
    case. A page may hold fewer than asked for, and another one follow."""
    wanted, found, size = search.casefold(), list[Person](), max(limit, READ_AT_ONCE)
    while True:
        page = gallery.people(collection, limit=size, after=after)
        meant = [one for one in page if _has(person_told(one), wanted)]
        if len(found) + len(meant) <= limit:
            found += meant
            after = page.next
            if after is None or len(found) == limit:
                return Page(found, after)
        elif size > limit:
            size = limit
        else:  # the next page begins with these
            return Page(found, after)


def _has(person: Told, wanted: str) -> bool:
    texts = (person[key] for key in ("id", "name", EXTERNAL))
    return any(text is not None and wanted in text.casefold() for text in texts)


def _refuse_known(gallery: Gallery, collection: str, person_id: str) -> None:
    gallery.collection(collection)
    try:
        person_of(gallery, collection, person_id)
    except PersonNotFound:
        return
    raise refusal(409, "person_exists", "there is a person of that id already")


def _under_a_name(name: str | None, person_id: str, write: Callable[[str], T]) -> T:
    """Names are one person's here whatever their case, and any number's there."""
    wanted = (name or "").strip() or person_id
    begun = wanted[:120]
    for called in (wanted, f"{begun} ({person_id})"):
        with suppress(AlreadyExists):
            return write(called)
    return write(f"{begun} ({uuid.uuid4().hex})")


def _change(gallery: Gallery, collection: str, person: str, given: Mapping[str, Any]) -> Person:
    found = person_of(gallery, collection, person)
    kept = {key: value for key, value in found.metadata.items() if key != OWN}
    own: Told = {"name": found.name, EXTERNAL: None, **found.metadata.get(OWN, {})}
    own |= {key: given[key] for key in ("name", EXTERNAL) if key in given}
    metadata = {**given.get("metadata", kept), OWN: own}

    def write(called: str | None) -> Person:
        return gallery.update_person(collection, found.id, name=called, metadata=metadata)

    if "name" not in given:
        return write(None)
    return _under_a_name(given["name"], found.external_id or found.id, write)


def _is_id(text: str) -> bool:
    plain = text.replace(".", "").replace("_", "").replace("-", "")
    return 1 <= len(text) <= 64 and text[0].isalnum() and text.isascii() and plain.isalnum()


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise refusal(400, "invalid_metadata", "metadata must be a JSON object")
    return value
