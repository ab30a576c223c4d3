"""The review queue in the browser: both faces, keys, counts, roles, taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import doubts, service

from arcid.events import Reviews

pytestmark = pytest.mark.data


def test_doubtful_faces_are_decided_by_key_and_click_and_taken_back(
    page: Page, home: Path, pairs: Path, url: str, browser: Browser
) -> None:
    doubts.write(home, pairs / "img14.jpg", ago_s=90)
    doubts.write(home, pairs / "img4.jpg", ago_s=30)
    page.goto("/console/review")
    expect(page.locator(".rail-count")).to_have_text("2")
    case = page.locator(".review-case")
    expect(case.get_by_role("heading", name="Is this Angelina Example?")).to_be_visible()
    pictures = case.locator("img")
    expect(pictures).to_have_count(2)
    for n in (0, 1):
        expect(pictures.nth(n)).to_have_js_property("naturalWidth", 112)
    expect(case.locator("dl")).to_be_hidden()  # numbers are folded away
    expect(page.locator(".key")).to_have_text(["Y", "N", "U"])

    page.keyboard.press("n")
    expect(page.get_by_text("Not Angelina Example. Look at the next one.")).to_be_visible()
    expect(case.get_by_role("heading", name="Is this Marc Beispiel?")).to_be_visible()
    expect(case.locator(".settling")).to_have_count(0)
    page.keyboard.press("u")
    expect(page.get_by_text("Recorded as an unknown visitor.")).to_be_visible()
    expect(page.locator(".rail-count")).to_have_text("1", timeout=15_000)
    page.get_by_role("button", name="Yes, this is Marc Beispiel").click()
    expect(page.get_by_text("Recorded as an arrival of Marc Beispiel.")).to_be_visible()
    expect(page.get_by_role("heading", name="Nothing to decide")).to_be_visible()
    page.goto("/console/attendance")
    expect(page.locator("tbody tr", has_text="Marc Beispiel")).to_contain_text("here")

    page.goto("/console/review")
    page.get_by_role("button", name="Undo: Marc Beispiel").click()
    expect(case.get_by_role("heading", name="Is this Marc Beispiel?")).to_be_visible()
    page.goto("/console/attendance")
    expect(page.locator("tbody tr", has_text="Marc Beispiel")).not_to_contain_text("here")
    expect(page.locator(".event-row", has_text="Not certain who")).to_have_count(1)

    context = service.visitor(browser, url)
    viewer = context.new_page()
    service.sign_in(viewer, "Vera Viewer", service.PASSWORD)
    viewer.wait_for_url("**/console/*")
    expect(viewer.get_by_role("link", name="Review")).to_have_count(0)
    viewer.goto("/console/review")
    expect(viewer.get_by_text("Not for this role")).to_be_visible()
    context.close()


def test_an_answer_that_another_operator_gave_first_is_told(
    page: Page, home: Path, pairs: Path
) -> None:
    from arcid.gallery import Gallery

    with Gallery.open(home / "gallery.db", create=False) as gallery:
        (review,) = Reviews(gallery).find("people")
        page.goto("/console/review")
        case = page.locator(".review-case")
        expect(case.get_by_role("heading", name="Is this Marc Beispiel?")).to_be_visible()
        Reviews(gallery).answer("people", review.id, "no", actor="Olga Operator")
        page.keyboard.press("y")  # before the page reads the queue again
    expect(page.get_by_text("settled before: nobody known, by Olga Operator")).to_be_visible()
    expect(page.get_by_role("heading", name="Nothing to decide")).to_be_visible()
