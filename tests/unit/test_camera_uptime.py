"""How much of the time a camera was live, by spans that days of every zone are made of."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from arcid.cameras import uptime
from arcid.cameras.book import Camera
from arcid.cameras.runner import Runner
from arcid.cameras.uptime import Uptime

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_gaps_are_no_uptime_and_what_was_not_watched_is_not_counted() -> None:
    camera = Uptime(at(10))
    for second in range(0, 20 * 60):  # 12:10 to 12:30
        if not 300 <= second < 600:  # five minutes without
            camera.picture(at(10) + timedelta(seconds=second))
    now = at(30)
    assert camera.share(at(0), at(15), now) == pytest.approx(1.0, abs=0.01)
    assert camera.share(at(15), at(30), now) == pytest.approx(10 / 15, abs=0.01)
    assert camera.share(at(0), at(60), now) == pytest.approx(15 / 20, abs=0.01)
    assert camera.share(at(-60), at(0), now) is None, "nobody watched yet"
    assert camera.share(at(30), at(60), now) is None, "that is to come"


def test_a_clock_set_back_counts_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Uptime(NOON)
    for second in (0, 1, 2, 1, 2, 3):
        camera.picture(NOON + timedelta(seconds=second))
    live = camera.share(NOON, at(15), NOON + timedelta(seconds=8))
    assert live == pytest.approx(4 / 8)
    monkeypatch.setattr(uptime, "KEPT", 3)
    for span in range(1, 6):
        camera.picture(at(15 * span))
        camera.picture(at(15 * span) + timedelta(seconds=3))
    assert camera.share(at(0), at(30), at(90)) == 0.0, "only the newest are kept"
    assert camera.share(at(75), at(90), at(76)) == pytest.approx(3 / 60)


def test_a_camera_s_thread_counts_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    picture: Any = SimpleNamespace(health=(), frame=SimpleNamespace(image=np.zeros((4, 6, 3))))

    def watch(runner: Runner) -> None:
        for _ in range(5):
            runner._seen(picture)
            time.sleep(0.02)

    monkeypatch.setattr(Runner, "_watch", watch)
    nothing: Any = None
    runner = Runner(Camera("1", "d", "0", "c", "", "off", True), nothing, nothing, nothing)
    runner.join(10)
    began = runner.uptime.began
    day = began.replace(hour=0, minute=0, second=0, microsecond=0)
    now = began + timedelta(seconds=1)
    share = runner.uptime.share(day, day + timedelta(days=2), now)
    assert share is not None and 0.05 < share <= 1.0
