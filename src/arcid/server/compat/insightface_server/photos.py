"""Photos that are looked at and not kept, and the search of a collection."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

import arcid
from arcid.errors import NoFaceFound
from arcid.results import Faces
from arcid.server.compat.adapter import there
from arcid.server.compat.insightface_server.refusals import refusal
from arcid.server.compat.insightface_server.telling import (
    Told,
    observations,
    person_told,
    summary,
    told,
)
from arcid.server.deps import CollectionPath, Running
from arcid.server.uploads import UploadRoute

PREFIX = "/compat/insightface-server"
Threshold = Annotated[float | None, Form(ge=0, le=1, allow_inf_nan=False)]
Image = Annotated[UploadFile, File()]
Meant = Annotated[str | None, Form()]  # whose detection profile; arcid has one


class LookRoute(UploadRoute):
    """A body and no change."""

    reads_only = True


async def no_override(request: Request) -> None:
    """Raises ``HttpError`` for what a collection's profile decides."""
    form = await request.form()
    if "min_score" in form or "face_selection" in form:
        raise refusal(
            400, "request_detection_override_not_supported",
            "the detector and the choice of a face are those of the service",
        )  # fmt: skip


router = APIRouter(
    prefix=f"{PREFIX}/v1",
    route_class=LookRoute,
    include_in_schema=False,
    dependencies=[Depends(no_override)],
)
health = APIRouter(prefix=f"{PREFIX}/v1", include_in_schema=False, route_class=LookRoute)


@health.get("/health", name="insightface_health")
async def ready(request: Request, running: Running) -> Response:
    """Whether keys are needed, and that the gallery answers."""
    settings = running.settings
    needed = bool(settings.api_keys or settings.exposed or running.keys)
    running.pulse.check()
    version = {"version": arcid.__version__}
    return told(request, {"status": "ready", "auth_enabled": needed, **version})


@router.post("/detect", name="insightface_detect")
async def detect(
    request: Request,
    running: Running,
    image: Image,
    max_faces: Annotated[int, Form(ge=1, le=100)] = 100,
    collection_id: Meant = None,
) -> Response:
    """Every face, the largest first."""
    started = time.perf_counter()
    found = await running.detect(image, select="all")
    return _timed(request, started, {"faces": _largest_first(observations(found))[:max_faces]})


@router.post("/compare", name="insightface_compare")
async def compare(
    request: Request,
    running: Running,
    source: Image,
    target: Image,
    threshold: Threshold = None,
    collection_id: Meant = None,
) -> Response:
    """The largest faces of two photos; without a threshold at a false match rate of 1e-4."""
    started = time.perf_counter()
    one, other = await running.faces([source, target], select="largest")
    _require(one, other)
    decision = running.pipeline.verify_faces(one[0], other[0], allow_extrapolation=True).decision
    running.looks.compared("photos", [decision])
    least = decision.cosine_threshold if threshold is None else threshold
    cosine = decision.cosine or 0.0
    body = {
        "matched": cosine >= least,
        "similarity": round(cosine, 6),
        "threshold": round(least, 6),
        "source_face": observations(one)[0],
        "target_face": observations(other)[0],
    }
    return _timed(request, started, body)


@router.post("/embeddings", name="insightface_embeddings")
async def embeddings(
    request: Request, running: Running, image: Image, collection_id: Meant = None
) -> Response:
    """The vector of the largest face."""
    started = time.perf_counter()
    (found,) = await running.faces([image], select="largest")
    _require(found)
    face = observations(found)[0] | {"embedding": found.embeddings.vectors[0].tolist()}
    return _timed(request, started, {"faces": [face], "model": summary(running)})


@router.post("/collections/{collection}/search", name="insightface_search")
async def search(
    request: Request,
    running: Running,
    collection: CollectionPath,
    image: Image,
    limit: Annotated[int, Form(ge=1, le=100)] = 5,
    threshold: Threshold = None,
) -> Response:
    """Who the largest face is; without a threshold at a false positive identification rate of 0.01
    for the collection's size, extrapolated where the calibration's data ends."""
    started = time.perf_counter()
    await run_in_threadpool(running.gallery.collection, collection)
    (found,) = await running.faces([image], select="largest")
    _require(found)
    (answer,) = await run_in_threadpool(
        running.identify, found, collection, k=limit, unsupported="extrapolate"
    )
    least = answer.decision.cosine_threshold if threshold is None else threshold

    def matches() -> list[Told]:
        return [
            {
                "person": person_told(person),
                "similarity": round(match.cosine, 6),
                "matched_face_id": match.face_id,
            }
            for match in answer.candidates
            if match.cosine >= least
            and (person := there(running.gallery.person, collection, match.person_id))
        ]

    body = {
        "matches": await run_in_threadpool(matches),
        "threshold": round(least, 6),
        "searched_face": observations(found)[0],
    }
    return _timed(request, started, body)


def _require(*photos: Faces) -> None:
    if not all(map(len, photos)):
        raise NoFaceFound("no face was found in the photo; use one that shows a face clearly")


def _largest_first(faces: list[Told]) -> list[Told]:
    def area(face: dict[str, Any]) -> float:
        sides = face["bbox"]["normalized"]
        return -float(sides["width"] * sides["height"])

    return sorted(faces, key=area)


def _timed(request: Request, started: float, body: Told) -> Response:
    took = round((time.perf_counter() - started) * 1000, 3)
    return told(request, body | {"processing_ms": took})
