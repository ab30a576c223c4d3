"""Times read off a clock: days on which it changes, and dates beyond the calendar."""

from __future__ import annotations

import time as system_time
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from arcid.apps.attendance import Attendance
from arcid.apps.attendance.clocks import moment
from arcid.errors import InputError
from arcid.gallery import Gallery
from arcid.server.console.pages import attendance as pages

BERLIN = ZoneInfo("Europe/Berlin")
FORWARD, BACK = date(2026, 3, 29), date(2026, 10, 25)


@pytest.fixture(params=["named", "machine"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Berlin by name, and as the zone of the machine."""
    if request.param == "named":
        yield BERLIN
        return
    monkeypatch.setenv("TZ", "Europe/Berlin")
    system_time.tzset()
    yield None
    monkeypatch.undo()
    system_time.tzset()


def test_a_time_on_a_day_the_clock_changes_keeps_its_own_offset(zone: ZoneInfo | None) -> None:
    event = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # half past midnight, winter time
    assert moment(FORWARD, time(8), zone, near=event) == datetime(2026, 3, 29, 6, tzinfo=UTC)
    assert moment(FORWARD, time(1), zone) == datetime(2026, 3, 29, 0, tzinfo=UTC)
    assert moment(BACK, time(8), zone) == datetime(2026, 10, 25, 7, tzinfo=UTC)
    assert moment(BACK, time(1), zone) == datetime(2026, 10, 24, 23, tzinfo=UTC)


def test_a_time_that_was_not_there_is_refused(zone: ZoneInfo | None) -> None:
    with pytest.raises(InputError, match="there was no 02:30 on 2026-03-29"):
        moment(FORWARD, time(2, 30), zone)
    assert moment(FORWARD, time(3), zone) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_a_time_that_was_there_twice_is_the_one_closer_to_the_event(zone: ZoneInfo | None) -> None:
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert moment(BACK, time(2, 30), zone) == first
    assert moment(BACK, time(2, 30), zone, near=datetime(2026, 10, 24, 22, tzinfo=UTC)) == first
    assert moment(BACK, time(2, 30), zone, near=datetime(2026, 10, 25, 8, tzinfo=UTC)) == second


@pytest.mark.parametrize("year", ["0001", "1969", "9999"])
def test_days_beyond_the_calendar_are_refused_with_what_is_wrong(tmp_path: Path, year: str) -> None:
    day, month = f"{year}-12-31", f"{year}-12"
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        gallery.create_collection("staff")
        book = Attendance(gallery, "staff")
        for ask in (
            lambda: pages._day(day),
            lambda: pages._month(month),
            lambda: pages._table(book, day, None, "sheet"),
            lambda: pages._table(book, day, None, "events"),
            lambda: pages._table(book, None, month, "sheet"),
            lambda: pages._table(book, None, month, "events"),
            lambda: book.day(date.fromisoformat(day)),
        ):
            with pytest.raises(InputError, match="between the years 1970 and 9998"):
                ask()
        assert book.day(date(9998, 12, 31)).rows == ()
        assert book.day(date(1970, 1, 1)).rows == ()
