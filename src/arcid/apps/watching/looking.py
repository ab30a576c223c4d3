"""How the faces of one camera are looked at, whoever decides on them."""

from __future__ import annotations

from dataclasses import dataclass, field

from arcid.apps.watching.redetection import SAME_POINTS
from arcid.errors import UsageError
from arcid.quality import QualityGate
from arcid.track import TrackSettings

#: Looser than for enrolment: a look that says little is outweighed by the others of its track.
WATCH_GATE = QualityGate(
    min_inter_eye_px=20.0, min_sharpness=0.42, min_brightness=0.14, min_contrast=0.14,
    max_yaw_deg=45.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """Raises ``UsageError`` for values without meaning."""

    min_frames: int = 5  # a face that was gone soon counts when seen in so many
    same_points: float = SAME_POINTS  # so near a face of somebody unknown must be found again
    gate: QualityGate = WATCH_GATE
    tracking: TrackSettings = field(default_factory=TrackSettings)

    def __post_init__(self) -> None:
        if not self.same_points > 0:
            raise UsageError("same_points must be above 0; infinite switches the check off")
        if self.min_frames < 1:
            raise UsageError("min_frames must be at least 1")
