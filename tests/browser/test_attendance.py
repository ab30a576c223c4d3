"""Attendance by hand: entered and corrected by a typed name, while the day goes on behind it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from arcid.apps.attendance import Attendance
from arcid.gallery import Gallery

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
