"""Events counted by hour and by day, over the days on which clocks change too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from arcid.apps.attendance.trends import starts_of, trend

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 30, 10, 20, tzinfo=UTC)  # 12:20 there; clocks went forward on the 29th


def test_days_are_the_calendar_s() -> None:
    moments = [
        ("arrival", datetime(2026, 3, 28, 22, 59, tzinfo=UTC)),  # 23:59
        ("arrival", datetime(2026, 3, 28, 23, 0, tzinfo=UTC)),  # 0:00 on the 29th
        ("arrival", datetime(2026, 3, 29, 21, 59, tzinfo=UTC)),  # 23:59, an hour shorter
        ("unknown", NOW),
        ("unknown", NOW + timedelta(minutes=1)),  # a camera whose clock is ahead
        ("arrival", datetime(2026, 3, 23, 22, 0, tzinfo=UTC)),  # 23:00 on the 23rd
        ("departure", NOW),
    ]
    found = trend(moments, ("arrival", "unknown"), days=7, now=NOW, zone=BERLIN)
    assert [start.day for start in found.starts] == [24, 25, 26, 27, 28, 29, 30]
    assert all((start.hour, start.minute) == (0, 0) for start in found.starts)
    assert not found.hourly
    assert found.counts == {"arrival": (0, 0, 0, 0, 1, 2, 0), "unknown": (0, 0, 0, 0, 0, 0, 1)}


def test_hours_are_the_last_24_each_as_long() -> None:
    now = datetime(2026, 3, 29, 4, 30, tzinfo=UTC)
    starts = starts_of(1, now, BERLIN)
    assert len(starts) == 24 and starts[-1].hour == 6 and starts[0].hour == 6
    steps = {after.astimezone(UTC) - before.astimezone(UTC) for before, after in pairwise(starts)}
    assert steps == {timedelta(hours=1)}
    assert [start.hour for start in starts].count(2) == 0, "there was no two o'clock"
    moments = [("arrival", starts[0].astimezone(UTC) + timedelta(minutes=59)),
               ("arrival", starts[0].astimezone(UTC) - timedelta(seconds=1)),
               ("arrival", now)]  # fmt: skip
    found = trend(moments, ["arrival"], days=1, now=now, zone=BERLIN)
    assert found.hourly
    assert found.counts["arrival"] == (1, *[0] * 22, 1)
