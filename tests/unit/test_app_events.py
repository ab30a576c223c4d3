"""Events that applications write: once, told to receivers, and apart from attendance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from arcid.apps.attendance import Attendance
from arcid.errors import InputError, PersonNotFound
from arcid.events import APPS, Event, Events, Outbox, Place, Sightings
from arcid.gallery import Gallery, NewFace
from arcid.types import Embeddings

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DOOR = Place("door", "Door")
FACE = Embeddings.normalised(np.random.default_rng(0).standard_normal((1, 32)), "c" * 64)
GROUNDS = {"cosine": 0.7, "cosine_threshold": 0.4, "list": "kept", "details": {"list_id": "a1"}}


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        for name in ("Ann", "Ben"):
            gallery.enrol("staff", name, [NewFace(FACE, photo_id=name)])
        yield gallery


def who(gallery: Gallery, name: str) -> str:
    found = gallery.find_person("staff", name)
    assert found is not None
    return found.id


def alert(gallery: Gallery, number: int = 1, name: str = "Ann") -> Event | None:
    at = NOON + timedelta(minutes=number)
    return Events(gallery).write(
        "staff", "alert", ("list a", number), DOOR, at, person_id=who(gallery, name),
        grounds=GROUNDS, vector=FACE, targets=("hook",),
    )  # fmt: skip


def test_one_happening_is_written_and_told_once(gallery: Gallery) -> None:
    made = alert(gallery)
    assert made is not None and made.kind == "alert" and made.name == "Ann"
    assert alert(gallery) is None
    ((_, _, told),) = Outbox(gallery).due("hook", datetime.now(UTC))
    assert told.id == made.id
    said = told.told()["grounds"]
    assert said["details"] == {"list_id": "a1"} and "list" not in said


def test_attendance_shows_its_own_kinds_unless_asked(gallery: Gallery) -> None:
    Sightings(gallery).person(
        "staff", DOOR, who(gallery, "Ben"), NOON, cooldown_s=60, grounds=GROUNDS
    )
    alert(gallery)
    book = Attendance(gallery, "staff")
    assert [event.kind for event in book.events()] == ["arrival"]
    assert [event.kind for event in book.events(kinds=["alert"])] == ["alert"]
    both = Events(gallery).find("staff", kinds=["alert", "arrival"])
    assert [event.kind for event in both] == ["alert", "arrival"]
    assert [event.kind for event in Events(gallery).find("staff")] == ["alert", "arrival"]
    (row,) = [row for row in book.day(NOON.date(), zone=UTC).rows if row.name == "Ann"]
    assert row.absent


def test_not_this_person_takes_the_name_off_and_keeps_the_face_away(gallery: Gallery) -> None:
    made = alert(gallery)
    assert made is not None
    _, blocked = Events(gallery).correct("staff", made.id, "not_person", actor="Eve", block=True)
    read = Events(gallery).get("staff", made.id)
    assert blocked and read.person_id is None and read.kind == "alert" and not read.voided
    assert [one for one, _ in Events(gallery).blocked("staff", "c" * 64)] == [who(gallery, "Ann")]


def test_events_follow_a_merged_person_and_lose_a_deleted_one(gallery: Gallery) -> None:
    made = alert(gallery)
    assert made is not None
    gallery.merge_people("staff", who(gallery, "Ben"), who(gallery, "Ann"))
    assert Events(gallery).get("staff", made.id).name == "Ben"
    assert alert(gallery, 2, "Ben") is not None
    gallery.delete_person("staff", who(gallery, "Ben"))
    for event in Events(gallery).find("staff", kinds=APPS):
        assert event.name is None
        assert Events(gallery).trace("staff", event.id) is None


def test_only_applications_kinds_and_known_people(gallery: Gallery) -> None:
    events = Events(gallery)
    others: Any = "arrival"
    with pytest.raises(InputError, match="alert"):
        events.write("staff", others, ("x",), DOOR, NOON, grounds={})
    with pytest.raises(PersonNotFound):
        events.write("staff", "access", ("x",), DOOR, NOON, grounds={}, person_id="0" * 32)
    assert not events.find("staff")
