"""A head on film that turns as asked, and what is handed in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.browser import film

from arcid.apps.onboarding.live import Live, Look
from arcid.image import load_image
from arcid.liveness import Challenge
from arcid.pipeline import Pipeline
from arcid.types import Image
from arcid.video import Frame

pytestmark = pytest.mark.data
ASKED = {"turn_left": "left", "turn_right": "right", "come_closer": "closer"}
STEP_S = 0.15


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.from_models()


@pytest.fixture(scope="module")
def head(data_dir: Path) -> dict[str, list[Image]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        found = film.turning_head(data_dir / "data/video/yakhyo_in_video.mp4")
    return {
        name: [np.ascontiguousarray(p[..., ::-1]) for p in shown] for name, shown in found.items()
    }


def run(live: Live, pictures: dict[str, list[Image]], *, swap: Any = None, most: int = 400) -> Look:
    """Somebody who does what is asked, each picture for a moment; the last look. ``swap``: what
    stands there once an action is over."""
    asked, step, look = "straight", 0, Look("waiting")
    for number in range(most):
        status = look.challenge
        wanted = "straight" if status is None or status.action is None else ASKED[status.action]
        step = step + 1 if wanted == asked else 0
        asked = wanted
        shown = pictures[asked]
        image = shown[min(step // 2, len(shown) - 1)]
        if swap is not None and status is not None and status.step > 0:
            image = swap
        look = live.look(Frame(image, number * STEP_S, number * STEP_S, number))
        if look.state in ("passed", "failed"):
            return look
    return look


def test_a_head_that_turns_as_asked_is_kept_at_its_best(
    pipeline: Pipeline, head: dict[str, list[Image]]
) -> None:
    live = Live(pipeline, draw=lambda: Challenge(("turn_left", "turn_right", "come_closer")))
    assert run(live, head).state == "passed"
    assert live.capture is not None and live.capture.actions[0] == "turn_left"
    assert len(live.capture.detections) == 1
    quality = live.capture.face.quality
    assert quality is not None and not quality.reasons and abs(quality.yaw_deg or 0) < 12


def test_another_face_on_the_way_ends_it(
    pipeline: Pipeline, head: dict[str, list[Image]], data_dir: Path
) -> None:
    other = film.scene(data_dir / "data/deepface-pairs/img1.jpg")[..., ::-1]
    live = Live(pipeline, draw=lambda: Challenge(("turn_left", "turn_right")))
    look = run(live, head, swap=np.ascontiguousarray(other))
    assert (look.state, live.capture) == ("failed", None)
    assert look.failure in ("changed", "jumped")


def test_a_picture_that_does_nothing_runs_out_of_time(
    pipeline: Pipeline, head: dict[str, list[Image]]
) -> None:
    still = dict.fromkeys(head, head["straight"])
    live = Live(pipeline, draw=lambda: Challenge(("turn_left",)))
    look = run(live, still)
    assert (look.state, look.failure, live.capture) == ("failed", "too_slow", None)


def test_what_cannot_begin_is_said(
    pipeline: Pipeline, head: dict[str, list[Image]], data_dir: Path
) -> None:
    def seen(image: Image) -> Look:
        return Live(pipeline).look(Frame(np.ascontiguousarray(image), 0.0, 0.0, 0))

    assert seen(np.full((480, 640, 3), 128, np.uint8)).state == "waiting"
    assert seen(load_image(data_dir / "data/photos/group/couple.jpg")).state == "several"
    soft = np.asarray(cv2.GaussianBlur(head["straight"][0], (0, 0), 6), np.uint8)
    blurred = seen(soft)
    assert blurred.state == "unusable" and blurred.reason is not None
    assert blurred.reason.code == "blurred"
