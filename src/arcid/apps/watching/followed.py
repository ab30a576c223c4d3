"""What is known of a face while it is followed, from its first look to its last."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arcid.apps.watching.looking import Looking
from arcid.apps.watching.redetection import Cutout, distance
from arcid.detect import Detector
from arcid.quality import Quality
from arcid.track import Track
from arcid.types import Embeddings, Image

LIVENESS_LOOKS = 5  # newest scores that count
CUTOUTS = 3  # looks kept until it is known whether they show a face


@dataclass(slots=True, eq=False)
class Followed:
    """One track with its looks; the same object from ``Observer.look`` to ``Observer.gone``."""

    track: Track
    visible: float  # ``time.monotonic()`` when the frame came that it was first seen in
    looking: Looking = field(repr=False)
    detector: Detector = field(repr=False)
    poor: Quality | None = None  # why it cannot be looked at now
    best: Quality | None = None
    crop: Image | None = field(default=None, repr=False)  # (S,S,3) uint8 RGB aligned, best look
    live: deque[tuple[float, float]] = field(  # score, usefulness of the look
        default_factory=lambda: deque(maxlen=LIVENESS_LOOKS)
    )
    cutouts: deque[Cutout] = field(default_factory=lambda: deque(maxlen=CUTOUTS), repr=False)
    verified: int = 0  # cutouts that were found again
    eager: bool = False  # an observer would decide now, had it another look

    @property
    def number(self) -> int:
        """Tells the faces of one watcher apart."""
        return self.track.number

    @property
    def looks(self) -> int:
        """How often it was embedded."""
        return self.track.pool.looks

    @property
    def embedding(self) -> Embeddings | None:
        """One unit-norm row, its looks weighted by quality; None before the first."""
        return self.track.pool.embedding

    @property
    def ready(self) -> bool:
        """Whether it was looked at often enough, and is one face without doubt."""
        return not self.track.doubted and self.looks >= self.looking.tracking.first_looks

    @property
    def seen_enough(self) -> bool:
        """Whether, once gone, it was there for long enough to be spoken of."""
        looked = self.looks >= self.looking.tracking.first_looks
        return looked or self.track.frames >= self.looking.min_frames

    @property
    def liveness(self) -> float | None:
        """0–1, higher is live: its newest scores, each as useful as its look."""
        if not self.live:
            return None
        scores, weights = zip(*self.live, strict=True)
        return float(np.average(scores, weights=weights))

    @property
    def visible_s(self) -> float:
        """Since it was first visible, by a clock on the wall: how late a decision now would be."""
        return time.monotonic() - self.visible

    def evident(self) -> bool:
        """Whether it is a face for certain, so that it can be somebody unknown.

        Not to be asked of anybody recognised. Two looks were found again as faces, or one of a
        track of ``min_frames``; that is tried here, and once for each look.
        """
        several = self.track.frames >= self.looking.min_frames
        needed = 1 if several else self.looking.tracking.first_looks
        while self.verified < needed and self.cutouts:
            self.verified += self._found_again(self.cutouts.popleft())
        return self.verified >= needed

    def grounds(self) -> dict[str, Any]:
        """How it was seen, for the grounds of an event."""
        track = self.track
        return {
            "frames": track.frames,
            "looks": self.looks,
            "usefulness": round(track.best, 4),
            "seconds": round(track.last_ticks - track.first_ticks, 3),
            "faces": self.verified,
            "quality": None if self.best is None else self.best.measured(),
        }

    def _found_again(self, face: Cutout) -> bool:
        limit = self.looking.same_points
        return limit == float("inf") or distance(self.detector, face) <= limit
