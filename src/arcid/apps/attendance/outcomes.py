"""What attendance can say of a face so far, and how it is shown."""

from __future__ import annotations

from dataclasses import replace

from arcid.apps.attendance.policy import Policy
from arcid.apps.attendance.tracked import TrackState
from arcid.apps.watching import FaceOutcome, FaceView, LivenessRule

PICTURE = "this may be a picture of a face"


class Outcomes:
    """Reads a face's state under one camera's policy."""

    def __init__(self, policy: Policy, liveness: LivenessRule) -> None:
        self._policy = policy
        self._liveness = liveness

    def of(self, state: TrackState) -> FaceOutcome:
        """``looking`` for one without a usable look, too."""
        track = state.face.track
        if not state.face.ready:
            return "looking"
        judged = self._liveness.judge(state.face)
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
        return "unknown" if state.face.evident() else "looking"

    def show(self, shown: FaceView, state: TrackState) -> FaceView:
        """The face with its name, or why it has none."""
        if not state.face.looks:
            return shown
        outcome = self.of(state)
        named = state.match if outcome == "recognised" else None
        decision = state.decision if outcome in ("recognised", "unknown", "review") else None
        flagged = outcome == "recognised" and self._liveness.judge(state.face).spoof
        return replace(
            shown,
            outcome=outcome,
            person_id=None if named is None else named.person_id,
            name=None if named is None else named.name,
            cosine=None if decision is None else decision.cosine,
            probability=None if decision is None else decision.probability,
            why=PICTURE if flagged else _why(outcome, state),
            flagged=flagged,
        )


def _why(outcome: FaceOutcome, state: TrackState) -> str:
    if outcome == "spoof":
        return PICTURE
    if outcome == "looking":
        return "somebody else here is more like them" if state.contested else "looking"
    return "" if state.decision is None else state.decision.reason
