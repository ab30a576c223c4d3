"""Photos that are looked at and not kept: who is in one, where faces are, whether two show one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from arcid.results import Identification, Prepared
from arcid.server.compat.compreface.asking import PREFIX, Asked, Collection, Options, photos_of
from arcid.server.compat.compreface.telling import (
    chosen,
    found,
    only,
    result,
    rows_of,
    similarity,
    size_of,
    told,
    versions,
)
from arcid.server.deps import Running, Services
from arcid.server.uploads import UploadRoute


class LookRoute(UploadRoute):
    """A body and no change."""

    reads_only = True


router = APIRouter(prefix=PREFIX, route_class=LookRoute, include_in_schema=False)


@router.get("/config", name="compreface_config")
async def config(running: Running) -> dict[str, int]:
    """What may be sent."""
    settings = running.settings
    return {
        "clientMaxFileSize": settings.max_upload_bytes,
        "clientMaxBodySize": settings.max_request_bytes,
    }


@router.post("/recognition/recognize", name="compreface_recognize")
async def recognize(
    request: Request, running: Running, options: Asked, collection: Collection
) -> dict[str, Any]:
    """Who is in a photo, nearest first; two faces of it are never one subject."""
    photos = await photos_of(request, "file")
    (faces,) = await running.faces_in(photos, aligned=not options.detect_faces)
    meant = chosen(faces, options)
    answers = await run_in_threadpool(
        running.identify, meant, collection, k=options.prediction_count
    )
    rows = []
    for one in answers:
        subjects = [
            {"subject": match.name, "similarity": _among(running, match.cosine, one)}
            for match in one.candidates
            if match.given_to is None
        ]
        rows.append(told(one.face, size_of(faces), options) | {"subjects": subjects})
    return result(rows, running, options)


@router.post("/detection/detect", name="compreface_detect")
async def detect(request: Request, running: Running, options: Asked) -> dict[str, Any]:
    """Where the faces of a photo are."""
    (photo,) = await photos_of(request, "file")
    if "calculator" in options.plugins:
        (faces,) = await running.faces_in([photo])
        size = size_of(faces)
        rows = [told(face, size, options) for face in chosen(faces, options)]
    else:
        rows = _detected(await running.detect_in(photo), options)
    return result(rows, running, options)


@router.post("/verification/verify", name="compreface_verify")
async def verify(request: Request, running: Running, options: Asked) -> dict[str, Any]:
    """The one face of the source against every face of the target, the likest first."""
    photos = await photos_of(request, "source_image", "target_image")
    source, target = await running.faces_in(photos)
    own, others = only(source, options), chosen(target, options)
    calibration = running.pipeline.calibration
    matches = []
    for other in others:
        cosine = float(own.embedding.cosine(other.embedding)[0, 0])
        likely = {"similarity": similarity(calibration, cosine)}
        matches.append(told(other, size_of(target), options) | likely)
    running.looks.likened("photos", len(matches))
    matches.sort(key=lambda match: -float(match["similarity"]))
    said: dict[str, Any] = {
        "source_image_face": told(own, size_of(source), options),
        "face_matches": matches,
    }
    if options.status:
        said["plugins_versions"] = versions(running)
    return {"result": [said]}


def _detected(prepared: Prepared, options: Options) -> list[dict[str, Any]]:
    seen = prepared.detections
    if seen is None:
        return []
    rows = []
    for row in rows_of(seen, options):
        points = None if seen.points is None else seen.points[row]
        quality = prepared.quality[row] if prepared.quality else None
        box = seen.boxes[row].tolist()
        score = float(seen.scores[row])
        rows.append(found(box, score, points, quality, seen.image_size, options))
    return rows


def _among(running: Services, cosine: float, answer: Identification) -> float:
    return similarity(running.pipeline.calibration, cosine, answer.decision.gallery_size)
