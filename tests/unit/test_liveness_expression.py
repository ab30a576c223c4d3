"""Eyes closed and mouth opened, each begun and ended; a still picture does neither."""

from __future__ import annotations

import random

import pytest

from arcid.errors import InvalidArray, UsageError
from arcid.liveness.expression import ExpressionCheck, ExpressionSettings

REST, CLOSED, OPEN = (0.3, 0.02), (0.1, 0.02), (0.3, 0.5)


def run(check: ExpressionCheck, frames: list[tuple[float, float] | None]) -> str:
    for number, frame in enumerate(frames):
        check.update(frame, number / 10)
    return check.progress.phase


def test_both_are_done_and_undone() -> None:
    check = ExpressionCheck(["close_eyes", "open_mouth"])
    assert run(check, [REST] * 5) == "act" and check.progress.action == "close_eyes"
    frames = [REST] * 5 + [CLOSED] * 3 + [REST] * 3
    check = ExpressionCheck(["close_eyes", "open_mouth"])
    assert run(check, frames) == "act" and check.progress.action == "open_mouth"
    check = ExpressionCheck(["close_eyes", "open_mouth"])
    assert run(check, [*frames, *[OPEN] * 3, *[REST] * 3]) == "passed"
    assert check.progress.step == 2 and check.progress.finished


@pytest.mark.parametrize(
    "frames",
    [
        [REST] * 100,  # a picture
        [CLOSED] * 100,  # a picture with closed eyes
        [REST] * 5 + [CLOSED] * 95,  # never opened again
        [REST] * 5 + [OPEN] * 95,  # the wrong one
        [REST] * 5 + [CLOSED, REST] * 47,  # a flicker, no frame of which is followed by its like
        [REST] * 5 + [CLOSED, None] * 47,
    ],
)
def test_what_is_no_expression_fails_in_time(frames: list[tuple[float, float] | None]) -> None:
    assert run(ExpressionCheck(["close_eyes"]), frames) == "failed"


def test_the_person_s_own_eyes_are_the_measure() -> None:
    narrow, shut = (0.18, 0.02), (0.08, 0.02)
    frames = [narrow] * 5 + [shut] * 2 + [narrow] * 2
    assert run(ExpressionCheck(["close_eyes"]), frames) == "passed"
    assert run(ExpressionCheck(["close_eyes"]), [REST] * 5 + [(0.2, 0.0)] * 4 + [REST] * 2) == "act"


def test_old_frames_are_ignored_and_numbers_that_are_none_refused() -> None:
    check = ExpressionCheck(["close_eyes"], ExpressionSettings(rest_frames=2))
    for _ in range(9):
        check.update(REST, 1.0)
    assert check.progress.phase == "rest"
    with pytest.raises(InvalidArray):
        check.update((float("nan"), 0.0), 2.0)
    for wrong in ({"closed": 0.9}, {"shut": 0.3}, {"hold_frames": 0}, {"step_limit_s": 0}):
        with pytest.raises(UsageError):
            ExpressionSettings(**wrong)
    for actions in ([], ["smile"]):
        with pytest.raises(UsageError, match="close_eyes, open_mouth"):
            ExpressionCheck(actions)


def test_the_order_is_drawn() -> None:
    orders = {ExpressionCheck.draw(rng=random.Random(seed)).actions for seed in range(20)}
    assert len(orders) == 2
