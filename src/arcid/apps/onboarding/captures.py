"""The picture that stands for a living face, and what is kept of a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from arcid.apps.onboarding.kept import Taken
from arcid.apps.onboarding.prints import picture_print
from arcid.apps.onboarding.records import Role
from arcid.errors import NoFaceFound
from arcid.gallery.imaging import encode_crop
from arcid.pipeline import Pipeline
from arcid.quality import QualityGate
from arcid.results import Face
from arcid.types import Detections, Image

SELFIE_GATE = QualityGate(min_inter_eye_px=40, max_yaw_deg=30, max_pitch_deg=30)
JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Capture:
    """The look that stands for the living face."""

    image: Image  # (H,W,3) uint8 RGB the whole frame
    detections: Detections  # of that face alone
    face: Face
    actions: tuple[str, ...] = ()  # of the challenge it was taken during


def capture_of(pipeline: Pipeline, image: Image, actions: Sequence[str] = ()) -> Capture:
    """The one face of a picture, good enough to stand for a living one.

    Raises ``NoFaceFound``, ``SeveralFacesFound``, ``QualityRejected``.
    """
    prepared = pipeline.prepare(image, select="one", keep_photo=False)
    faces = pipeline.embed([prepared])[0]
    face, found = pipeline.checked(faces), prepared.detections
    if found is None:
        raise NoFaceFound("no face was found in the photo; use one that shows a face clearly")
    (quality,) = SELFIE_GATE.assess(image, found, faces.crops)
    face = replace(face, quality=quality)
    face.check_quality()
    return Capture(image, found, face, tuple(actions))


def taken_of(role: Role, face: Face, picture: Image, details: dict[str, object]) -> Taken:
    """A picture of one role as it is kept: face, cut-out, print."""
    return Taken(
        role,
        hashlib.sha256(np.ascontiguousarray(face.crop).tobytes()).hexdigest(),
        picture_print(face.crop),
        face.embedding,
        encode_crop(face.crop),
        _jpeg(picture),
        details,
    )


def _jpeg(image: Image) -> bytes:
    import cv2

    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
