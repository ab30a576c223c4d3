"""What watching shows: one frame's faces in a few words each, and totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from arcid.apps.watching.followed import Followed
from arcid.events import Event
from arcid.quality import Quality
from arcid.track import Track
from arcid.types import FloatArray
from arcid.video import Frame, Health

FaceOutcome = Literal["looking", "recognised", "unknown", "review", "low_quality", "spoof"]
Tone = Literal["plain", "good", "warn", "bad"]
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
class Note:
    """What an observer adds to a face: "on the list banned", "door: granted"."""

    text: str
    tone: Tone = "plain"


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
    notes: tuple[Note, ...] = ()


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


def unnamed(face: Followed, points: FloatArray | None) -> FaceView:
    """A face before any observer says something of it."""
    outcome: FaceOutcome = "looking"
    why = "looking"
    if not face.looks and face.poor is not None:
        outcome, why = "low_quality", poor_words(face.poor)
    score = face.liveness
    return FaceView(
        face.number, face.track.box, points, outcome, None, None, None, None, why,
        None if score is None else round(score, 4),
    )  # fmt: skip


def poor_words(quality: Quality) -> str:
    """What is wrong with a face, in a few words: "too dark, turned away"."""
    words: Sequence[str] = [WORDS.get(reason.code, reason.code) for reason in quality.reasons]
    return ", ".join(dict.fromkeys(words))
