"""Whether a track may be a picture: the scores of its looks, and what the policy makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from arcid.apps.attendance.policy import Liveness, LivenessMode
from arcid.apps.attendance.tracked import TrackState
from arcid.errors import UsageError
from arcid.liveness.policy import Judgement, LivenessPolicy
from arcid.types import Detections, FloatArray, Image


class LivenessRule:
    """One camera's check under its mode. Raises ``UsageError`` where a mode lacks its check."""

    def __init__(self, camera: str, mode: LivenessMode, check: Liveness | None) -> None:
        if mode != "off" and check is None:
            raise UsageError(
                f"the policy {mode!r} needs a liveness check; hand one in, or switch it off"
            )
        self._camera = camera
        self._mode = mode
        self._check = check if mode != "off" else None
        self._policy = LivenessPolicy(mode)

    def scores(self, image: Image, faces: Detections) -> FloatArray | None:
        """(N,) 0–1, higher is live; None where nothing is checked."""
        return None if self._check is None else self._check.scores(image, faces)

    def judge(self, state: TrackState) -> Judgement:
        """What the policy makes of the looks so far, weighted as their embeddings are."""
        threshold = 0.0 if self._check is None else self._check.threshold
        return self._policy.judge(self._camera, pooled(state), threshold)

    def grounds(self, state: TrackState) -> dict[str, Any] | None:
        """For an event's grounds; None where nothing is checked."""
        if self._check is None:
            return None
        return {
            "check": self._check.name,
            "policy": self._mode,
            "looks": len(state.live),
            **self.judge(state).to_dict(),
        }


def pooled(state: TrackState) -> float | None:
    """0–1, higher is live: the looks' liveness scores, each as useful as its look."""
    if not state.live:
        return None
    scores, weights = zip(*state.live, strict=True)
    return float(np.average(scores, weights=weights))
