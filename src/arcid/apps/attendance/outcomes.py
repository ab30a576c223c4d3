"""What can be said of a track so far."""

from __future__ import annotations

from typing import Literal

from arcid.apps.attendance.liveness import LivenessRule
from arcid.apps.attendance.policy import Policy
from arcid.apps.attendance.redetection import Cutout, distance
from arcid.apps.attendance.tracked import TrackState
from arcid.detect import Detector
from arcid.track import Track

FaceOutcome = Literal["looking", "recognised", "unknown", "review", "low_quality", "spoof"]


class Outcomes:
    """Reads a track's state under one camera's policy."""

    def __init__(self, policy: Policy, liveness: LivenessRule, detector: Detector) -> None:
        self._detector = detector
        self._policy = policy
        self._liveness = liveness

    def of(self, track: Track, state: TrackState) -> FaceOutcome:
        if not track.pool.looks:
            return "low_quality" if state.poor is not None else "looking"
        if not self.ready(track):
            return "looking"
        judged = self._liveness.judge(state)
        if not judged.accepted:
            return "spoof" if judged.spoof else "looking"
        if state.match is not None:
            return "recognised"
        if state.contested or state.decision is None:
            return "looking"
        if track.last_ticks - track.first_ticks < self._policy.unknown_after_s:
            return "looking"
        if state.decision.outcome == "review":
            return "review"
        return "unknown" if self.evident(track, state) else "looking"

    def ready(self, track: Track) -> bool:
        """Whether it was looked at often enough, and is one face without doubt."""
        return not track.doubted and track.pool.looks >= self._policy.tracking.first_looks

    def evident(self, track: Track, state: TrackState) -> bool:
        """Whether it is a face for certain, so that it can be somebody unknown.

        Asked of nobody with a name. Two looks were found again as faces, or one of a track of
        ``min_frames``; that is tried here, and once for each look.
        """
        several = track.frames >= self._policy.min_frames
        needed = 1 if several else self._policy.tracking.first_looks
        while state.faces < needed and state.cutouts:
            face = state.cutouts.popleft()
            state.faces += self._found_again(face)
        return state.faces >= needed

    def _found_again(self, face: Cutout) -> bool:
        limit = self._policy.same_points
        return limit == float("inf") or distance(self._detector, face) <= limit

    def seen_enough(self, track: Track) -> bool:
        """Whether a track that is gone was there for long enough to be spoken of."""
        looked = track.pool.looks >= self._policy.tracking.first_looks
        return looked or track.frames >= self._policy.min_frames
