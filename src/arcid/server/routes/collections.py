"""Collections: sets of people that are searched as one."""

from __future__ import annotations

from fastapi import APIRouter, Response

from arcid.server.deps import CollectionPath, Limited, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import ERASED, After, Limit, erased, errors
from arcid.server.schemas import (
    CollectionIn,
    CollectionOut,
    CollectionPatch,
    Collections,
    ContractOut,
    Contracts,
)

router = APIRouter(prefix="/v1/collections", tags=["collections"], route_class=Route)


@router.post("", status_code=201, responses=errors(400, 409, 413, 503, 507))
def create_collection(running: Running, body: CollectionIn) -> CollectionOut:
    """Create an empty collection."""
    made = running.gallery.create_collection(
        body.name, keep_crops=body.keep_crops, metadata=body.metadata
    )
    return CollectionOut.model_validate(made)


@router.get("", responses=errors(503))
def list_collections(
    running: Running, limited: Limited, limit: Limit = 100, after: After = None
) -> Collections:
    """Collections by name with their sizes, a page at a time."""
    found = running.gallery.collections(limit=limit, after=after, within=limited)
    return Collections(
        collections=[CollectionOut.model_validate(c) for c in found], next=found.next
    )


@router.get("/{collection}", responses=errors(404, 503))
def get_collection(running: Running, collection: CollectionPath) -> CollectionOut:
    """One collection."""
    return CollectionOut.model_validate(running.gallery.collection(collection))


@router.patch("/{collection}", responses=errors(400, 404, 409, 413, 503, 507))
def change_collection(
    running: Running, collection: CollectionPath, body: CollectionPatch
) -> CollectionOut:
    """Rename it, or change its metadata or whether it keeps crops."""
    changed = running.gallery.update_collection(
        collection, new_name=body.name, keep_crops=body.keep_crops, metadata=body.metadata
    )
    return CollectionOut.model_validate(changed)


@router.delete(
    "/{collection}", status_code=204, response_model=None, responses=ERASED | errors(404, 503, 507)
)
def delete_collection(running: Running, collection: CollectionPath) -> Response:
    """Delete a collection with all its people and faces; `Arcid-Receipt` names the receipt."""
    return erased(running, running.gallery.delete_collection(collection))


@router.get("/{collection}/contracts", responses=errors(404, 503))
def list_contracts(running: Running, collection: CollectionPath) -> Contracts:
    """Which models embedded its faces: the progress of a model change."""
    return Contracts(
        contracts=[
            ContractOut(
                contract_id=usage.contract_id,
                model_name=usage.model_name,
                faces=usage.faces,
                people=usage.people,
                missing_people=usage.missing_people,
                current=usage.contract_id == running.contract_id,
            )
            for usage in running.gallery.contracts(collection)
        ]
    )
