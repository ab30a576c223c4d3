"""Who are they? Several photos or vectors at once, all against one state of the collection."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from arcid.apps.vectors import embedding_of
from arcid.decide import DEFAULT_FPIR
from arcid.errors import ArcidError, InvalidArray
from arcid.results import Faces
from arcid.server.deps import CollectionPath, Running, Services
from arcid.server.routes._common import UPLOAD, Aligned, Images, Select, WhereForm, errors
from arcid.server.routes.search import Fpir, How, K, SearchRoute, Unsupported_
from arcid.server.schemas import (
    ErrorBody,
    SearchedImage,
    SearchedImages,
    SearchedVector,
    SearchedVectors,
    VectorsSearchIn,
)
from arcid.server.uploads import read_images
from arcid.types import Embeddings

router = APIRouter(
    prefix="/v1/collections/{collection}/search", tags=["search"], route_class=SearchRoute
)


@router.post("/photos", responses=errors(*UPLOAD, 404, 409, 503))
async def search_photos(
    running: Running,
    collection: CollectionPath,
    image: Images,
    k: K = 5,
    fpir: Fpir = DEFAULT_FPIR,
    select: Select = "all",
    aggregate: How = "max",
    unsupported: Unsupported_ = "review",
    where: WhereForm = None,
    aligned: Aligned = False,
) -> SearchedImages:
    """Who of a collection is in several photos? For each an answer or an error."""
    await run_in_threadpool(running.gallery.collection, collection)
    photos = await running.faces_or_why(
        await read_images(image, running.settings), select=select, aligned=aligned
    )
    good = [photo for photo in photos if isinstance(photo, Faces)]
    found = iter(
        await run_in_threadpool(
            running.identify_photos,
            good,
            collection,
            k=k,
            fpir=fpir,
            aggregate=aggregate,
            unsupported=unsupported,
            where=where,
        )
    )
    results = [
        SearchedImage(image=i, faces=None, error=_said(photo))
        if isinstance(photo, ArcidError)
        else SearchedImage.model_validate({"image": i, "faces": next(found), "error": None})
        for i, photo in enumerate(photos)
    ]
    return SearchedImages(collection=collection, contract_id=running.contract_id, results=results)


@router.post("/embeddings", responses=errors(400, 404, 409, 413, 503))
def search_embeddings(
    running: Running, collection: CollectionPath, body: VectorsSearchIn
) -> SearchedVectors:
    """Whose vectors are they? For each an answer or an error; all of the model that runs here."""
    probes: list[Embeddings | InvalidArray] = []
    for vector in body.vectors:
        try:
            probes.append(embedding_of(vector, body.contract_id, running.pipeline.embedder))
        except InvalidArray as error:
            probes.append(error)
    good = [probe for probe in probes if isinstance(probe, Embeddings)]
    answers = running.pipeline.identify_embeddings(
        Embeddings.concatenate([_none(running), *good]),
        running.gallery,
        collection,
        k=body.k,
        fpir=body.fpir,
        aggregate=body.aggregate,
        unsupported=body.unsupported,
        where=body.where,
    )
    for answer in answers:
        running.looks.searched("vector", collection, [answer], body.fpir)
    found = iter(answers)
    results = [
        SearchedVector(vector=i, candidates=None, decision=None, error=_said(probe))
        if isinstance(probe, InvalidArray)
        else SearchedVector(vector=i, **next(found).to_dict(), error=None)
        for i, probe in enumerate(probes)
    ]
    return SearchedVectors(collection=collection, contract_id=body.contract_id, results=results)


def _none(running: Services) -> Embeddings:
    return Embeddings.empty(running.pipeline.embedder.dim, running.contract_id)


def _said(error: ArcidError) -> ErrorBody:
    return ErrorBody(code=error.code, message=error.message, details=error.details)
