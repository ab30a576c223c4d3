"""What is known of a track beyond its vectors, from its first look to its last."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from arcid.apps.attendance.redetection import Cutout
from arcid.events import Question
from arcid.quality import Quality
from arcid.types import Decision, Image, Match

LIVENESS_LOOKS = 5  # newest scores that count
CUTOUTS = 3  # looks kept until it is known whether they show a face


@dataclass(slots=True, eq=False)
class TrackState:
    """One track's name, its looks, and what was reported of it."""

    match: Match | None = None  # whose name it carries
    decision: Decision | None = None
    candidates: list[Match] = field(default_factory=list)
    contested: bool = False
    poor: Quality | None = None
    best: Quality | None = None
    crop: Image | None = field(default=None, repr=False)
    live: deque[tuple[float, float]] = field(  # score, usefulness of the look
        default_factory=lambda: deque(maxlen=LIVENESS_LOOKS)
    )
    cutouts: deque[Cutout] = field(default_factory=lambda: deque(maxlen=CUTOUTS))
    faces: int = 0  # cutouts that were found again
    touched: float = -np.inf  # ticks
    arrived: str | None = None  # person whose arrival was reported
    visitor: Literal["unknown", "review"] | None = None  # reported as
    visitor_id: str | None = None  # by this event
    question: Question | None = None  # for a human, of one reported as review
    spoof: bool = False  # reported as an attack

    def unname(self) -> None:
        """It is nobody's, and has to be decided on afresh."""
        self.match, self.decision, self.arrived = None, None, None
