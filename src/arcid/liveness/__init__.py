"""Is this a living face or a picture of one? Presentation-attack checks.

``PassiveLiveness`` judges one picture (needs weights), ``Challenge`` a person who follows
instructions (needs none), ``FaceChallenge`` also their eyes and mouth (needs 68 landmarks),
``LivenessPolicy`` says what a camera makes of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy.typing as npt

from arcid.liveness.challenge import Challenge, ChallengeSettings, Status
from arcid.liveness.face_challenge import FaceChallenge
from arcid.liveness.passive import PassiveLiveness
from arcid.liveness.policy import Judgement, LivenessPolicy
from arcid.types import Detections, FloatArray, Image


class PassiveCheck(Protocol):
    """Anything that scores the faces of pictures; higher is live."""

    name: str
    threshold: float

    def scores_batch(
        self, images: Sequence[Image], detections: Sequence[Detections]
    ) -> list[FloatArray]:
        """(N,) float32 0–1 of every picture; the whole picture is needed, not the crop."""
        ...


class ActiveCheck(Protocol):
    """Anything that follows one face over time and comes to an end."""

    @property
    def status(self) -> Status: ...

    def update(self, points: npt.ArrayLike | None, time_s: float) -> Status:
        """One frame: (5,2) pixels, or None where the face was not found."""
        ...


__all__ = [
    "ActiveCheck",
    "Challenge",
    "ChallengeSettings",
    "FaceChallenge",
    "Judgement",
    "LivenessPolicy",
    "PassiveCheck",
    "PassiveLiveness",
    "Status",
]
