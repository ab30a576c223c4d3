"""What the dialog of an event says in words: true, also after corrections."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from arcid.apps.attendance import Attendance
from arcid.apps.telling.mail import HAPPENED
from arcid.events import Place, Question, Reviews, Sightings
from arcid.gallery import Gallery
from arcid.server.console import strings as S
from arcid.server.console.pages._events import in_words
from arcid.types import Embeddings, Match

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DOOR = Place("door", "Door")


@pytest.fixture
def gallery(fresh: Path) -> Iterator[Gallery]:
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        for name in ("Ann", "Ben"):
            gallery.add_person("staff", name)
        yield gallery


def who(gallery: Gallery, name: str) -> str:
    found = gallery.find_person("staff", name)
    assert found is not None
    return found.id


def said(gallery: Gallery, event_id: str) -> str:
    book = Attendance(gallery, "staff")
    return " ".join(in_words(book.event(event_id), book.explain(event_id)))


def near(gallery: Gallery, *names: str, **more: object) -> dict[str, object]:
    asked = [{"person_id": who(gallery, name), "face_id": "f", "cosine": 0.3} for name in names]
    return {"candidates": asked, "gallery_size": 2, **more}


def test_an_arrival_says_who_saw_whom_how_likely_and_at_what_rate(gallery: Gallery) -> None:
    grounds = near(gallery, "Ann", probability=0.993, target_fpir=0.001,
                   liveness={"outcome": "flagged"})  # fmt: skip
    (event,) = Sightings(gallery).person(
        "staff", DOOR, who(gallery, "Ann"), NOON, cooldown_s=60, grounds=grounds
    )
    words = said(gallery, event.id)
    assert "Door saw Ann first on 2 Mar 2026" in words
    assert "99.3 % likely" in words and "1 in 1,000 of all strangers at most" in words
    assert "may have been a picture" in words
    (gone,) = Sightings(gallery).depart("staff", "door", NOON + timedelta(hours=1), "not seen")
    assert "Door saw Ann last" in said(gallery, gone.id)
    assert "not seen for a while" in said(gallery, gone.id)

    book = Attendance(gallery, "staff")
    book.correct(event.id, "reassign", person_id=who(gallery, "Ben"), actor="op")
    words = said(gallery, event.id)
    assert "Door saw Ben first" in words and "after a correction" in words
    assert "likely" not in words  # that was said of Ann
    gallery.delete_person("staff", who(gallery, "Ben"))
    assert "Door saw somebody since deleted" in said(gallery, event.id)


def test_an_entry_by_hand_names_who_entered_it_and_why(gallery: Gallery) -> None:
    book = Attendance(gallery, "staff")
    event = book.add("departure", who(gallery, "Ann"), NOON, actor="Olga", note="left early")
    words = said(gallery, event.id)
    assert "Olga entered that Ann left on 2 Mar 2026" in words and "“left early”" in words
    book.not_this_person(event.id, actor="op")
    words = said(gallery, event.id)
    assert "that Ann left" in words and words.endswith("It was taken back.")


def test_an_unknown_visitor_is_told_from_an_empty_collection(gallery: Gallery) -> None:
    def seen(mark: str, grounds: dict[str, object]) -> str:
        face = Embeddings.normalised(
            np.random.default_rng(len(mark)).standard_normal((1, 32)), "c" * 64
        )
        (event,) = Sightings(gallery).visitor(
            "staff", DOOR, NOON, NOON, mark, cooldown_s=60, alike=0.9, grounds=grounds, vector=face
        )
        return said(gallery, event.id)

    assert "Of those enrolled Ann is nearest" in seen("1", near(gallery, "Ann"))
    empty = seen("22", {"candidates": [], "gallery_size": 0})
    assert "Nobody was enrolled" in empty and "nearest" not in empty


def test_a_doubtful_face_asks_for_a_decision(gallery: Gallery) -> None:
    asked = [Match(who(gallery, "Ben"), "Ben", 0.4, "f", 1)]
    (event,) = Sightings(gallery).visitor(
        "staff", DOOR, NOON, NOON, "1", cooldown_s=60, alike=0.9, grounds=near(gallery, "Ben"),
        question=Question(asked, None, 0.01),
    )  # fmt: skip
    words = said(gallery, event.id)
    assert "not certain" in words and "It may be Ben. Somebody has to decide." in words
    Reviews(gallery).answer("staff", event.id, "no", actor="op")
    words = said(gallery, event.id)
    assert "somebody nobody knows" in words and "after a correction" in words


def test_a_search_for_duplicates_is_called_one_as_in_mail() -> None:
    """It is told of whatever it finds, nobody too."""
    assert S.EVENT_KINDS.keys() == HAPPENED.keys()
    assert S.EVENT_KINDS["duplicate"] == HAPPENED["duplicate"]
    assert S.TOLD["duplicate"].startswith("A search")
