"""Can this face be used? Size, sharpness, light, pose and truncation, each with a reason.

``QualityGate().assess(image, detections, crops)`` measures every face of one photo; a face that
misses a threshold carries a ``Reason`` with a sentence for the person in front of the camera.
The default thresholds and what they let through on real photographs: docs/concepts/quality.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray, UsageError
from arcid.geometry import ARCFACE_TEMPLATE, apply_affine, similarity_transform
from arcid.types import Crops, Detections, Image

Code = Literal[
    "too_small",
    "blurred",
    "too_dark",
    "too_bright",
    "low_contrast",
    "turned_away",
    "looking_up_down",
    "tilted",
    "low_detection_score",
    "cut_off",
    "eyes_closed",
    "mouth_open",
]

CANVAS = 112  # everything seen on the crop is measured at this scale
_Y, _X = np.mgrid[:CANVAS, :CANVAS]
FACE = ((_X - 56) / 36) ** 2 + ((_Y - 66) / 44) ** 2 < 1  # ellipse of brow, cheeks and chin
FACE_GRID = np.stack(np.meshgrid(np.linspace(20, 92, 13), np.linspace(20, 104, 15)), axis=2)

#: Generic head, (5,3) in eye distances: x to the viewer's right, y down, z towards the camera.
#: x and y are the ArcFace template made symmetric, z is ours (nose tip half an eye distance in
#: front of the eyes); the whole is pitched so that the median photo of LFW measures 0°.
HEAD: npt.NDArray[np.float64] = np.array(
    [[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.618, 0.441], [-0.414, 1.160, -0.015],
     [0.414, 1.160, -0.015]],
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    """One threshold a face misses."""

    code: Code
    value: float
    threshold: float
    message: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "value": round(self.value, 3),
            "threshold": round(self.threshold, 3),
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured on one face. ``None``: could not be measured (no points, crop only).

    Yaw is positive where the face is turned to the viewer's right, pitch where it looks up, roll
    where the line of the eyes is tilted clockwise as the viewer sees it. Yaw and pitch are those
    of the head after that tilt is taken out, as aligning does: Rz(roll) · Ry(yaw) · Rx(pitch).
    """

    inter_eye_px: float | None  # distance of the eyes in the photo
    sharpness: float  # fine detail per coarse detail; below 0.5 blurred, sharp to 1
    brightness: float  # mean luma of the face, 0–1
    burnt_out: float  # share of the face at full white, 0–1
    contrast: float  # 5th to 95th percentile of the face's luma, 0–1
    yaw_deg: float | None
    pitch_deg: float | None
    roll_deg: float | None
    detection_score: float | None  # 0–1
    truncation: float | None  # share of the face outside the photo, 0–1
    eye_openness: float | None = None  # height over width, where 68 landmarks were found
    mouth_openness: float | None = None  # gap between the lips over its width
    reasons: tuple[Reason, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.reasons

    @property
    def openness(self) -> tuple[float, float] | None:
        """Of eyes and mouth; None without 68 landmarks."""
        if self.eye_openness is None or self.mouth_openness is None:
            return None
        return self.eye_openness, self.mouth_openness

    def __str__(self) -> str:
        return ", ".join(reason.code.replace("_", " ") for reason in self.reasons) or "ok"

    def measured(self) -> dict[str, float]:
        """The numbers, rounded; those that could not be measured are left out."""
        return {
            f.name: round(value, 3)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), float)
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        reasons = [reason.to_dict() for reason in self.reasons]
        return {"ok": self.ok, "reasons": reasons, "measured": self.measured()}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Seen:
    """What 68 landmarks tell of the faces of a photo."""

    angles: npt.NDArray[np.float64]  # (N,3) yaw, pitch, roll in degrees
    eyes: npt.NDArray[np.float32]  # (N,) openness
    mouth: npt.NDArray[np.float32]  # (N,) openness


@dataclass(frozen=True, slots=True)
class QualityGate:
    """Thresholds; ``None`` switches a check off. Measurements are reported either way."""

    min_inter_eye_px: float | None = 24.0
    min_sharpness: float | None = 0.5
    min_brightness: float | None = 0.18
    max_brightness: float | None = 0.85
    max_burnt_out: float | None = 0.25
    min_contrast: float | None = 0.18
    max_yaw_deg: float | None = 50.0
    max_pitch_deg: float | None = 45.0
    max_roll_deg: float | None = 45.0
    min_detection_score: float | None = 0.5
    max_truncation: float | None = 0.1
    min_eye_openness: float | None = None  # needs 68 landmarks, as does the next
    max_mouth_openness: float | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and not (
                isinstance(value, (int, float)) and math.isfinite(value) and value >= 0
            ):
                raise UsageError(f"{f.name} must be a number from 0 up, or None; got {value!r}")

    def assess(
        self, image: Image, detections: Detections, crops: Crops, seen: Seen | None = None
    ) -> list[Quality]:
        """One ``Quality`` per face of the photo, in the order of ``detections``.

        ``image`` (H,W,3) uint8 RGB, ``crops`` its aligned faces (N,S,S,3). ``seen``: what 68
        landmarks tell, whose pose is taken in place of that of five points. Box-only detections
        leave eye distance and pose unmeasured and unjudged. Raises ``InvalidArray`` where these do
        not belong together.
        """
        if image.shape[:2] != tuple(detections.image_size):
            raise InvalidArray(
                f"the detections belong to a photo of {tuple(detections.image_size)} (height, "
                f"width), this one has {image.shape[:2]}"
            )
        if len(crops) != len(detections):
            raise InvalidArray(f"{len(detections)} detections came with {len(crops)} crops")
        outside = _truncation(detections)
        if detections.points is None:
            return [
                self._judge(crop, score=float(score), truncation=share)
                for crop, score, share in zip(crops.pixels, detections.scores, outside, strict=True)
            ]
        eyes = np.linalg.norm(detections.points[:, 1] - detections.points[:, 0], axis=1)
        turned = pose(detections.points) if seen is None else seen.angles
        told = [None] * len(eyes) if seen is None else zip(seen.eyes, seen.mouth, strict=True)
        return [
            self._judge(crop, float(eye), tuple(map(float, angles)), float(score), share, openness)
            for crop, eye, angles, score, share, openness in zip(
                crops.pixels, eyes, turned, detections.scores, outside, told, strict=True
            )
        ]

    def assess_crops(self, crops: Crops) -> list[Quality]:
        """The same for aligned faces whose photo is gone: sharpness and light only."""
        return [self._judge(crop) for crop in crops.pixels]

    def _judge(
        self,
        crop: Image,
        inter_eye_px: float | None = None,
        angles: tuple[float, ...] | None = None,
        score: float | None = None,
        truncation: float | None = None,
        openness: tuple[float, float] | None = None,
    ) -> Quality:
        grey = _grey(crop)
        sharpness = _sharpness(grey)
        brightness, burnt_out, contrast = _light(grey)
        yaw, pitch, roll = angles or (None, None, None)
        eyes, mouth = (None, None) if openness is None else map(float, openness)
        found: list[Reason] = []

        def below(code: Code, value: float | None, limit: float | None, text: str) -> None:
            if value is not None and limit is not None and value < limit:
                found.append(Reason(code, value, limit, text.format(value, limit)))

        def above(code: Code, value: float | None, limit: float | None, text: str) -> None:
            if value is not None and limit is not None and abs(value) > limit:
                found.append(Reason(code, value, limit, text.format(abs(value), limit)))

        below("too_small", inter_eye_px, self.min_inter_eye_px,
              "The face is too small: {:.0f} pixels between the eyes, at least {:.0f} are needed; "
              "come closer.")  # fmt: skip
        above("cut_off", truncation, self.max_truncation,
              "{:.0%} of the face is outside the picture, at most {:.0%} may be; "
              "move into the middle.")  # fmt: skip
        below("blurred", sharpness, self.min_sharpness,
              "The face is blurred: sharpness {:.2f}, at least {:.2f} is needed; "
              "hold still and come closer, or clean the lens.")  # fmt: skip
        below("too_dark", brightness, self.min_brightness,
              "The face is too dark: brightness {:.0%}, at least {:.0%} is needed; "
              "turn on a light.")  # fmt: skip
        above("too_bright", brightness, self.max_brightness,
              "The face is too bright: brightness {:.0%}, at most {:.0%} may be; "
              "step out of the glare.")  # fmt: skip
        if not any(reason.code == "too_bright" for reason in found):
            above("too_bright", burnt_out, self.max_burnt_out,
                  "The face is too bright: {:.0%} of it is pure white, at most {:.0%} may be; "
                  "step out of the glare.")  # fmt: skip
        below("low_contrast", contrast, self.min_contrast,
              "The face is flat and hazy: contrast {:.0%}, at least {:.0%} is needed; "
              "clear the lens or change the light.")  # fmt: skip
        above("turned_away", yaw, self.max_yaw_deg,
              "The face is turned away by {:.0f} degrees, at most {:.0f} may be; "
              "look into the camera.")  # fmt: skip
        above("looking_up_down", pitch, self.max_pitch_deg,
              f"The face looks {'up' if (pitch or 0) > 0 else 'down'} by {{:.0f}} degrees, "
              "at most {:.0f} may be; look into the camera.")  # fmt: skip
        above("tilted", roll, self.max_roll_deg,
              "The head is tilted by {:.0f} degrees, at most {:.0f} may be; "
              "hold it upright.")  # fmt: skip
        below("low_detection_score", score, self.min_detection_score,
              "It is not certain that this is a face: score {:.2f}, at least {:.2f} is needed; "
              "uncover it and look into the camera.")  # fmt: skip
        below("eyes_closed", eyes, self.min_eye_openness,
              "The eyes are closed: openness {:.2f}, at least {:.2f} is needed; "
              "look into the camera.")  # fmt: skip
        above("mouth_open", mouth, self.max_mouth_openness,
              "The mouth is open: {:.2f} of its width, at most {:.2f} may be; "
              "close it.")  # fmt: skip
        return Quality(inter_eye_px, sharpness, brightness, burnt_out, contrast,
                       yaw, pitch, roll, score, truncation, eyes, mouth, tuple(found))  # fmt: skip


def pose(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(N,5,2) points in; (N,3) float64 yaw, pitch, roll in degrees out, signs as in ``Quality``.

    A scaled orthographic camera is fitted to ``HEAD``: the affine least-squares fit, then the
    nearest scaled rotation by singular values (DeMenthon and Davis, IJCV 1995, without the
    perspective step). One head for everybody: read the angles as coarse.
    """
    found = np.asarray(points, np.float64)
    head = HEAD - HEAD.mean(axis=0)
    centred = found - found.mean(axis=1, keepdims=True)
    affine = np.einsum("nki,kj->nij", centred, head) @ np.linalg.inv(head.T @ head)
    u, _, vt = np.linalg.svd(affine, full_matrices=False)
    turn = u @ vt  # (N,2,3): upper two rows of the rotation from the head to the camera
    third = np.cross(turn[:, 0], turn[:, 1])
    roll = np.arctan2(turn[:, 1, 0], turn[:, 0, 0])
    cos, sin = np.cos(roll), np.sin(roll)
    nose_x, nose_y, nose_z = turn[:, 0, 2], turn[:, 1, 2], third[:, 2]
    yaw = np.arctan2(cos * nose_x + sin * nose_y, nose_z)
    pitch = np.arcsin(np.clip(sin * nose_x - cos * nose_y, -1, 1))
    return np.asarray(np.degrees(np.stack([yaw, pitch, roll], axis=1)))


def _truncation(detections: Detections) -> list[float]:
    """Share of the box, or of the face around the points where larger, outside the photo."""
    height, width = detections.image_size
    boxes = detections.boxes.astype(np.float64)
    inside = np.clip(boxes, 0, [width, height, width, height])
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1), 1e-9)
    shares = 1 - (inside[:, 2:] - inside[:, :2]).clip(0).prod(axis=1) / area
    points = detections.points
    if points is not None and len(points):
        # Detectors may clip their boxes to the photo, so the face is laid over the points as well.
        template = np.broadcast_to(ARCFACE_TEMPLATE, points.shape)
        for i, to_photo in enumerate(similarity_transform(template, points)):
            spots = apply_affine(to_photo, FACE_GRID.reshape(-1, 2))
            outside = (spots < -0.5) | (spots > [width - 0.5, height - 0.5])
            shares[i] = max(shares[i], outside.any(axis=1).mean())
    return [float(share) for share in shares]


def _grey(crop: Image) -> npt.NDArray[np.float32]:
    """(S,S,3) uint8 RGB in; (112,112) float32 luma 0–255 out."""
    import cv2

    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    if len(crop) != CANVAS:
        method = cv2.INTER_AREA if len(crop) > CANVAS else cv2.INTER_LINEAR
        grey = cv2.resize(grey, (CANVAS, CANVAS), interpolation=method)
    return np.asarray(grey, np.float32)


def _sharpness(grey: npt.NDArray[np.float32]) -> float:
    """Ratio of two bands of detail in the middle of the face: 1–2 px over 2–4 px.

    Differences of Gaussians stand in for the Laplacian at two scales; the coarse one normalises
    by the contrast of the face itself, and single-pixel noise falls below both.
    """
    import cv2

    one, two, four = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (1.0, 2.0, 4.0))
    middle = (slice(36, 104), slice(26, 86))
    fine, coarse = (one - two)[middle].std(), (two - four)[middle].std()
    return float(fine / (coarse + 0.1))


def _light(grey: npt.NDArray[np.float32]) -> tuple[float, float, float]:
    """Brightness, burnt-out share and contrast inside the face ellipse, each 0–1."""
    face = grey[FACE] / 255
    low, high = np.percentile(face, [5, 95])
    return float(face.mean()), float((face > 0.98).mean()), float(high - low)
