"""A door's contact: forced open, held open, opened by those who may."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from arcid.apps.access import Doorman, Doors, Now, Passages, State, contacts
from arcid.apps.access.machine import Answer
from arcid.apps.access.rules import Door, Site
from arcid.events.audit import Audit
from arcid.gallery import Gallery

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
DOOR = Door("d", "Front", "staff", release_s=5, held_s=30)
SITE = Site({"d": DOOR})


def at(seconds: float) -> Now:
    return Now(NOON + timedelta(seconds=seconds), 1000 + seconds)


def says(state: State, is_open: bool | None, seconds: float) -> tuple[State, Answer | None]:
    return contacts.contact(SITE, state, "d", is_open, "a1", at(seconds))


def shut() -> State:
    return says(State("boot"), False, 0)[0]


def test_a_shut_door_that_opens_by_itself_is_forced() -> None:
    state, alarm = says(shut(), True, 60)
    assert alarm is not None and (alarm.outcome, alarm.granted) == ("alarm", False)
    assert "nobody was let in" in alarm.words and state.door("d").alarm == alarm
    assert says(state, True, 61)[1] is None, "once"
    assert says(says(state, False, 62)[0], True, 63)[1] is not None


def test_a_door_that_somebody_was_let_through_or_left_by_is_not() -> None:
    released = shut().with_door("d", opened_ticks=at(10).ticks, opened_at=at(10).at)
    assert says(released, True, 16)[1] is None
    assert says(released, True, 18)[1] is not None, "long after its release"
    elsewhere = shut().with_door("d", opened_ticks=None, opened_at=at(10).at)
    assert says(elsewhere, True, 16)[1] is None, "opened by another process"
    left = contacts.request_exit(shut(), "d", at(10))
    assert says(left, True, 19)[1] is None
    assert says(left, True, 21)[1] is not None


def test_what_was_not_known_to_be_shut_is_not_forced() -> None:
    assert says(State("boot"), True, 0)[1] is None
    assert says(says(shut(), None, 1)[0], True, 2)[1] is None
    off = Site({"d": replace(DOOR, enabled=False)})
    assert contacts.contact(off, shut(), "d", True, "a", at(60))[1] is None


def test_a_door_held_open_is_told_once() -> None:
    left = contacts.request_exit(shut(), "d", at(10))
    state = says(left, True, 11)[0]
    assert contacts.held(SITE, state, "h", at(40))[1] == []
    state, (alarm,) = contacts.held(SITE, state, "h", at(42))
    assert alarm.words == "the door has been open for 30 s"
    state = says(state, True, 50)[0]
    assert contacts.held(SITE, state, "h", at(90))[1] == []
    state = says(says(state, False, 91)[0], True, 92)[0]
    assert contacts.held(SITE, state, "h", at(130))[1] != []


def soon(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_alarm_is_shown_until_it_is_acknowledged_and_logged(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "g.db") as gallery:
        gallery.create_collection("staff")
        Doors(gallery).add("Front", "staff")
        with Doorman(gallery, "c" * 64, tmp_path) as doorman:
            doorman.contact("Front", False)
            doorman.contact("Front", True)
            alarm = doorman.status("Front").alarm
            assert alarm is not None and doorman.status("Front").lately[0] == alarm
            soon(lambda: len(Passages(gallery).find("staff")) == 1)
            (passage,) = Passages(gallery).find("staff")
            assert (passage.outcome, passage.words) == ("alarm", alarm.words)
            doorman.acknowledge("Front")
            assert doorman.status("Front").alarm is None
            assert Audit(gallery).find()[0].verb == "door.acknowledge"


@pytest.mark.parametrize("seconds", [0, 4000])
def test_how_long_a_door_may_be_open_has_bounds(seconds: float) -> None:
    with pytest.raises(Exception, match="held_s"):
        replace(DOOR, held_s=seconds)
