"""Attendance by hand: entered and corrected by a typed name, while the day goes on behind it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from tests.serving import until

from arcid.apps.attendance import Attendance
from arcid.events import Audit, Place, Sightings
from arcid.gallery import Gallery
from arcid.types import Embeddings, Image

pytestmark = pytest.mark.data


@pytest.fixture
def crew(home: Path, url: str) -> Iterator[Gallery]:
    """Three people in a collection of this test's own."""
    with Gallery.open(home / "gallery.db", create=False) as gallery:
        gallery.create_collection("crew")
        for name in ("Ann Aston", "Ben Booth", "Zoe Zander"):
            gallery.add_person("crew", name)
        yield gallery
        gallery.delete_collection("crew")


def strangers(
    gallery: Gallery, times: int, contract_id: str = "c" * 64, crop: Image | None = None
) -> None:
    """One of them seen so often today, and just now."""
    midnight = datetime.combine(datetime.now().date(), time()).astimezone()
    first = max(datetime.now(UTC) - timedelta(seconds=times), midnight)
    vector = Embeddings.normalised(np.random.default_rng(1).standard_normal((1, 256)), contract_id)
    for n in range(times):
        at = first + timedelta(seconds=n)
        Sightings(gallery).visitor(
            "crew", Place("Gate", "Gate"), at, at, f"{n}", cooldown_s=0.1, alike=0.9,
            grounds={}, vector=vector, crop=crop,
        )  # fmt: skip


def test_people_are_entered_and_corrected_by_their_names(page: Page, crew: Gallery) -> None:
    page.goto("/console/attendance?collection=crew")
    entry = page.locator("section", has=page.get_by_role("heading", name="Enter by hand"))
    person = entry.get_by_label("Person")
    person.fill("zoe")
    expect(entry.locator("datalist option")).to_have_count(1)
    expect(entry.locator("datalist option")).to_have_attribute("value", "Zoe Zander")
    save = entry.get_by_role("button", name="Save")
    save.click()
    expect(page.get_by_text("nobody in collection 'crew' has the id or name 'zoe'")).to_be_visible()
    person.fill("zoe zander")
    save.click()
    expect(page.get_by_text("Entered.")).to_be_visible()
    row = page.locator("tbody tr", has_text="Zoe Zander")
    expect(row).to_contain_text("no departure")

    page.get_by_role("button", name="Look into: Zoe Zander").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("It was…").fill("Ben")
    ann = crew.find_person("crew", "Ann Aston")
    assert ann is not None
    now = datetime.now(UTC)
    Attendance(crew, "crew").add("arrival", ann.id, now, actor="somebody else")
    expect(page.locator("tbody tr", has_text="Ann Aston")).to_contain_text("no departure")
    dialog.get_by_label("It was…").fill("Ben Booth")  # the dialog outlived the new list
    dialog.get_by_role("button", name="Save").first.click()
    expect(page.locator("tbody tr", has_text="Ben Booth")).to_contain_text("no departure")
    expect(row).to_contain_text("not seen")
    expect(dialog).to_have_count(0)


def test_what_is_corrected_is_corrected_on_the_live_page(page: Page, crew: Gallery) -> None:
    zoe, ben = (crew.person_called("crew", name) for name in ("Zoe Zander", "Ben Booth"))
    book = Attendance(crew, "crew")
    arrival = book.add("arrival", zoe.id, datetime.now(UTC), actor="somebody else")
    page.goto("/console/live?collection=crew")
    listed = page.locator(".event-list")
    expect(listed).to_contain_text("Zoe Zander")
    book.correct(arrival.id, "reassign", person_id=ben.id, actor="somebody else")
    expect(listed).to_contain_text("Ben Booth")
    expect(listed).not_to_contain_text("Zoe Zander")


def test_a_face_that_the_live_page_shows_is_in_the_audit(page: Page, crew: Gallery) -> None:
    strangers(crew, 1, crop=np.full((112, 112, 3), 128, np.uint8))
    (seen,) = Attendance(crew, "crew").events()
    page.goto("/console/live?collection=crew")
    expect(page.locator(".event-list img")).to_have_count(1)
    until(lambda: Audit(crew).find(verb="event.view", subject=f"event:{seen.id}"))


def test_a_double_click_enters_one_arrival(page: Page, crew: Gallery) -> None:
    page.goto("/console/attendance?collection=crew")
    entry = page.locator("section", has=page.get_by_role("heading", name="Enter by hand"))
    entry.get_by_label("Person").fill("Zoe Zander")
    entry.get_by_role("button", name="Save").dblclick()
    expect(page.locator("tbody tr", has_text="Zoe Zander")).to_contain_text("no departure")
    expect(page.get_by_text("Entered.")).to_be_visible()
    page.wait_for_timeout(1000)
    assert len(Attendance(crew, "crew").events()) == 1


def test_a_busy_day_is_counted_whole_and_says_what_is_not_listed(page: Page, crew: Gallery) -> None:
    strangers(crew, 305)
    page.goto("/console/attendance?collection=crew")
    count = page.locator(".count", has_text="Sightings of unknown visitors")
    expect(count.locator("strong")).to_have_text("305")
    expect(page.locator(".event-list .event-row")).to_have_count(300)
    expect(page.get_by_text("Only the newest 300 are listed here.")).to_be_visible()


def test_all_sightings_of_whoever_is_enrolled_become_arrivals(page: Page, crew: Gallery) -> None:
    installed = page.request.get("/v1/models/installed").json()
    (running,) = [one for one in installed["installed"] if one["runs"] and one["contract_id"]]
    strangers(crew, 12, running["contract_id"])
    page.goto("/console/unknowns?collection=crew")
    card = page.locator(".visitor")
    expect(card).to_contain_text("Seen 12 times")
    card.get_by_label("Who is it?").fill("Nora North")
    card.get_by_role("button", name="Enrol").click()
    expect(page.get_by_text("these sightings are now arrivals")).to_be_visible()
    page.reload()
    expect(page.get_by_text("No unknown visitors")).to_be_visible()
    nora = crew.find_person("crew", "Nora North")
    assert nora is not None and nora.faces == 8
    events = Attendance(crew, "crew").events()
    assert {(event.kind, event.person_id) for event in events} == {("arrival", nora.id)}
    assert len(events) == 12
