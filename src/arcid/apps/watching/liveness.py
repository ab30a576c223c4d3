"""Whether a face may be a picture: the scores of its looks, and what a mode makes of them."""

from __future__ import annotations

from typing import Any, Protocol

from arcid.apps.watching.followed import Followed
from arcid.errors import UsageError
from arcid.liveness.policy import Judgement, LivenessPolicy, Mode
from arcid.types import Detections, FloatArray, Image

LivenessMode = Mode


class Liveness(Protocol):
    """Scores faces; higher is live. ``arcid.liveness.PassiveLiveness`` is one."""

    name: str
    threshold: float

    def scores(self, image: Image, detections: Detections) -> FloatArray:
        """(N,) float32 0–1, one a face; the whole picture is handed in."""
        ...


class LivenessRule:
    """One observer's mode at one camera. Raises ``UsageError`` where a mode lacks its check."""

    def __init__(self, camera: str, mode: LivenessMode, check: Liveness | None) -> None:
        if mode != "off" and check is None:
            raise UsageError(
                f"the policy {mode!r} needs a liveness check; hand one in, or switch it off"
            )
        self._camera = camera
        self._mode = mode
        self._check = check if mode != "off" else None
        self._policy = LivenessPolicy(mode)

    def judge(self, face: Followed) -> Judgement:
        """What the policy makes of the looks so far, weighted as their embeddings are."""
        threshold = 0.0 if self._check is None else self._check.threshold
        return self._policy.judge(self._camera, face.liveness, threshold)

    def grounds(self, face: Followed) -> dict[str, Any] | None:
        """For an event's grounds; None where nothing is checked."""
        if self._check is None:
            return None
        return {
            "check": self._check.name,
            "policy": self._mode,
            "looks": len(face.live),
            **self.judge(face).to_dict(),
        }
