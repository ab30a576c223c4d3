"""Vectors of somebody else's keeping into a collection."""

from __future__ import annotations

from fastapi import APIRouter, Response

from arcid.apps.vectors import enrol_vectors
from arcid.gallery import Once
from arcid.server.deps import CollectionPath, PersonPath, Running, Services
from arcid.server.lanes import Route
from arcid.server.routes._common import IdempotencyKey, errors
from arcid.server.routes.enrolling import enrolled, fingerprint
from arcid.server.schemas import Enrolled, EnrolVectorsIn, VectorsIn

router = APIRouter(prefix="/v1/collections/{collection}", tags=["faces"], route_class=Route)


@router.post(
    "/enrol/embeddings", status_code=201, responses=errors(400, 404, 409, 413, 429, 503, 507)
)
def enrol_embeddings(
    running: Running,
    response: Response,
    collection: CollectionPath,
    body: EnrolVectorsIn,
    idempotency_key: IdempotencyKey = None,
) -> Enrolled:
    """Add vectors, as `/v1/embeddings` gives them, under a name; who is not there yet is created.
    All or none, unless `partial`. For keys trusted with vectors."""
    return _enrol(
        running, response, collection, body, idempotency_key, name=body.name,
        external_id=body.external_id,
    )  # fmt: skip


@router.post(
    "/people/{person_id}/faces/embeddings",
    status_code=201,
    responses=errors(400, 404, 409, 413, 429, 503, 507),
)
def add_embeddings(
    running: Running,
    response: Response,
    collection: CollectionPath,
    person_id: PersonPath,
    body: VectorsIn,
    idempotency_key: IdempotencyKey = None,
) -> Enrolled:
    """Add vectors to a person. All or none, unless `partial`. For keys trusted with vectors."""
    return _enrol(running, response, collection, body, idempotency_key, person_id=person_id)


def _enrol(
    running: Services,
    response: Response,
    collection: str,
    body: VectorsIn,
    key: str | None,
    *,
    name: str | None = None,
    person_id: str | None = None,
    external_id: str | None = None,
) -> Enrolled:
    once = None
    if key is not None:
        once = Once(key, fingerprint([name, person_id], [], [body.model_dump_json().encode()]))
    done = enrol_vectors(
        running.pipeline,
        running.gallery,
        collection,
        body.vectors,
        body.contract_id,
        name=name,
        person_id=person_id,
        external_id=external_id,
        source=body.source,
        allow_duplicate=body.allow_duplicate,
        partial=body.partial,
        consent=body.agreed(),
        once=once,
    )
    return enrolled(response, done)
