"""Vectors in place of photos. They need the contract that they are of: ``?contract_id=``."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from arcid.apps.vectors import embedding_of
from arcid.decide import DEFAULT_FPIR
from arcid.server.compat.adapter import numbers
from arcid.server.compat.compreface.asking import PREFIX, Asked, Collection, Options, json_of
from arcid.server.compat.compreface.examples import stored_vector
from arcid.server.compat.compreface.refusals import refusal
from arcid.server.compat.compreface.telling import face_id, similarity
from arcid.server.deps import Running, Services
from arcid.server.lanes import Route
from arcid.types import Embeddings

MOST = 100  # of a request


class VectorRoute(Route):
    """A body and no change."""

    reads_only = True


router = APIRouter(prefix=PREFIX, route_class=VectorRoute, include_in_schema=False)


@router.post("/recognition/embeddings/recognize", name="compreface_recognize_vectors")
async def recognize(
    request: Request, running: Running, options: Asked, collection: Collection
) -> dict[str, Any]:
    """Whose vectors are these?"""
    (probes,) = await _given(request, running, "embeddings")
    return await run_in_threadpool(_recognized, running, collection, probes, options)


@router.post("/recognition/embeddings/faces/{image}/verify", name="compreface_verify_face_vectors")
async def verify_face(
    request: Request, running: Running, collection: Collection, image: str
) -> dict[str, Any]:
    """Vectors against an enrolled face, the likest first."""
    stored, _ = await run_in_threadpool(stored_vector, running, collection, image)
    (probes,) = await _given(request, running, "embeddings")
    return _compared(running, stored, probes, f"face:{face_id(image)}", collection)


@router.post("/verification/embeddings/verify", name="compreface_verify_vectors")
async def verify(request: Request, running: Running) -> dict[str, Any]:
    """One vector against others, the likest first."""
    source, targets = await _given(request, running, "source", "targets")
    return _compared(running, source.embeddings, targets)


class Given(NamedTuple):
    """Vectors of a request, as they were sent and as they are compared."""

    rows: list[list[float]]
    embeddings: Embeddings

    def __repr__(self) -> str:
        return f"Given({self.embeddings!r})"


async def _given(request: Request, running: Services, *fields: str) -> list[Given]:
    embedder = running.pipeline.embedder
    contract = request.query_params.get("contract_id")
    if contract is None:
        raise refusal(
            26,
            "say of which model the vectors are, as contract_id in the query: vectors of two "
            f"models are never comparable, and this service runs {embedder.contract_id}",
        )
    body = await json_of(request)
    found = []
    for field in fields:
        rows = [numbers(row, embedder.dim) for row in _rows(body, field)]
        each = [embedding_of(row, contract, embedder) for row in rows]
        found.append(Given(rows, Embeddings.concatenate(each)))
    return found


def _rows(body: Any, field: str) -> list[Any]:
    rows = body.get(field) if isinstance(body, dict) else None
    if field == "source":
        rows = [rows]
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST:
        raise refusal(37, f"{field} should hold 1 to {MOST} embeddings")
    return rows


def _recognized(
    running: Services, collection: str, probes: Given, options: Options
) -> dict[str, Any]:
    answers = running.pipeline.identify_embeddings(
        probes.embeddings, running.gallery, collection, k=options.prediction_count
    )
    running.looks.searched("vector", collection, answers, DEFAULT_FPIR)
    calibration = running.pipeline.calibration
    rows = [
        {
            "embedding": row,
            "similarities": [
                {
                    "subject": match.name,
                    "similarity": similarity(
                        calibration, match.cosine, answer.decision.gallery_size
                    ),
                }
                for match in answer.candidates
            ],
        }
        for row, answer in zip(probes.rows, answers, strict=True)
    ]
    return {"result": rows}


def _compared(
    running: Services, one: Embeddings, others: Given, subject: str = "", collection: str = ""
) -> dict[str, Any]:
    calibration = running.pipeline.calibration
    cosines = one.cosine(others.embeddings)[0].tolist()
    rows = [
        {"embedding": row, "similarity": similarity(calibration, cosine)}
        for row, cosine in zip(others.rows, cosines, strict=True)
    ]
    running.looks.likened("vectors", len(rows), subject, collection)
    return {"result": sorted(rows, key=lambda row: -float(row["similarity"]))}
