"""Single photos, nothing stored: detect, embed, compare."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.concurrency import run_in_threadpool

from arcid.decide import DEFAULT_FMR
from arcid.server import schemas
from arcid.server.deps import Running
from arcid.server.routes._common import UPLOAD, Aligned, Image, Marked, Select, errors
from arcid.server.schemas import (
    Compared,
    ComparedFaces,
    Detected,
    Embedded,
    FaceVector,
    LivenessOut,
)
from arcid.server.uploads import UploadRoute

router = APIRouter(tags=["photos"], route_class=UploadRoute)


@router.post("/v1/detect", responses=errors(*UPLOAD, 503), response_model_exclude_unset=True)
async def detect(
    running: Running, image: Image, select: Select = "all", landmarks: Marked = False
) -> Detected:
    """Where are the faces, and can they be used?"""
    running.check_landmarks(landmarks)
    found = await running.detect(image, select=select)
    return Detected.model_validate(found.to_dict(landmarks=landmarks))


@router.post("/v1/embeddings", responses=errors(*UPLOAD, 503), response_model_exclude_unset=True)
async def embeddings(
    running: Running,
    image: Image,
    select: Select = "all",
    aligned: Aligned = False,
    landmarks: Marked = False,
) -> Embedded:
    """One unit vector per face, with the contract of the model that made it."""
    running.check_landmarks(landmarks)
    (faces,) = await running.faces([image], select=select, aligned=aligned)
    embedder = running.pipeline.embedder
    return Embedded(
        model=running.pipeline.provenance["model"],
        contract_id=embedder.contract_id,
        dim=embedder.dim,
        faces=[
            FaceVector(**told, vector=vector.tolist())
            for told, vector in zip(
                faces.to_dict(landmarks=landmarks)["faces"], faces.embeddings.vectors, strict=True
            )
        ],
    )


@router.post("/v1/compare", responses=errors(*UPLOAD, 503))
async def compare(
    running: Running,
    image_a: Image,
    image_b: Image,
    fmr: Annotated[schemas.Rate, Form(description="Target false match rate.")] = DEFAULT_FMR,
    select: Select = "prominent",
    aligned: Aligned = False,
    extrapolate: Annotated[
        bool, Form(description="Allow rates beyond what the calibration's data supports.")
    ] = False,
) -> Compared:
    """Do two photos show one person, at a false match rate of your choice?"""
    (_, a), (_, b) = await running.one_face_each([image_a, image_b], select=select, aligned=aligned)
    answer = await run_in_threadpool(
        running.pipeline.verify_faces, a, b, fmr=fmr, allow_extrapolation=extrapolate
    )
    running.looks.compared("photos", [answer.decision])
    return Compared.model_validate(answer)


@router.post("/v1/compare/faces", responses=errors(*UPLOAD, 503))
async def compare_faces(
    running: Running,
    image_a: Image,
    image_b: Image,
    fmr: Annotated[schemas.Rate, Form(description="Target false match rate.")] = DEFAULT_FMR,
    select: Select = "prominent",
    extrapolate: Annotated[
        bool, Form(description="Allow rates beyond what the calibration's data supports.")
    ] = False,
) -> ComparedFaces:
    """Is the face of the first photo, by `select`, one of all those of the second?"""
    ((_, face),) = await running.one_face_each([image_a], select=select)
    (others,) = await running.faces([image_b])
    found = await run_in_threadpool(
        running.pipeline.verify_each, face, others, fmr=fmr, allow_extrapolation=extrapolate
    )
    running.looks.compared("photos", [one.decision for one in found])
    told = [{**one.decision.to_dict(), "face": one.b.to_dict()} for one in found]
    return ComparedFaces.model_validate({"a": face.to_dict(), "faces": told})


@router.post("/v1/liveness", responses=errors(*UPLOAD, 503))
async def liveness(running: Running, image: Image, select: Select = "all") -> LivenessOut:
    """Is each face alive, or a print or a screen held before the camera? Send the whole photo as
    the camera took it. Needs models that are installed apart (`model_not_found`)."""
    return LivenessOut(**await running.living(image, select=select))
