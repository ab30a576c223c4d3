"""Stays and pages of events in a book that is corrected and left alone, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from arcid.apps.attendance import Attendance, Event
from arcid.errors import CursorInvalid
from arcid.events import Outbox, Place, Sightings
from arcid.gallery import Gallery, NewFace, pages
from arcid.types import Embeddings

CONTRACT = "c" * 64
MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DOOR = Place("door", "door")


def vector(seed: int) -> Embeddings:
    raw = np.random.default_rng(seed).standard_normal((1, 32))
    return Embeddings.normalised(raw, CONTRACT)


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        for seed, name in enumerate(("Ann", "Ben")):
            gallery.enrol("staff", name, [NewFace(vector(seed), photo_id=name)])
        yield gallery


@pytest.fixture
def book(gallery: Gallery) -> Attendance:
    return Attendance(gallery, "staff")


def person(gallery: Gallery, name: str) -> str:
    found = gallery.find_person("staff", name)
    assert found is not None
    return found.id


def seen(
    gallery: Gallery, name: str, at: datetime, place: Place = DOOR, **options: Any
) -> list[str]:
    found = Sightings(gallery).person(
        "staff", place, person(gallery, name), at, cooldown_s=60, grounds={"cooldown_s": 60.0},
        **options,
    )  # fmt: skip
    return [event.kind for event in found]


def day(number: int, seconds: float = 0) -> datetime:
    return MONDAY + timedelta(days=number, seconds=seconds)


# pages


def paged(book: Attendance, limit: int, **span: Any) -> list[Event]:
    return list(pages(lambda after: book.events(limit=limit, after=after, **span)))


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_hold_every_retimed_event_once_and_in_order(
    gallery: Gallery, book: Attendance, limit: int
) -> None:
    ann = person(gallery, "Ann")
    made = [book.add("arrival", ann, day(0, 60 * n), actor="op") for n in range(10)]
    for n, to in ((0, 330), (4, -600), (9, 90), (7, 120), (2, 999)):
        book.correct(made[n].id, "retime", at=day(0, to), actor="op")
    back = book.correct(made[5].id, "retime", at=day(3), actor="op")
    book.correct(back.id, "void", actor="op")  # it lies where it did

    expected = sorted(
        ((book.event(e.id).at, n, e.id) for n, e in enumerate(made)), reverse=True
    )  # of one time (120 s: the second and the seventh) the later row first
    ids = [one[2] for one in expected]
    assert [e.id for e in book.events()] == ids
    assert [e.id for e in paged(book, limit)] == ids
    span = {"since": day(0, 61), "until": day(0, 500)}
    inside = [uid for at, _, uid in expected if span["since"] <= at < span["until"]]
    assert 0 < len(inside) < 10
    assert [e.id for e in paged(book, limit, **span)] == inside


def test_a_page_goes_on_where_it_stood_whatever_became_of_its_last_event(
    gallery: Gallery, book: Attendance
) -> None:
    ann = person(gallery, "Ann")
    made = [book.add("arrival", ann, day(0, 60 * n), actor="op") for n in range(4)]
    page = book.events(limit=2)
    assert [e.id for e in page] == [made[3].id, made[2].id]
    book.correct(made[2].id, "retime", at=day(0, 30), actor="op")
    rest = book.events(after=page.next)
    assert [e.id for e in rest] == [made[1].id, made[2].id, made[0].id] and rest.next is None
    with pytest.raises(CursorInvalid):
        book.events(after="0" * 32)


# stays nobody saw the end of


def test_a_stay_left_open_ends_when_the_person_comes_again(
    gallery: Gallery, book: Attendance
) -> None:
    assert seen(gallery, "Ann", day(0), targets=("hr",)) == ["arrival"]
    assert seen(gallery, "Ann", day(0, 30), targets=("hr",)) == []
    assert seen(gallery, "Ben", day(0), targets=("hr",)) == ["arrival"]
    assert seen(gallery, "Ann", day(0, 5), Place("gate", "gate"), targets=("hr",)) == ["arrival"]
    for number in (1, 2):
        again = seen(gallery, "Ann", day(number), targets=("hr",))
        assert again == ["departure", "arrival"]
    there = [(v.name, v.place, v.arrived_at) for v in book.present()]
    assert there == [("Ben", "door", day(0)), ("Ann", "gate", day(0, 5)), ("Ann", "door", day(2))]
    left = book.events(kinds=["departure"])
    assert [(e.name, e.place, e.at) for e in left] == [
        ("Ann", "door", day(1)), ("Ann", "door", day(0, 30)),
    ]  # fmt: skip
    assert {e.grounds["cause"] for e in left} == {"came_again"}
    told = [e.kind for _, _, e in Outbox(gallery).due("hr", datetime.now(UTC))]
    assert told == ["arrival"] * 3 + ["departure", "arrival"] * 2
    assert gallery.check() == []


def test_a_check_in_a_day_is_no_stay_of_days(gallery: Gallery, book: Attendance) -> None:
    for number in range(3):
        seen(gallery, "Ann", day(number))
        seen(gallery, "Ann", day(number, 20))
    now = day(2, 25)
    rows = [book.day(day(n).date(), zone=UTC, now=now).rows[0] for n in range(3)]
    assert [(row.first_in, row.seconds) for row in rows] == [(day(n), 20.0) for n in range(3)]
    assert [row.still_there for row in rows] == [False, False, True]


def test_a_departure_because_they_came_again_is_undone_with_its_arrival(
    gallery: Gallery, book: Attendance
) -> None:
    seen(gallery, "Ann", day(0))
    seen(gallery, "Ann", day(1))
    _, left, first = book.events()
    fixed = book.correct(first.id, "void", actor="op")
    assert (book.event(left.id).voided, book.event(first.id).voided) == (True, True)
    book.correct(fixed.id, "void", actor="op")
    assert (book.event(left.id).voided, book.event(first.id).voided) == (False, False)
    assert [v.arrived_at for v in book.present()] == [day(1)]


def test_an_undone_correction_does_not_join_days(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", day(0))
    seen(gallery, "Ann", day(0, 20))
    fixed = book.correct(book.events()[0].id, "void", actor="op")
    assert seen(gallery, "Ann", day(1)) == ["arrival"]
    book.correct(fixed.id, "void", actor="op")
    assert [v.arrived_at for v in book.present()] == [day(1)]
    assert [(e.kind, e.at) for e in book.events()] == [
        ("arrival", day(1)), ("departure", day(0, 20)), ("arrival", day(0)),
    ]  # fmt: skip


def test_a_stay_given_to_somebody_left_open_there_before_ends_that_one(
    gallery: Gallery, book: Attendance
) -> None:
    seen(gallery, "Ben", day(0))
    seen(gallery, "Ann", day(1))
    book.correct(book.events()[0].id, "reassign", person_id=person(gallery, "Ben"), actor="op")
    assert [(v.name, v.arrived_at) for v in book.present()] == [("Ben", day(1))]
    assert [(e.name, e.at) for e in book.events(kinds=["departure"])] == [("Ben", day(0))]


def test_an_older_sighting_that_comes_late_does_not_end_the_newer_stay(
    gallery: Gallery, book: Attendance
) -> None:
    seen(gallery, "Ann", day(1))
    assert seen(gallery, "Ann", day(0)) == ["arrival"]  # a recording of yesterday
    assert [v.arrived_at for v in book.present()] == [day(1)]


@pytest.mark.parametrize("gone", [False, True])
def test_a_recording_read_late_makes_nobody_present_twice_or_for_days(
    gallery: Gallery, book: Attendance, gone: bool
) -> None:
    def sheets() -> list[tuple[Any, ...]]:
        rows = [book.day(day(n).date(), zone=UTC, now=day(1, 40)).rows[0] for n in (0, 1)]
        return [(r.first_in, r.seconds, r.still_there, r.incomplete) for r in rows]

    seen(gallery, "Ann", day(1))
    seen(gallery, "Ann", day(1, 30))
    if gone:
        Sightings(gallery).depart("staff", "door", day(1, 30), "gone")
    for seconds in (0, 20, 50):
        seen(gallery, "Ann", day(0, seconds))
        assert [v.arrived_at for v in book.present()] == [day(1)] * (not gone)
        assert sheets() == [(day(0), seconds, False, False), (day(1), 30, not gone, False)]
    before = sheets()
    ended = Sightings(gallery).depart("staff", "door", day(0, 50), "the source ended")
    assert [(e.kind, e.at) for e in ended] == [("departure", day(0, 50))]
    assert [v.arrived_at for v in book.present()] == [day(1)] * (not gone)
    assert sheets() == before


# cameras that are closed


def test_a_closed_camera_ends_the_stays_it_began(gallery: Gallery, book: Attendance) -> None:
    seen(gallery, "Ann", day(0), Place("hall", "left"))
    seen(gallery, "Ben", day(0), Place("hall", "right"))
    ended = Sightings(gallery).abandon(
        "staff", Place("hall", "left"), "the camera was closed", cause="camera_closed"
    )
    assert [(e.name, e.kind, e.at) for e in ended] == [("Ann", "departure", day(0))]
    (left,) = book.events(kinds=["departure"])
    assert left.grounds["cause"] == "camera_closed"
    assert [v.name for v in book.present()] == ["Ben"]


def test_a_camera_opened_again_at_once_goes_on_with_the_stay(
    gallery: Gallery, book: Attendance
) -> None:
    for at in (0, 20, 40):
        seen(gallery, "Ann", day(0, at))
        Sightings(gallery).abandon("staff", DOOR, "the camera was closed", cause="camera_closed")
        assert book.present() == []
    assert seen(gallery, "Ann", day(0, 90)) == ["correction"]
    assert [(v.arrived_at, v.last_seen_at) for v in book.present()] == [(day(0), day(0, 90))]
    Sightings(gallery).depart("staff", "door", day(1), "gone")
    assert [(e.kind, e.at) for e in book.events()] == [
        ("departure", day(0, 90)), ("arrival", day(0)),
    ]  # fmt: skip
    (row,) = [r for r in book.day(day(0).date(), zone=UTC).rows if r.name == "Ann"]
    assert (row.seconds, row.still_there, row.incomplete) == (90.0, False, False)
    (arrival,) = book.events(kinds=["arrival"])
    fixed = book.correct(arrival.id, "void", actor="op")
    assert book.events() == []
    book.correct(fixed.id, "void", actor="op")
    assert [e.kind for e in book.events()] == ["departure", "arrival"]


@pytest.mark.parametrize("ended", [False, True])
def test_a_stay_of_days_counts_on_each_of_them(
    gallery: Gallery, book: Attendance, ended: bool
) -> None:
    book.add("arrival", person(gallery, "Ben"), day(0), actor="op")  # and nothing after it
    book.add("departure", person(gallery, "Ben"), day(2, 60), actor="op")
    for number in range(5):
        Sightings(gallery).person(
            "staff", DOOR, person(gallery, "Ann"), day(number), cooldown_s=2 * 86_400, grounds={}
        )
    if ended:
        Sightings(gallery).depart("staff", "door", day(9), "gone")
    assert bool(book.present()) is not ended
    days = [book.day(day(n).date(), zone=UTC, now=day(4, 60)).rows[0] for n in range(6)]
    assert [row.hours for row in days] == [16, 24, 24, 24, 8, 0]
    assert [row.still_there for row in days] == [False] * 4 + [not ended, False]
    assert not any(row.incomplete for row in days)
    month = book.month(2026, 3, zone=UTC, now=day(4, 60)).rows[0]
    assert month.days[1:6] == (*days[:5],)
    ben = book.day(day(2).date(), zone=UTC, now=day(4, 60)).rows[1]
    assert (ben.seconds, ben.incomplete) == (0.0, True), "somebody else's stay changes nothing"
