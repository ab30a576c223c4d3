"""Who is it? By photo, by vector, by person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.concurrency import run_in_threadpool

from arcid.apps.vectors import embedding_of
from arcid.decide import DEFAULT_FMR, DEFAULT_FPIR, Unsupported
from arcid.gallery import Aggregate
from arcid.results import Identified
from arcid.server import schemas
from arcid.server.deps import CollectionPath, PersonPath, Running
from arcid.server.routes._common import UPLOAD, Aligned, Image, Select, WhereForm, errors
from arcid.server.schemas import (
    IdentifiedFace,
    PersonSearchIn,
    PersonSearchOut,
    PersonVerified,
    SearchOut,
    VectorSearchIn,
    VectorSearchOut,
    VerifyVectorIn,
)
from arcid.server.uploads import UploadRoute


class SearchRoute(UploadRoute):
    """A search with a body changes nothing."""

    reads_only = True


router = APIRouter(
    prefix="/v1/collections/{collection}/search", tags=["search"], route_class=SearchRoute
)
people = APIRouter(
    prefix="/v1/collections/{collection}/people", tags=["search"], route_class=SearchRoute
)
K = Annotated[int, Form(ge=1, le=100, description="Candidates per face.")]
Fpir = Annotated[schemas.Rate, Form(description="Target false positive identification rate.")]
How = Annotated[
    Aggregate, Form(description="A person's score: the best face, or the mean of the best three.")
]
Unsupported_ = Annotated[
    Unsupported,
    Form(
        description="Where the calibration has no data for the rate and this gallery's size: leave "
        "it to a human, extrapolate, or raise an error."
    ),
]


@router.post("", responses=errors(*UPLOAD, 404, 409, 503))
async def search_photo(
    running: Running,
    collection: CollectionPath,
    image: Image,
    k: K = 5,
    fpir: Fpir = DEFAULT_FPIR,
    select: Select = "all",
    aggregate: How = "max",
    unsupported: Unsupported_ = "review",
    where: WhereForm = None,
    aligned: Aligned = False,
) -> SearchOut:
    """Who of a collection is in a photo? Two faces of it are never one person."""
    await run_in_threadpool(running.gallery.collection, collection)
    (faces,) = await running.faces([image], select=select, aligned=aligned)
    found = await run_in_threadpool(
        running.identify,
        faces,
        collection,
        k=k,
        fpir=fpir,
        aggregate=aggregate,
        unsupported=unsupported,
        where=where,
    )
    return SearchOut(
        collection=collection,
        contract_id=running.contract_id,
        faces=[IdentifiedFace.model_validate(one) for one in found],
    )


@router.post("/embedding", responses=errors(400, 404, 409, 413, 503))
def search_embedding(
    running: Running, collection: CollectionPath, body: VectorSearchIn
) -> VectorSearchOut:
    """Whose vector is it? It must be of the model that runs here."""
    probe = embedding_of(body.vector, body.contract_id, running.pipeline.embedder)
    (found,) = running.pipeline.identify_embeddings(
        probe,
        running.gallery,
        collection,
        k=body.k,
        fpir=body.fpir,
        aggregate=body.aggregate,
        unsupported=body.unsupported,
        where=body.where,
    )
    running.looks.searched("vector", collection, [found], body.fpir)
    return VectorSearchOut(collection=collection, contract_id=body.contract_id, **_answer(found))


@router.post("/person", responses=errors(400, 404, 409, 413, 503))
def search_person(
    running: Running, collection: CollectionPath, body: PersonSearchIn
) -> PersonSearchOut:
    """Who looks like this enrolled person? Finds people enrolled twice."""
    found = running.pipeline.identify_person(
        body.person_id,
        running.gallery,
        collection,
        k=body.k,
        fpir=body.fpir,
        unsupported=body.unsupported,
    )
    about = f"person:{body.person_id}"
    running.looks.searched("person", collection, [found], body.fpir, about)
    return PersonSearchOut(collection=collection, contract_id=running.contract_id, **_answer(found))


@people.post("/{person_id}/verify", responses=errors(*UPLOAD, 404, 503))
async def verify_person(
    running: Running,
    collection: CollectionPath,
    person_id: PersonPath,
    image: Image,
    fmr: Annotated[schemas.Rate, Form(description="Target false match rate.")] = DEFAULT_FMR,
    select: Select = "prominent",
    aligned: Aligned = False,
    extrapolate: Annotated[
        bool, Form(description="Allow rates beyond what the calibration's data supports.")
    ] = False,
) -> PersonVerified:
    """Is the face of a photo this enrolled person, at a false match rate of your choice?"""
    await run_in_threadpool(running.gallery.person, collection, person_id)
    ((_, face),) = await running.one_face_each([image], select=select, aligned=aligned)
    found = await run_in_threadpool(
        running.pipeline.verify_person_face,
        face,
        running.gallery,
        collection,
        person_id,
        fmr=fmr,
        allow_extrapolation=extrapolate,
    )
    running.looks.verified("photo", collection, person_id, found.decision)
    return PersonVerified.model_validate(found)


@people.post("/{person_id}/verify/embedding", responses=errors(400, 404, 409, 413, 503))
def verify_embedding(
    running: Running, collection: CollectionPath, person_id: PersonPath, body: VerifyVectorIn
) -> PersonVerified:
    """Is a vector this enrolled person's? It must be of the model that runs here."""
    found = running.pipeline.verify_person_embedding(
        embedding_of(body.vector, body.contract_id, running.pipeline.embedder),
        running.gallery,
        collection,
        person_id,
        fmr=body.fmr,
        allow_extrapolation=body.extrapolate,
    )
    running.looks.verified("vector", collection, person_id, found.decision)
    return PersonVerified.model_validate(found)


def _answer(found: Identified) -> dict[str, Any]:
    told = schemas.Identified.model_validate(found)
    return {"candidates": told.candidates, "decision": told.decision}
