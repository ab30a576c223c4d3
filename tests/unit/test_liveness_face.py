"""Head turns and expressions as one run: steps, looks at rest, and who gets lost on the way."""

from __future__ import annotations

import random
from typing import Any

import pytest

from arcid.liveness import Challenge, FaceChallenge
from arcid.liveness.challenge import Status
from arcid.liveness.expression import ExpressionCheck, ExpressionSettings

REST, CLOSED, OPEN = (0.3, 0.02), (0.1, 0.02), (0.3, 0.5)
FIVE = [[0, 0], [60, 0], [30, 40], [10, 70], [50, 70]]


class Turned(Challenge):
    """Turns that are done at the second frame."""

    frames = 0

    @property
    def status(self) -> Status:
        if self.frames < 2:
            return Status("act", "turn_left", "go_on", 2, 3, 5.0)
        return Status("passed", None, "done", 3, 3, 5.0)

    def update(self, points: Any, time_s: float) -> Status:
        self.frames += 1
        return self.status


def challenge(*expressions: Any) -> FaceChallenge:
    turns = Turned(["turn_left", "turn_right", "come_closer"])
    return FaceChallenge(turns, ExpressionCheck(expressions) if expressions else None)


def run(one: FaceChallenge, frames: list[Any], every_s: float = 0.1) -> list[Status]:
    return [
        one.update(None if frame is None else FIVE, frame, number * every_s)
        for number, frame in enumerate(frames)
    ]


def test_expressions_are_steps_after_the_turns() -> None:
    one = challenge("close_eyes", "open_mouth")
    assert one.actions == ("turn_left", "turn_right", "come_closer", "close_eyes", "open_mouth")
    seen = run(one, [*[REST] * 7, *[CLOSED] * 2, *[REST] * 2, *[OPEN] * 2, *[REST] * 2])
    assert [s.step for s in seen] == [2] + [3] * 9 + [4] * 4 + [5]
    assert {s.steps for s in seen} == {5}
    assert (seen[0].action, seen[6].action, seen[10].action) == (
        "turn_left", "close_eyes", "open_mouth",
    )  # fmt: skip
    back = [(s.phase, s.hint) for s in seen if s.progress == 0.5]
    assert set(back) == {("centre", "open_eyes"), ("centre", "close_mouth")}
    assert (seen[-1].phase, seen[-1].finished) == ("passed", True)


def test_without_landmarks_it_is_the_challenge() -> None:
    one = challenge()
    assert [s.phase for s in run(one, [REST] * 3)] == ["act", "passed", "passed"]
    assert one.status.steps == 3


@pytest.mark.parametrize(
    ("frames", "failure"),
    [([REST] * 60 + [REST] * 60, "too_slow"), ([REST] * 5 + [None] * 12, "face_lost")],
)
def test_who_does_nothing_or_leaves_fails(frames: list[Any], failure: str) -> None:
    last = run(challenge("close_eyes"), frames)[-1]
    assert (last.phase, last.failure, last.suspected_attack) == ("failed", failure, False)


def test_who_is_lost_does_not_come_back() -> None:
    one = challenge("close_eyes")
    frames = [*[REST] * 7, *[None] * 15, *[CLOSED] * 3, *[REST] * 4]
    assert run(one, frames)[-1].failure == "face_lost"


def test_both_parts_are_drawn() -> None:
    drawn = [FaceChallenge.draw(None, ExpressionSettings(), random.Random(n)) for n in range(20)]
    assert {len(one.actions) for one in drawn} == {5}
    assert {one.actions[3] for one in drawn} == {"close_eyes", "open_mouth"}
    assert len(FaceChallenge.draw().actions) == 3
