"""Times read off a clock: days on which it changes, and dates beyond the calendar."""

from __future__ import annotations

import time as system_time
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arcid.apps.attendance import Attendance, export
from arcid.apps.attendance.clocks import moment
from arcid.cli import app
from arcid.cli.output import run_command
from arcid.errors import InputError
from arcid.gallery import Gallery
from arcid.server.console.pages import _attendance, downloads

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
def test_days_beyond_the_calendar_are_refused_with_what_is_wrong(fresh: Path, year: str) -> None:
    day, month = f"{year}-12-31", f"{year}-12"
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        book = Attendance(gallery, "staff")
        for ask in (
            lambda: _attendance.day_of(day),
            lambda: _attendance.month_of(month),
            lambda: downloads._table(book, day, None, "sheet"),
            lambda: downloads._table(book, day, None, "events"),
            lambda: downloads._table(book, None, month, "sheet"),
            lambda: downloads._table(book, None, month, "events"),
            lambda: book.day(date.fromisoformat(day)),
        ):
            with pytest.raises(InputError, match="between the years 1970 and 9998"):
                ask()
        assert book.day(date(9998, 12, 31)).rows == ()
        assert book.day(date(1970, 1, 1)).rows == ()


# times of events

EXTREMES = st.datetimes(
    min_value=datetime(1, 1, 1),
    max_value=datetime(9999, 12, 31, 23, 59, 59, 999999),
    timezones=st.sampled_from(
        [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12)),
         ZoneInfo("Pacific/Kiritimati")]
    ),
)  # fmt: skip
ENDS = [datetime.min, datetime.max, datetime(1969, 12, 31, 23), datetime(9999, 1, 1),
        datetime(1970, 1, 1), datetime(9998, 12, 31, 23, 59)]  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Attendance, str]]:
    """A book and a person; events of every time that was taken gather in it."""
    with Gallery.open(tmp_path_factory.mktemp("times") / "gallery.db") as gallery:
        gallery.create_collection("staff")
        yield Attendance(gallery, "staff"), gallery.add_person("staff", "Ann").id


@given(
    at=EXTREMES, since=EXTREMES, zone=st.sampled_from(["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
)
@example(at=ENDS[0].replace(tzinfo=UTC), since=ENDS[1].replace(tzinfo=UTC), zone="UTC")
@example(at=ENDS[3].replace(tzinfo=UTC), since=ENDS[0].replace(tzinfo=UTC), zone="UTC")
@settings(deadline=None, max_examples=60, derandomize=True, database=None)
def test_a_time_is_taken_and_can_be_shown_anywhere_or_is_refused_in_words(
    written: tuple[Attendance, str], at: datetime, since: datetime, zone: str
) -> None:
    book, ann = written
    try:
        year = at.astimezone(UTC).year
    except OverflowError:
        year = 0
    try:
        made = book.add("arrival", ann, at, actor="op", note=at.isoformat())
        assert 1970 <= year <= 9998
    except InputError as refused:
        assert not 1970 <= year <= 9998 or "entered before" in refused.message
        return
    try:
        book.correct(made.id, "retime", at=since, actor="op")
        book.events(since=since, until=at)
    except InputError as refused:
        assert "between the years" in refused.message
    table = export.events_table(book.events(limit=None), zone=ZoneInfo(zone))
    for kind in ("csv", "json", "xlsx"):
        export.written(table, kind)
    book.day(date(9998, 12, 31), zone=ZoneInfo(zone))


@pytest.mark.parametrize("at", ENDS)
def test_the_command_line_answers_any_time_with_an_exit_code(
    tmp_path: Path, at: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gallery.db"
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        gallery.add_person("staff", "Ann")
    own = ["--collection", "staff", "--database", str(path)]
    bounded = 1970 <= at.year <= 9998
    for words in (
        ["events", "add", "arrival", "Ann", at.isoformat()],
        ["events", "list", "--since", at.isoformat()],
        ["events", "export", str(tmp_path / "e.csv"), "--until", at.isoformat()],
        ["events", "export", str(tmp_path / "d.csv"), "--day", at.date().isoformat()],
    ):
        code = run_command(app, [*words, *own])
        assert code in ((0,) if bounded else (2, 3)), words
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert bounded or "between the years" in captured.err or "is no time" in captured.err


@pytest.mark.parametrize("sheet", [["--day", "2026-03-02"], ["--month", "2026-03"]])
@pytest.mark.parametrize("span", ["--since", "--until"])
def test_a_sheet_is_of_its_whole_day_or_month(
    tmp_path: Path, sheet: list[str], span: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, file = tmp_path / "gallery.db", tmp_path / "sheet.csv"
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
    words = ["events", "export", str(file), *sheet, "--database", str(path)]
    assert run_command(app, [*words, "--collection", "staff", span, "2026-03-02"]) == 2
    assert "a sheet is of its whole day or month" in capsys.readouterr().err
    assert not file.exists()


def test_a_gallery_that_holds_a_time_of_the_year_9999_can_be_read(fresh: Path) -> None:
    """As an arcid before this bound wrote it."""
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        ann = gallery.add_person("staff", "Ann").id
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("arcid.events.store.events.LAST_YEAR", 9999)
            book = Attendance(gallery, "staff")
            late = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
            made = book.add("arrival", ann, late, actor="op")
        (event,) = book.events()
        export.events_table([event], zone=ZoneInfo("Pacific/Kiritimati"))
        book.day(date(2026, 3, 2), zone=ZoneInfo("Pacific/Kiritimati"))
        book.correct(made.id, "void", actor="op")
        assert book.events() == []
