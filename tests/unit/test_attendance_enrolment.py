"""Enrolling unknown visitors is one change: it happens whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from arcid.apps.attendance import Attendance
from arcid.errors import InputError
from arcid.events import Events, Outbox, Place, Sightings
from arcid.gallery import Gallery
from arcid.types import Embeddings

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SIGHTINGS = 3
#: What one change does, in this order, and how often.
STEPS = [
    ("arcid.gallery.store.people.add", 1),
    ("arcid.gallery.store.faces.add", 1),
    ("arcid.events.store.corrections.correct", 1),
    ("arcid.events.store.traces.unblock", 1),
    ("arcid.events.store.corrections.correct", 2),
    ("arcid.events.store.corrections.correct", SIGHTINGS),
    ("arcid.events.store.traces.unblock", SIGHTINGS),
    ("arcid.gallery.store.journal.Journal.flush", 1),
]


class PulledOut(Exception):
    """The plug, in the middle of it."""


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        yield gallery


@pytest.fixture
def visitors(gallery: Gallery) -> list[str]:
    found = []
    for n in range(SIGHTINGS):
        raw = np.random.default_rng(n).standard_normal((1, 32))
        at = NOON + timedelta(hours=n)
        made = Sightings(gallery).visitor(
            "staff", Place("door", "door"), at, at, f"{n}", cooldown_s=60, alike=0.9,
            grounds={"model": "m"}, vector=Embeddings.normalised(raw, "c" * 64),
        )  # fmt: skip
        found += [event.id for event in made]
    return found


def failing(real: Callable[..., Any], time: int) -> Callable[..., Any]:
    """Works ``time - 1`` times, does its part once more, and breaks."""
    calls = 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = real(*args, **kwargs)
        if calls == time:
            raise PulledOut
        return answer

    return call


@pytest.mark.parametrize(("step", "time"), STEPS)
def test_a_failure_at_any_step_leaves_nothing_half_done(
    gallery: Gallery, visitors: list[str], step: str, time: int
) -> None:
    book, before = Attendance(gallery, "staff", targets=("hr",)), gallery.last_change()
    from pkgutil import resolve_name

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, failing(resolve_name(step), time))
        with pytest.raises(PulledOut):
            book.enrol_unknown(visitors, "Cleo", actor="op")
    assert gallery.find_person("staff", "Cleo") is None
    assert {(e.kind, e.name) for e in book.events()} == {("unknown", None)}
    assert gallery.last_change() == before
    assert Outbox(gallery).counts() == {}
    assert gallery.check() == []

    cleo = book.enrol_unknown(visitors, "Cleo", actor="op")  # and again, undisturbed
    assert cleo.faces == SIGHTINGS
    assert {(e.kind, e.person_id) for e in book.events()} == {("arrival", cleo.id)}
    assert Outbox(gallery).counts()["hr"]["waiting"] == SIGHTINGS


def test_somebody_named_meanwhile_is_not_enrolled_twice(
    gallery: Gallery, visitors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Attendance(gallery, "staff")
    enrol = Events.enrol

    def late(*args: Any, **kwargs: Any) -> Any:
        ben = gallery.add_person("staff", "Ben")
        book.correct(visitors[0], "reassign", person_id=ben.id, actor="other")
        return enrol(*args, **kwargs)

    monkeypatch.setattr(Events, "enrol", late)
    with pytest.raises(InputError, match="not unknown any more"):
        book.enrol_unknown(visitors, "Cleo", actor="op")
    assert gallery.find_person("staff", "Cleo") is None


def test_all_sightings_become_arrivals_and_some_faces_are_enrolled(
    gallery: Gallery, visitors: list[str]
) -> None:
    book = Attendance(gallery, "staff")
    cleo = book.enrol_unknown(visitors, "Cleo", actor="op", at_most=2)
    assert cleo.faces == 2
    kept = [face.photo_id for face in gallery.faces("staff", cleo.id)]
    assert kept == [f"event-{visitor}" for visitor in visitors[:2]]
    assert {(e.kind, e.person_id) for e in book.events()} == {("arrival", cleo.id)}
    with pytest.raises(InputError, match="not unknown any more"):
        book.enrol_unknown(visitors, "Cleo", actor="op", at_most=0)
