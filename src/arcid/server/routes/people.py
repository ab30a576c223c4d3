"""People of a collection."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from arcid.server.deps import CollectionPath, PersonPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import ERASED, After, Limit, erased, errors
from arcid.server.schemas import MergeIn, People, PersonIn, PersonOut, PersonPatch, SplitIn

router = APIRouter(prefix="/v1/collections/{collection}/people", tags=["people"], route_class=Route)


@router.post("", status_code=201, responses=errors(400, 404, 409, 413, 503, 507))
def add_person(running: Running, collection: CollectionPath, body: PersonIn) -> PersonOut:
    """Add a person without faces."""
    added = running.gallery.add_person(collection, body.name, metadata=body.metadata)
    return PersonOut.model_validate(added)


@router.get("", responses=errors(404, 503))
def list_people(
    running: Running,
    collection: CollectionPath,
    search: Annotated[
        str | None, Query(max_length=200, description="Part of a name, in any case.")
    ] = None,
    limit: Limit = 100,
    after: After = None,
) -> People:
    """People by name, a page at a time."""
    found = running.gallery.people(collection, search=search, limit=limit, after=after)
    return People(people=[PersonOut.model_validate(person) for person in found], next=found.next)


@router.get("/{person_id}", responses=errors(404, 503))
def get_person(running: Running, collection: CollectionPath, person_id: PersonPath) -> PersonOut:
    """One person."""
    return PersonOut.model_validate(running.gallery.person(collection, person_id))


@router.patch("/{person_id}", responses=errors(400, 404, 409, 413, 503, 507))
def change_person(
    running: Running, collection: CollectionPath, person_id: PersonPath, body: PersonPatch
) -> PersonOut:
    """Rename a person or replace the metadata."""
    changed = running.gallery.update_person(
        collection, person_id, name=body.name, metadata=body.metadata
    )
    return PersonOut.model_validate(changed)


@router.delete(
    "/{person_id}", status_code=204, response_model=None, responses=ERASED | errors(404, 503, 507)
)
def delete_person(running: Running, collection: CollectionPath, person_id: PersonPath) -> Response:
    """Delete a person with all faces; the header `Arcid-Receipt` names the receipt."""
    return erased(running, running.gallery.delete_person(collection, person_id))


@router.post("/{person_id}/merge", responses=errors(400, 404, 409, 413, 503, 507))
def merge_people(
    running: Running, collection: CollectionPath, person_id: PersonPath, body: MergeIn
) -> PersonOut:
    """Take over all faces of another person, who is then removed.

    Two people seen in one photo are never merged.
    """
    merged = running.gallery.merge_people(collection, person_id, body.other_id)
    return PersonOut.model_validate(merged)


@router.post("/{person_id}/split", status_code=201, responses=errors(400, 404, 409, 413, 503, 507))
def split_person(
    running: Running, collection: CollectionPath, person_id: PersonPath, body: SplitIn
) -> PersonOut:
    """Move some faces to a new person, who is the answer."""
    new = running.gallery.split_person(
        collection, person_id, body.face_ids, body.name, metadata=body.metadata
    )
    return PersonOut.model_validate(new)
