"""A face in front of a camera that turns its head as asked; the best look of it is kept.

As the kiosk's check, without asking who it is: one face from beginning to end, embedded again and
again while it looks straight, so that the face that turned is the one that is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from arcid.apps.kiosk import (
    CHALLENGE,
    EMBED_EVERY_S,
    STRAIGHT_DEG,
    STRANGE,
    Failure,
    alike,
    meant,
)
from arcid.apps.onboarding.captures import SELFIE_GATE, Capture
from arcid.liveness import Challenge
from arcid.liveness.challenge import Status
from arcid.pipeline import Pipeline
from arcid.quality import Quality, Reason
from arcid.results import Faces, Prepared
from arcid.types import Embeddings
from arcid.video import Frame, Source

State = Literal["waiting", "several", "unusable", "challenged", "passed", "failed"]


@dataclass(frozen=True, slots=True)
class Look:
    """What one frame came to."""

    state: State
    box: tuple[float, ...] | None = None  # xyxy pixels of the face
    reason: Reason | None = None
    challenge: Status | None = None
    failure: Failure | None = None


class Live:
    """One run. One thread; ``capture`` is there once a look has ``passed``."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        draw: Callable[[], Challenge] = lambda: Challenge.draw(CHALLENGE),
    ) -> None:
        self._pipeline, self._draw = pipeline, draw
        self._challenge: Challenge | None = None
        self._first: Embeddings | None = None
        self._strange, self._checked, self._embedded_at = 0, -1, 0.0
        self._best: Capture | None = None
        self._worth = -1.0
        self.capture: Capture | None = None

    def watch(self, source: Source) -> Iterator[tuple[Frame, Look]]:
        """Frames with what they came to, until the run or the source ends."""
        for frame in source.frames():
            if frame is None:
                continue
            look = self.look(frame)
            yield frame, look
            if look.state in ("passed", "failed"):
                return

    def look(self, frame: Frame) -> Look:
        """One frame, in order."""
        prepared = self._pipeline.prepare(frame.image, keep_photo=False, second_try=False)
        found = prepared.detections
        if found is None or not len(found):
            return self._go_on(None, frame) if self._challenge else Look("waiting")
        alone = meant(found, "one")
        if alone is None and self._challenge is None:
            return Look("several")
        row = found.choose("largest") if alone is None else alone
        box = tuple(map(float, found.boxes[row]))
        (quality,) = SELFIE_GATE.assess(frame.image, found[row], prepared.crops[row])
        straight = not quality.reasons and abs(quality.yaw_deg or 0.0) <= STRAIGHT_DEG
        if self._challenge is None:
            if quality.reasons:
                return Look("unusable", box, reason=quality.reasons[0])
            self._challenge = self._draw()
        if straight and self._due(frame):
            self._take(frame, prepared, row, quality)
        if self._strange >= STRANGE:
            return Look("failed", box, failure="changed")
        return self._go_on(None if found.points is None else row, frame, prepared, box)

    def _go_on(
        self,
        row: int | None,
        frame: Frame,
        prepared: Prepared | None = None,
        box: tuple[float, ...] | None = None,
    ) -> Look:
        assert self._challenge is not None
        points = None
        if row is not None and prepared is not None and prepared.detections is not None:
            found = prepared.detections.points
            points = None if found is None else found[row]
        status = self._challenge.update(points, frame.ticks)
        if status.phase == "failed":
            return Look("failed", box, challenge=status, failure=status.failure or "too_slow")
        if status.phase == "passed":
            if self._checked < status.steps - 1 or self._best is None:
                return Look("failed", box, failure="changed")
            self.capture = self._best
            return Look("passed", box, challenge=status)
        return Look("challenged", box, challenge=status)

    def _due(self, frame: Frame) -> bool:
        """Every so often, and at least once before each of the actions."""
        assert self._challenge is not None
        status = self._challenge.status
        new_step = status.phase == "centre" and status.step != self._checked
        return new_step or frame.ticks - self._embedded_at >= EMBED_EVERY_S

    def _take(self, frame: Frame, prepared: Prepared, row: int, quality: Quality) -> None:
        """Whether it is still the same face, and whether this look is the best so far."""
        assert self._challenge is not None
        self._embedded_at = frame.ticks
        faces: Faces = self._pipeline.embed([prepared])[0]
        face = faces[row]
        if self._first is None:
            self._first = face.embedding
        if not alike(self._pipeline, self._first, face.embedding):
            self._strange += 1
            return
        self._strange, self._checked = 0, self._challenge.status.step
        if (worth := worth_of(quality)) > self._worth and prepared.detections is not None:
            self._worth = worth
            self._best = Capture(
                frame.image, prepared.detections[[row]], face, self._challenge.actions
            )


def worth_of(quality: Quality) -> float:
    """How good a look is to compare with: sharp, straight and large; higher is better."""
    turned = abs(quality.yaw_deg or 0.0) + abs(quality.pitch_deg or 0.0)
    size = min((quality.inter_eye_px or 0.0) / 80, 1.0)
    return quality.sharpness * size * max(0.0, 1 - turned / 90)


__all__ = ["Live", "Look", "worth_of"]
