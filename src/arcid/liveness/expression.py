"""An active check by 68 landmarks: close the eyes, open the mouth, in random order.

Openness of eyes and mouth a frame in, as ``arcid.landmarks`` measures it, one ``Progress`` a frame
out. Each action must be seen to begin and to end, against the person's own face in the frames
before: a still picture does neither.

Not detected: a replayed video of the person doing both, and depth, which only turning shows
(``liveness.challenge``). It follows that check (``FaceChallenge``), not in its place.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from arcid.errors import InvalidArray, UsageError

Expression = Literal["close_eyes", "open_mouth"]
EXPRESSIONS: tuple[Expression, ...] = ("close_eyes", "open_mouth")
Phase = Literal["rest", "act", "return", "passed", "failed"]


@dataclass(frozen=True, slots=True)
class ExpressionSettings:
    """When an expression counts; openness as in ``Landmarks.openness``, times in seconds."""

    closed: float = 0.6  # eyes: at most this share of their openness at rest …
    reopened: float = 0.8  # … and then at least this share again
    opened: float = 0.25  # mouth: so much more open than at rest …
    shut: float = 0.1  # … and then at most so much more
    rest_frames: int = 5  # whose median is the face at rest
    hold_frames: int = 2  # in a row that must show each half
    step_limit_s: float = 8.0

    def __post_init__(self) -> None:
        if not 0 < self.closed < self.reopened <= 1 or not 0 <= self.shut < self.opened:
            raise UsageError("closed must lie below reopened, and shut below opened")
        if min(self.rest_frames, self.hold_frames) < 1 or not self.step_limit_s > 0:
            raise UsageError("frames and step_limit_s must be 1 or more, and above 0")


@dataclass(frozen=True, slots=True)
class Progress:
    """What to show after a frame."""

    phase: Phase
    action: Expression | None  # None before the face at rest is known, and at the end
    step: int  # actions finished
    steps: int
    left_s: float  # until the present phase times out

    @property
    def finished(self) -> bool:
        return self.phase in ("passed", "failed")


class ExpressionCheck:
    """One run for one face; feed it every frame in order and stop when ``finished``.

    As for ``Challenge``: times come from a clock that the person cannot set, and whoever uses the
    result embeds the face during the run. Too slow fails.
    """

    def __init__(
        self, actions: Sequence[Expression], settings: ExpressionSettings | None = None
    ) -> None:
        if not actions or set(actions) - set(EXPRESSIONS):
            raise UsageError(f"actions must be some of {', '.join(EXPRESSIONS)}")
        self.actions, self.settings = tuple(actions), settings or ExpressionSettings()
        self._rest: list[tuple[float, float]] = []
        self._phase: Phase = "rest"
        self._step = self._held = 0
        self._since = self._now = -math.inf

    @classmethod
    def draw(
        cls, settings: ExpressionSettings | None = None, rng: random.Random | None = None
    ) -> ExpressionCheck:
        """Both actions in random order; ``rng`` is for tests."""
        actions = list(EXPRESSIONS)
        (rng or random.SystemRandom()).shuffle(actions)
        return cls(actions, settings)

    @property
    def progress(self) -> Progress:
        acting = self._phase in ("act", "return")
        action = self.actions[self._step] if acting else None
        waited = 0.0 if self._since == -math.inf else self._now - self._since
        left = max(self.settings.step_limit_s - waited, 0.0)
        return Progress(self._phase, action, self._step, len(self.actions), left)

    def update(self, openness: tuple[float, float] | None, time_s: float) -> Progress:
        """One frame: openness of eyes and mouth, None where the face was not found.

        Frames that are not newer than the last are ignored. Raises ``InvalidArray``.
        """
        if openness is not None and not all(math.isfinite(v) and v >= 0 for v in openness):
            raise InvalidArray(f"openness must be two numbers from 0 up, got {openness}")
        if self.progress.finished or not time_s > self._now:
            return self.progress
        self._since, self._now = (time_s if self._since == -math.inf else self._since), time_s
        if time_s - self._since > self.settings.step_limit_s:
            self._phase = "failed"
        elif openness is None:
            self._held = 0
        elif self._phase == "rest":
            self._rest.append(openness)
            if len(self._rest) == self.settings.rest_frames:
                self._go("act")
        else:
            self._held = self._held + 1 if self._shows(openness) else 0
            if self._held == self.settings.hold_frames:
                self._advance()
        return self.progress

    def _shows(self, openness: tuple[float, float]) -> bool:
        """Whether a frame shows the half that is waited for."""
        s, acting = self.settings, self._phase == "act"
        middle = len(self._rest) // 2
        eyes, mouth = (sorted(values)[middle] for values in zip(*self._rest, strict=True))
        if self.actions[self._step] == "close_eyes":
            share = openness[0] / max(eyes, 1e-6)
            return bool(share <= s.closed if acting else share >= s.reopened)
        more = openness[1] - mouth
        return bool(more >= s.opened if acting else more <= s.shut)

    def _advance(self) -> None:
        if self._phase == "act":
            self._go("return")
            return
        self._step += 1
        self._go("passed" if self._step == len(self.actions) else "act")

    def _go(self, phase: Phase) -> None:
        self._phase, self._held = phase, 0
        if phase != "return":
            self._since = self._now


__all__ = ["EXPRESSIONS", "Expression", "ExpressionCheck", "ExpressionSettings", "Progress"]
