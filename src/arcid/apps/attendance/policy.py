"""What a camera is to do: rates, times, what is kept, and what liveness means."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from arcid import decide
from arcid.apps.attendance.redetection import SAME_POINTS
from arcid.errors import UsageError
from arcid.quality import QualityGate
from arcid.track import TrackSettings
from arcid.types import Detections, FloatArray, Image

LivenessMode = Literal["off", "flag", "require"]
Keep = Literal["nothing", "vector", "crop"]
#: Looser than for enrolment: a look that says little is outweighed by the others of its track.
WATCH_GATE = QualityGate(
    min_inter_eye_px=20.0, min_sharpness=0.42, min_brightness=0.14, min_contrast=0.14,
    max_yaw_deg=45.0,
)  # fmt: skip
RATES = (1e-3, 3e-3, decide.DEFAULT_FPIR)  # strictest first: a false name is worse than none
_TARGET = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Liveness(Protocol):
    """Scores faces; higher is live. ``arcid.liveness.PassiveLiveness`` is one."""

    name: str
    threshold: float

    def scores(self, image: Image, detections: Detections) -> FloatArray:
        """(N,) float32 0–1, one a face; the whole picture is handed in."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of one camera; times in seconds. Raises ``UsageError`` for values without meaning.

    ``fpir``: how often a stranger's track may be given a name; None takes the strictest of
    ``RATES`` that the calibration supports for the gallery's size, which every event states.
    ``place``: cameras of one place see the same comings and goings; by default the camera's name.
    ``unsupported``: ``review`` leaves to a human (``events.Reviews``) what the calibration
    cannot decide on at that rate. ``keep``: what stays of a face behind an event, for "not this
    person", for telling unknown visitors apart, and (crops) for showing them; erase with
    ``Attendance.forget_faces``.
    ``liveness``: ``flag`` records suspected attacks beside arrivals, ``require`` in their place.
    """

    fpir: float | None = None
    unsupported: decide.Unsupported = "review"
    place: str | None = None
    cooldown_s: float = 300.0
    unknown_after_s: float = 1.5  # a face is an unknown visitor when followed for so long
    min_frames: int = 5  # or, where it was gone sooner, seen in so many
    same_points: float = SAME_POINTS  # so near a face of somebody unknown must be found again
    visitor_fmr: float = 1e-3  # at which two sightings count as one unknown visitor
    switch_ratio: float = 100.0  # so many times likelier must another name be to replace one
    touch_s: float = 5.0  # how often "last seen" is written
    keep: Keep = "vector"
    liveness: LivenessMode = "off"
    targets: tuple[str, ...] = ()  # outboxes that every event is put in
    gate: QualityGate = WATCH_GATE
    tracking: TrackSettings = field(default_factory=TrackSettings)

    def __post_init__(self) -> None:
        if not 0 < (self.fpir or 0.5) < 1 or not 0 < self.visitor_fmr < 1:
            raise UsageError("fpir and visitor_fmr must lie between 0 and 1")
        for name in ("cooldown_s", "unknown_after_s", "touch_s"):
            if not 0 <= getattr(self, name) < 1e9:
                raise UsageError(f"{name} must be a number of seconds from 0 up")
        if self.touch_s >= self.cooldown_s:
            raise UsageError(
                f"touch_s ({self.touch_s:g}) must be below cooldown_s ({self.cooldown_s:g}), or "
                "people who stay would seem to leave"
            )
        if not self.same_points > 0:
            raise UsageError("same_points must be above 0; infinite switches the check off")
        if not self.switch_ratio >= 1 or self.min_frames < 1:
            raise UsageError("switch_ratio and min_frames must be at least 1")
        if self.keep not in ("nothing", "vector", "crop"):
            raise UsageError(f"keep {self.keep!r} is unknown; use nothing, vector or crop")
        if self.liveness not in ("off", "flag", "require"):
            raise UsageError(f"liveness {self.liveness!r} is unknown; use off, flag or require")
        for target in self.targets:
            if not _TARGET.fullmatch(target):
                raise UsageError(
                    f"an outbox's name has up to 64 letters, digits, dots or dashes, not {target!r}"
                )

    def for_photos_apart(self) -> Policy:
        """The same for photos that show different moments: a single look decides."""
        return replace(
            self, tracking=TrackSettings(first_looks=1), unknown_after_s=0.0, min_frames=1
        )
