"""What watching shows: one frame's faces in a few words each, and totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from arcid.apps.attendance.liveness import LivenessRule, pooled
from arcid.apps.attendance.outcomes import FaceOutcome
from arcid.apps.attendance.tracked import TrackState
from arcid.events import Event
from arcid.quality import Quality
from arcid.track import Track
from arcid.types import FloatArray
from arcid.video import Frame, Health

PICTURE = "this may be a picture of a face"
WORDS = {
    "too_small": "too far away",
    "too_dark": "too dark",
    "too_bright": "too bright",
    "turned_away": "turned away",
    "looking_up_down": "turned away",
    "tilted": "head tilted",
    "blurred": "blurred",
    "low_contrast": "flat light",
    "cut_off": "partly outside the picture",
    "low_detection_score": "partly covered",
}


@dataclass(frozen=True, slots=True)
class FaceView:
    """One face of a frame, as a screen shows it."""

    track: int
    box: tuple[float, ...]  # xyxy pixels
    points: FloatArray | None = field(repr=False)  # (5,2) pixels
    outcome: FaceOutcome
    person_id: str | None
    name: str | None
    cosine: float | None
    probability: float | None
    why: str  # in a few words: "too far away", or the reason of the decision
    liveness: float | None
    flagged: bool = False  # recognised, but the face may be a picture


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What one step of watching brought."""

    frame: Frame | None  # None where nothing came for a while
    faces: tuple[FaceView, ...] = ()
    events: tuple[Event, ...] = ()
    health: tuple[Health, ...] = ()


@dataclass(slots=True)
class Counts:
    """Totals since the start."""

    frames: int = 0
    detections: int = 0
    embeddings: int = 0
    tracks: int = 0
    low_quality: int = 0  # tracks that never showed a usable face
    unconfirmed: int = 0  # tracks gone before a decision, or that were no face for certain
    refused: Counter[str] = field(default_factory=Counter)  # looks, by what was wrong with them

    def why_nothing(self) -> str:
        """Why no face was embedded, in words."""
        if not self.frames:
            return "no frame came"
        if not self.detections:
            return f"no face was found in {self.frames} frame{'s' * (self.frames > 1)}"
        if self.refused:
            return " ".join(message for message, _ in self.refused.most_common(2))
        return "no face was in view for long enough"


def uncertain(track: Track, points: FloatArray | None) -> FaceView:
    """A detection that no track has taken in yet."""
    return FaceView(0, track.box, points, "looking", None, None, None, None, "uncertain", None)


def shown(
    track: Track,
    state: TrackState,
    points: FloatArray | None,
    outcome: FaceOutcome,
    liveness: LivenessRule,
) -> FaceView:
    """A tracked face."""
    named = state.match if outcome == "recognised" else None
    decision = state.decision if outcome in ("recognised", "unknown", "review") else None
    score = pooled(state)
    flagged = outcome == "recognised" and liveness.judge(state).spoof
    return FaceView(
        track.number,
        track.box,
        points,
        outcome,
        None if named is None else named.person_id,
        None if named is None else named.name,
        None if decision is None else decision.cosine,
        None if decision is None else decision.probability,
        PICTURE if flagged else _why(outcome, state),
        score if score is None else round(score, 4),
        flagged,
    )


def _why(outcome: FaceOutcome, state: TrackState) -> str:
    if outcome == "low_quality" and state.poor is not None:
        return _poor_words(state.poor)
    if outcome == "spoof":
        return PICTURE
    if outcome == "looking":
        return "somebody else here is more like them" if state.contested else "looking"
    return "" if state.decision is None else state.decision.reason


def _poor_words(quality: Quality) -> str:
    """What is wrong with a face, in a few words: "too dark, turned away"."""
    words: Sequence[str] = [WORDS.get(reason.code, reason.code) for reason in quality.reasons]
    return ", ".join(dict.fromkeys(words))
