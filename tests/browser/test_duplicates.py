"""Duplicates in the browser: a search, both faces, keys, merging and taking it back, roles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

from arcid.gallery import Gallery, NewFace
from arcid.pipeline import Pipeline

pytestmark = pytest.mark.data


@pytest.fixture
def twin(home: Path, pairs: Path, url: str) -> Iterator[str]:
    """Angelina is enrolled again under another name, as an import would do it."""
    pipeline = Pipeline.from_models()
    with Gallery.open(home / "gallery.db", create=False) as gallery:
        found = pipeline.one_face(pairs / "img5.jpg")
        face = NewFace(found.embedding, found.photo_id, crop=found.crop)
        person, _ = gallery.enrol("people", "Angelina Again", [face])
        yield person.id
        for one in gallery.people("people", search="Again"):
            gallery.delete_person("people", one.id)


def test_two_who_are_one_are_found_merged_by_key_and_two_again(
    page: Page, twin: str, browser: Browser, url: str
) -> None:
    page.goto("/console/duplicates")
    expect(page.get_by_text("Everybody was never compared with everybody.")).to_be_visible()
    expect(page.get_by_role("heading", name="Nothing to decide")).to_be_visible()
    page.get_by_label("False pairs expected, at most").fill("0.0001")
    page.get_by_role("button", name="Compare everybody").click()
    expect(page.get_by_text("false pairs or more, allow extrapolation")).to_be_visible()
    page.get_by_label("False pairs expected, at most").fill("0.01")
    page.get_by_role("button", name="Compare everybody").click()
    expect(page.get_by_text("Done: 100%, 1 pair")).to_be_visible()
    expect(page.get_by_text("At most 0.01 false pairs expected in")).to_be_visible()
    case = page.locator(".review-case")
    expect(case.get_by_role("heading", name="Are these one person?")).to_be_visible()
    pictures = case.locator("img")
    expect(pictures).to_have_count(2)
    for n in (0, 1):
        expect(pictures.nth(n)).to_have_js_property("naturalWidth", 112)
    expect(page.locator(".key")).to_have_text(["S", "D", "L", "U"])
    expect(page.get_by_role("radio", name="Angelina Example")).to_be_checked()
    expect(page.locator(".event-list").nth(2)).to_contain_text("Angelina Again, Angelina Example")

    page.locator("h1").click()
    page.keyboard.press("d")
    expect(page.get_by_role("heading", name="Nothing to decide")).to_be_visible()
    page.get_by_role("button", name="Undo: Angelina").click()
    expect(case.get_by_role("heading", name="Are these one person?")).to_be_visible()
    page.locator("h1").click()
    page.keyboard.press("s")
    expect(page.get_by_text("are one person now.")).to_be_visible()
    page.goto("/console/people")
    expect(page.locator(".person-card")).to_have_count(2)
    expect(page.locator(".person-card", has_text="Angelina Example")).to_contain_text("3 faces")
    page.goto("/console/duplicates")
    page.get_by_role("button", name="Undo: ").click()
    expect(page.get_by_text("Taken back.")).to_be_visible()
    expect(case.get_by_role("heading", name="Are these one person?")).to_be_visible()
    page.goto("/console/people")
    expect(page.locator(".person-card", has_text="Angelina Again")).to_contain_text("1 face")
    with page.expect_download() as download:
        page.goto("/console/duplicates")
        page.get_by_role("link", name="CSV").click()
    assert "Angelina Again" in Path(download.value.path()).read_text("utf-8")

    context = service.visitor(browser, url)
    viewer = context.new_page()
    service.sign_in(viewer, "Vera Viewer", service.PASSWORD)
    viewer.wait_for_url("**/console/*")
    viewer.goto("/console/duplicates")
    expect(viewer.get_by_text("Not for this role")).to_be_visible()
    assert viewer.request.get("/console/pairs?collection=people").status == 403
    context.close()
