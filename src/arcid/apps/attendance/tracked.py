"""What attendance knows of a face it follows: its name, and what was reported of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from arcid.apps.watching import Followed
from arcid.events import Question
from arcid.types import Decision, Match


@dataclass(slots=True, eq=False)
class TrackState:
    """One face's name, from its first look on."""

    face: Followed
    match: Match | None = None  # whose name it carries
    decision: Decision | None = None
    candidates: list[Match] = field(default_factory=list)
    contested: bool = False
    touched: float = -np.inf  # ticks
    arrived: str | None = None  # person whose arrival was reported
    visitor: Literal["unknown", "review"] | None = None  # reported as
    visitor_id: str | None = None  # by this event
    question: Question | None = None  # for a human, of one reported as review
    spoof: bool = False  # reported as an attack

    def unname(self) -> None:
        """It is nobody's, and has to be decided on afresh."""
        self.match, self.decision, self.arrived = None, None, None
