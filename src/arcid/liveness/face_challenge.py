"""Both active checks as one run: turn the head, then close the eyes and open the mouth."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy.typing as npt

from arcid.liveness.challenge import Challenge, ChallengeSettings, Failure, Hint, Status
from arcid.liveness.expression import Expression, ExpressionCheck, ExpressionSettings

#: What is said while an expression has to end, so that a look at the face at rest follows.
_BACK: dict[Expression, Hint] = {"close_eyes": "open_eyes", "open_mouth": "close_mouth"}


class FaceChallenge:
    """``Challenge`` and, once that is passed, an ``ExpressionCheck`` where one is given.

    One ``Status`` of both: every expression is a step more. Its phase is "centre" where the face
    should be at rest: before an action, and while an expression ends. As for ``Challenge``, whoever
    uses the result embeds the face in every one of them.
    """

    def __init__(self, turns: Challenge, expressions: ExpressionCheck | None = None) -> None:
        self._turns, self._expressions = turns, expressions
        more = () if expressions is None else expressions.actions
        self.actions: tuple[str, ...] = (*turns.actions, *more)
        self._seen = math.inf  # when the face was, since the turns are done
        self._lost = False

    @classmethod
    def draw(
        cls,
        settings: ChallengeSettings | None = None,
        expressions: ExpressionSettings | None = None,
        rng: random.Random | None = None,
    ) -> FaceChallenge:
        """Each part in random order; no expressions where ``expressions`` is None."""
        check = None if expressions is None else ExpressionCheck.draw(expressions, rng)
        return cls(Challenge.draw(settings, rng), check)

    @property
    def status(self) -> Status:
        turned, expressions = self._turns.status, self._expressions
        if expressions is None:
            return turned
        if turned.phase != "passed":
            return replace(turned, steps=len(self.actions))
        now, step, steps = expressions.progress, turned.steps, len(self.actions)
        at = Status("centre", None, "look_straight", step + now.step, steps, now.left_s)
        if self._lost or now.phase == "failed":
            why: Failure = "face_lost" if self._lost else "too_slow"
            return replace(at, phase="failed", hint="done", failure=why)
        if now.phase == "passed":
            return replace(at, phase="passed", hint="done")
        if now.action is None:
            return at
        if now.phase == "return":
            return replace(at, hint=_BACK[now.action], progress=0.5)
        return replace(at, phase="act", action=now.action, hint="go_on")

    def update(
        self,
        points: npt.ArrayLike | None,
        openness: tuple[float, float] | None,
        time_s: float,
    ) -> Status:
        """One frame: (5,2) pixels of the tracked face, and openness of its eyes and mouth; None
        where it was not found. Raises ``InvalidArray``."""
        if self._turns.status.phase != "passed":
            self._turns.update(points, time_s)
            self._seen = time_s
        elif self._expressions is not None and not self.status.finished:
            self._seen = self._seen if points is None else max(self._seen, time_s)
            self._lost = time_s - self._seen > self._turns.settings.lost_limit_s
            self._expressions.update(None if points is None else openness, time_s)
        return self.status


__all__ = ["FaceChallenge"]
