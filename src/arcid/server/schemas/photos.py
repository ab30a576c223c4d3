"""Faces of photos, and decisions about them; nothing of them is stored."""

from __future__ import annotations

from pydantic import Field

from arcid.server.schemas.base import Out
from arcid.types import Outcome


class Box(Out):
    """Pixels of the photo, origin top-left; may reach past its border."""

    x1: float
    y1: float
    x2: float
    y2: float


class ReasonOut(Out):
    code: str = Field(examples=["blurred"])
    value: float
    threshold: float
    message: str


class QualityOut(Out):
    ok: bool = Field(description="Whether the face should be enrolled.")
    reasons: list[ReasonOut]
    measured: dict[str, float] = Field(examples=[{"inter_eye_px": 61.2, "sharpness": 0.9}])


class FaceOut(Out):
    box: Box | None = Field(description="null for crops that came aligned")
    points: list[tuple[float, float]] | None = Field(
        description="Eyes (viewer's left first), nose, corners of the mouth."
    )
    score: float | None = Field(description="Detection score, 0–1.")
    quality: QualityOut | None


class MarkedFace(FaceOut):
    landmarks: list[tuple[float, float]] | None = Field(
        None,
        description="Only where asked for: the 68 points of iBUG 300-W, jaw, brows, nose, eyes, "
        "mouth, each group from the viewer's left; null for crops that came aligned.",
    )


class Detected(Out):
    width: int
    height: int
    faces: list[MarkedFace] = Field(description="Best score first; none is ordinary.")


class FaceVector(MarkedFace):
    vector: list[float] = Field(description="Unit norm; comparable within one contract_id only.")


class Embedded(Out):
    model: str
    contract_id: str
    dim: int
    faces: list[FaceVector]


class DecisionOut(Out):
    outcome: Outcome
    cosine: float | None = Field(description="Higher is closer; null where nobody was compared.")
    cosine_threshold: float = Field(description="The cosine that the target rate asks for.")
    probability: float | None = Field(
        description="That both faces are one person, at equal prior odds."
    )
    fmr: float | None = Field(
        description="At most this share of comparisons of two people reaches this cosine; "
        "never below the smallest rate that the calibration's data supports."
    )
    target_fmr: float | None = Field(description="The error rate asked for, of a comparison.")
    target_fpir: float | None = Field(description="The error rate asked for, of a search.")
    gallery_size: int = Field(description="Templates compared; 1 for two photos.")
    calibration_id: str
    extrapolated: bool = Field(description="Beyond the measured data.")
    fnir: float | None = Field(
        description="Of a search: at most this share of people enrolled with one photo is missed, "
        "by the threshold (as calibrated) or by the index; null where that was not measured."
    )
    index_miss_rate: float | None = Field(
        description="The index's part of it: upper end of a 95 % interval, 0 where everybody is "
        "looked at."
    )
    reason: str


class Compared(DecisionOut):
    a: FaceOut
    b: FaceOut


class ComparedFace(DecisionOut):
    face: FaceOut


class ComparedFaces(Out):
    a: FaceOut
    faces: list[ComparedFace] = Field(
        description="Those of the second photo, the nearest first. The rate is that of one "
        "comparison: among n faces of others about n times as many match."
    )


class LiveFace(FaceOut):
    live: bool
    liveness: float = Field(description="0–1, higher is live.")


class LivenessOut(Out):
    model: str
    liveness_threshold: float = Field(description="From which a face counts as live.")
    faces: list[LiveFace]
