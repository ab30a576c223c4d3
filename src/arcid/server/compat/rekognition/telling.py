"""Faces, people and collections in Rekognition's words.

A face that was indexed and belongs to no user is a person of its own, marked so in the metadata,
who has more faces where another door adds or merges some. Everybody else is a user, by their name.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from arcid.calibration import Calibration
from arcid.gallery import Person, StoredFace
from arcid.quality import Quality
from arcid.results import Face, Faces, Prepared
from arcid.server.compat.adapter import likeness
from arcid.server.compat.rekognition.refusals import refusal
from arcid.types import Detections

UNASSOCIATED = "unassociated"  # in the metadata of a person that is no user
PLACE = "place"  # in a face's provenance: Left, Top, Width, Height
LANDMARKS = ("eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight")
REASONS = {
    "too_small": "SMALL_BOUNDING_BOX",
    "blurred": "LOW_SHARPNESS",
    "too_dark": "LOW_BRIGHTNESS",
    "turned_away": "EXTREME_POSE",
    "looking_up_down": "EXTREME_POSE",
    "tilted": "EXTREME_POSE",
    "low_detection_score": "LOW_CONFIDENCE",
}
POOR = "LOW_FACE_QUALITY"  # of whatever other reason
_PHOTO = re.compile(r"[0-9a-f]{32,}")


def public_id(face_id: str) -> str:
    """The id of a face, as a UUID is usually written."""
    return str(uuid.UUID(face_id))


def own_id(face_id: str) -> str:
    """The other way. Raises ``HttpError``: nothing else is the id of a face."""
    try:
        return uuid.UUID(face_id).hex
    except ValueError:
        raise refusal("ResourceNotFoundException", "there is no face of that id") from None


def percent(calibration: Calibration, cosine: float, among: int = 1) -> float:
    """Similarity, 0–100, to four digits."""
    return int(likeness(calibration, cosine, among) * 1e6) / 1e4


def by_size(found: Detections) -> list[int]:
    """Rows, the largest face first."""
    return [int(row) for row in np.argsort(-found.sizes.prod(axis=1), kind="stable")]


def place(box: Sequence[float], size: tuple[int, int]) -> dict[str, float]:
    """Shares of the photo, whose (height, width) is ``size``."""
    height, width = size
    x1, y1, x2, y2 = map(float, box)
    shares = {
        "Left": x1 / width, "Top": y1 / height,
        "Width": (x2 - x1) / width, "Height": (y2 - y1) / height,
    }  # fmt: skip
    return {name: round(share, 6) for name, share in shares.items()}


def details(seen: Faces | Prepared) -> list[dict[str, Any]]:
    """``FaceDetail`` of every face of a photo, in its order."""
    found = seen.detections
    if found is None:
        return []
    return [
        _detail(
            found.boxes[row].tolist(),
            float(found.scores[row]),
            None if found.points is None else found.points[row],
            seen.quality[row] if seen.quality else None,
            found.image_size,
        )
        for row in range(len(found))
    ]


def _detail(
    box: Sequence[float],
    score: float,
    points: Any,
    quality: Quality | None,
    size: tuple[int, int],
) -> dict[str, Any]:
    height, width = size
    told: dict[str, Any] = {
        "BoundingBox": place(box, size),
        "Confidence": round(100 * score, 4),
    }
    if points is not None:
        told["Landmarks"] = [
            {"Type": kind, "X": round(float(x) / width, 6), "Y": round(float(y) / height, 6)}
            for kind, (x, y) in zip(LANDMARKS, points, strict=True)
        ]
    if quality is not None:
        told["Quality"] = {
            "Brightness": round(100 * quality.brightness, 2),
            "Sharpness": round(100 * quality.sharpness, 2),
        }
        angles = {"Roll": quality.roll_deg, "Yaw": quality.yaw_deg, "Pitch": quality.pitch_deg}
        if None not in angles.values():
            told["Pose"] = {name: round(float(v or 0), 3) for name, v in angles.items()}
    return told


def poor(face: Face) -> list[str]:
    """Why the quality of a face is too low; empty where it is not."""
    reasons = face.quality.reasons if face.quality else ()
    return sorted({REASONS.get(reason.code, POOR) for reason in reasons})


def is_user(person: Person) -> bool:
    return UNASSOCIATED not in person.metadata


def user_status(faces: int) -> str:
    return "ACTIVE" if faces else "CREATED"


def face_told(face: StoredFace, owner: Person) -> dict[str, Any]:
    """``Face``."""
    told: dict[str, Any] = {
        "FaceId": public_id(face.id),
        "IndexFacesModelVersion": face.contract_id,
    }
    if PLACE in face.provenance:
        told["BoundingBox"] = face.provenance[PLACE]
    if face.score is not None:
        told["Confidence"] = round(100 * face.score, 4)
    if face.photo_id is not None and _PHOTO.fullmatch(face.photo_id):
        told["ImageId"] = str(uuid.UUID(face.photo_id[:32]))
    if face.source:
        told["ExternalImageId"] = face.source
    if is_user(owner):
        told["UserId"] = owner.name
    return told
