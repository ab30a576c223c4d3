"""The overview in the browser: what it counts, for whom, in both themes and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

from arcid.events import Place, Sightings
from arcid.gallery import Gallery

pytestmark = pytest.mark.data
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FILL = "getComputedStyle(document.querySelector('.chart svg text')).fill"


@pytest.fixture
def counted(home: Path, url: str) -> Iterator[str]:
    """Two people came just now, one of them also three days ago."""
    now = datetime.now(UTC)
    with Gallery.open(home / "gallery.db", create=False) as gallery:
        gallery.create_collection("counted")
        seen = Sightings(gallery)
        for name, ages in {"Ann": (3, 0), "Ben": (0,)}.items():
            person = gallery.add_person("counted", name)
            for age in ages:
                at = now - timedelta(days=age)
                seen.person("counted", Place("door", "door"), person.id, at, cooldown_s=60,
                            grounds={})  # fmt: skip
        yield "?collection=counted"
        gallery.delete_collection("counted")


def test_arrivals_are_counted_and_waiting_things_told(page: Page, counted: str) -> None:
    page.goto("/console/attendance" + counted)
    page.get_by_role("link", name="Overview").click()
    page.wait_for_url("**/console/overview?collection=counted")
    tiles = page.locator(".count")
    expect(tiles).to_have_count(3)
    expect(tiles.nth(0)).to_contain_text("2")
    expect(tiles.nth(1)).to_contain_text("wait for review")
    charts = page.locator(".chart:not(.hidden) svg")
    expect(charts).to_have_count(2)
    expect(charts.first).to_contain_text("Arrivals")
    expect(charts.last).to_contain_text("Alerts")
    page.get_by_text("As a table").click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(7)
    for row, arrivals in ((0, "2"), (1, "0"), (3, "1")):
        expect(rows.nth(row).locator("td").nth(1)).to_have_text(arrivals)
    page.get_by_role("link", name="24 hours").click()
    page.get_by_text("As a table").click()
    expect(rows).to_have_count(24)
    assert sum(int(n) for n in page.locator("tbody td:nth-child(2)").all_inner_texts()) == 2

    light = page.evaluate(FILL)
    page.get_by_title("Light or dark").click()
    assert page.evaluate(FILL) != light
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    expect(charts).to_have_count(2)
    assert page.evaluate(SIDEWAYS) <= 0


def test_a_viewer_is_told_neither_reviews_nor_alerts(
    browser: Browser, url: str, counted: str
) -> None:
    context = service.visitor(browser, url)
    viewer = context.new_page()
    service.sign_in(viewer, "Vera Viewer", service.PASSWORD)
    viewer.wait_for_url("**/console/*")
    viewer.goto("/console/overview" + counted)
    expect(viewer.locator(".count")).to_have_count(1)
    expect(viewer.locator(".chart:not(.hidden) svg").last).to_contain_text("Doubtful")
    expect(viewer.locator(".chart:not(.hidden) svg").last).not_to_contain_text("Alerts")
    context.close()
