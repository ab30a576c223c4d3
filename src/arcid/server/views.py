"""arcid's values as answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from arcid.calibration import Calibration
from arcid.gallery import Box as StoredBox
from arcid.gallery import StoredFace
from arcid.quality import Quality
from arcid.results import Faces, Identification, Prepared
from arcid.server import schemas
from arcid.types import Decision, Detections, Match


def face(found: Prepared | Faces, index: int) -> schemas.FaceOut:
    """One face of a photo."""
    return schemas.FaceOut(**_face(found.detections, found.quality, index))


def face_vector(found: Faces, index: int) -> schemas.FaceVector:
    """One face of a photo with its embedding."""
    return schemas.FaceVector(
        **_face(found.detections, found.quality, index),
        vector=found.embeddings.vectors[index].tolist(),
    )


def _face(detections: Detections | None, quality: Sequence[Quality], index: int) -> dict[str, Any]:
    if detections is None:
        return {"box": None, "points": None, "score": None, "quality": None}
    points = detections.points
    return {
        "box": box(tuple(map(float, detections.boxes[index]))),
        "points": None if points is None else [_pixels(point) for point in points[index]],
        "score": round(float(detections.scores[index]), 4),
        "quality": quality_out(quality[index]) if quality else None,
    }


def box(values: StoredBox | tuple[float, ...] | None) -> schemas.Box | None:
    """xyxy as named corners."""
    if values is None:
        return None
    x1, y1, x2, y2 = _pixels(values)
    return schemas.Box(x1=x1, y1=y1, x2=x2, y2=y2)


def quality_out(quality: Quality) -> schemas.QualityOut:
    """Measurements, and the reasons against the face."""
    measured = {k: v for k, v in quality.to_dict().items() if isinstance(v, float)}
    reasons = [schemas.ReasonOut.model_validate(reason.to_dict()) for reason in quality.reasons]
    return schemas.QualityOut(ok=quality.ok, reasons=reasons, measured=measured)


def decision(value: Decision) -> schemas.DecisionOut:
    return schemas.DecisionOut.model_validate(value)


def candidate(match: Match, calibration: Calibration | None) -> schemas.Candidate:
    """A gallery person, with what the cosine means where a calibration is known."""
    return schemas.Candidate(
        person_id=match.person_id,
        name=match.name,
        metadata=match.metadata,
        cosine=match.cosine,
        probability=calibration.probability(match.cosine) if calibration else None,
        fmr=calibration.stated_fmr(match.cosine) if calibration else None,
        face_id=match.face_id,
        faces=match.faces,
        given_to=match.given_to,
    )


def identified(
    photo: Faces, index: int, value: Identification, calibration: Calibration | None
) -> schemas.IdentifiedFace:
    """One probe face of a photo."""
    return schemas.IdentifiedFace(
        face=face(photo, index),
        candidates=[candidate(match, calibration) for match in value.candidates],
        decision=decision(value.decision),
    )


def stored_face(value: StoredFace) -> schemas.StoredFaceOut:
    """An enrolled face; its vectors stay in the gallery."""
    return schemas.StoredFaceOut(
        id=value.id,
        person_id=value.person_id,
        photo_id=value.photo_id,
        contract_ids=list(value.contract_ids),
        box=box(value.box),
        score=value.score,
        quality=value.quality,
        source=value.source,
        created_at=value.created_at,
        has_crop=value.has_crop,
    )


def _pixels(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(float(value), 2) for value in values)
