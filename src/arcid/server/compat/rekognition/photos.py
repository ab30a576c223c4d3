"""Photos that are looked at and not kept."""

from __future__ import annotations

from typing import Any

from fastapi.concurrency import run_in_threadpool

from arcid.results import Faces
from arcid.server.compat.adapter import decoded
from arcid.server.compat.rekognition import bodies
from arcid.server.compat.rekognition.refusals import PARAMETER, refusal
from arcid.server.compat.rekognition.telling import by_size, details, percent, poor
from arcid.server.deps import Services

TARGETS = 100  # faces of the target that are compared


async def photo_of(image: bodies.Picture) -> bytes:
    """Raises ``HttpError``, also for a picture that is elsewhere: arcid fetches nothing."""
    if image.S3Object is not None:
        raise refusal("InvalidS3ObjectException", "send the picture itself, as Bytes")
    if not image.Bytes:
        raise refusal(PARAMETER, "Image needs Bytes")
    try:
        return await run_in_threadpool(decoded, image.Bytes)
    except ValueError:
        raise refusal(PARAMETER, "Bytes must be base64") from None


def largest(faces: Faces, quality: bodies.Quality) -> Faces:
    """The face that a photo is searched by. Raises ``HttpError`` where there is none."""
    if faces.detections is None or not len(faces):
        raise refusal(PARAMETER, "There are no faces in the image")
    row = by_size(faces.detections)[0]
    if quality != "NONE" and (reasons := poor(faces[row])):
        raise refusal(PARAMETER, f"the quality of the face is too low: {', '.join(reasons)}")
    return faces[[row]]


async def detect(running: Services, asked: bodies.DetectFaces) -> dict[str, Any]:
    found = await running.detect_in(await photo_of(asked.Image))
    rows = [] if found.detections is None else by_size(found.detections)
    told = details(found)
    return {"FaceDetails": [told[row] for row in rows]}


async def compare(running: Services, asked: bodies.CompareFaces) -> dict[str, Any]:
    photos = [await photo_of(asked.SourceImage), await photo_of(asked.TargetImage)]
    source, target = await running.faces_in(photos)
    own = largest(source, asked.QualityFilter)
    (seen,) = details(own)
    calibration = running.pipeline.calibration
    matches: list[dict[str, Any]] = []
    others = []
    told = details(target)
    if target.detections is None or not len(target):
        raise refusal(PARAMETER, "There are no faces in the target image")
    for row in by_size(target.detections)[:TARGETS]:
        if asked.QualityFilter != "NONE" and poor(target[row]):
            continue
        cosine = float(own.embeddings.cosine(target.embeddings[row])[0, 0])
        similarity = percent(calibration, cosine)
        if similarity >= asked.SimilarityThreshold:
            matches.append({"Similarity": similarity, "Face": told[row]})
        else:
            others.append(told[row])
    running.looks.likened("photos", len(matches) + len(others))
    matches.sort(key=lambda match: -float(match["Similarity"]))
    return {
        "SourceImageFace": {name: seen[name] for name in ("BoundingBox", "Confidence")},
        "FaceMatches": matches,
        "UnmatchedFaces": others,
    }
