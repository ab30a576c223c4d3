"""People of a collection."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from arcid.server.deps import CollectionPath, PersonPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import ERASED, After, Limit, erased, errors, where_of
from arcid.server.schemas import (
    MergeIn,
    People,
    PersonIn,
    PersonOut,
    PersonPatch,
    PersonPut,
    SplitIn,
)

router = APIRouter(prefix="/v1/collections/{collection}/people", tags=["people"], route_class=Route)


@router.post("", status_code=201, responses=errors(400, 404, 409, 413, 503, 507))
def add_person(running: Running, collection: CollectionPath, body: PersonIn) -> PersonOut:
    """Add a person without faces."""
    added = running.gallery.add_person(
        collection, body.name, metadata=body.metadata, external_id=body.external_id
    )
    return PersonOut.model_validate(added)


@router.get("", responses=errors(404, 503))
def list_people(
    running: Running,
    collection: CollectionPath,
    search: Annotated[
        str | None, Query(max_length=200, description="Part of a name, in any case.")
    ] = None,
    where: Annotated[
        str | None,
        Query(
            max_length=20_000,
            description="Only people whose metadata has these values, exactly: a JSON object.",
            examples=['{"site": "Berlin"}'],
        ),
    ] = None,
    external_id: Annotated[
        str | None, Query(max_length=200, description="Only who another system calls so.")
    ] = None,
    limit: Limit = 100,
    after: After = None,
) -> People:
    """People by name, a page at a time."""
    if external_id is not None:
        one = running.gallery.person_with(collection, external_id)
        return People(people=[] if one is None else [PersonOut.model_validate(one)], next=None)
    found = running.gallery.people(
        collection, search=search, where=where_of(where), limit=limit, after=after
    )
    return People(people=[PersonOut.model_validate(person) for person in found], next=found.next)


@router.put("", responses=errors(400, 404, 409, 413, 503, 507))
def put_person(
    running: Running,
    collection: CollectionPath,
    external_id: Annotated[
        str, Query(min_length=1, max_length=200, description="What another system calls them.")
    ],
    body: PersonPut,
) -> PersonOut:
    """The person of an external id, made or changed to have this name and metadata. The same again
    changes nothing."""
    person = running.gallery.put_person(collection, external_id, body.name, metadata=body.metadata)
    return PersonOut.model_validate(person)


@router.get("/{person_id}", responses=errors(404, 503))
def get_person(running: Running, collection: CollectionPath, person_id: PersonPath) -> PersonOut:
    """One person."""
    return PersonOut.model_validate(running.gallery.person(collection, person_id))


@router.patch("/{person_id}", responses=errors(400, 404, 409, 413, 503, 507))
def change_person(
    running: Running, collection: CollectionPath, person_id: PersonPath, body: PersonPatch
) -> PersonOut:
    """Rename a person, or replace the metadata or the external id."""
    changed = running.gallery.update_person(
        collection,
        person_id,
        name=body.name,
        metadata=body.metadata,
        external_id=body.external_id,
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
