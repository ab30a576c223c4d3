"""Duplicates in the browser: a search, both faces, keys, merging and taking it back, roles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

from arcid.apps.duplicates import Duplicates
from arcid.gallery import Gallery, NewFace
from arcid.pipeline import Pipeline

pytestmark = pytest.mark.data


@pytest.fixture
def twins(home: Path, pairs: Path, url: str) -> Iterator[str]:
    """Angelina is enrolled again under another name, as an import would do it, in a collection
    of this test's own."""
    pipeline = Pipeline.from_models()
    with Gallery.open(home / "gallery.db", create=False) as gallery:
        gallery.create_collection("twins", keep_crops=True)
        for name, photos in {
            "Angelina Example": ("img1", "img2"), "Marc Beispiel": ("img13", "img14"),
            "Angelina Again": ("img5",),
        }.items():  # fmt: skip
            found = [pipeline.one_face(pairs / f"{photo}.jpg") for photo in photos]
            faces = [NewFace(one.embedding, one.photo_id, crop=one.crop) for one in found]
            gallery.enrol("twins", name, faces)
        yield "?collection=twins"
        gallery.delete_collection("twins")


def test_two_who_are_one_are_found_merged_by_key_and_two_again(
    page: Page, twins: str, browser: Browser, url: str
) -> None:
    page.goto("/console/duplicates" + twins)
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
    page.goto("/console/people" + twins)
    expect(page.locator(".person-card")).to_have_count(2)
    expect(page.locator(".person-card", has_text="Angelina Example")).to_contain_text("3 faces")
    page.goto("/console/duplicates" + twins)
    page.get_by_role("button", name="Undo: ").click()
    expect(page.get_by_text("Taken back.")).to_be_visible()
    expect(case.get_by_role("heading", name="Are these one person?")).to_be_visible()
    page.locator("h1").click()
    page.keyboard.press("s")
    expect(page.get_by_text("are one person now.")).to_be_visible()
    page.goto("/console/people" + twins)
    page.locator(".person-card", has_text="Angelina Example").click()
    merged = page.locator("section", has=page.get_by_role("heading", name="Merged with"))
    expect(merged).to_contain_text("Angelina Again")
    merged.get_by_role("button", name="Undo: Angelina Again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Make Angelina Example and Angelina Again two people again?")
    dialog.get_by_role("button", name="Make two again").click()
    expect(merged).to_have_count(0)
    page.goto("/console/people" + twins)
    expect(page.locator(".person-card", has_text="Angelina Again")).to_contain_text("1 face")
    with page.expect_download() as download:
        page.goto("/console/duplicates" + twins)
        page.get_by_role("link", name="CSV").click()
    assert "Angelina Again" in Path(download.value.path()).read_text("utf-8")

    context = service.visitor(browser, url)
    viewer = context.new_page()
    service.sign_in(viewer, "Vera Viewer", service.PASSWORD)
    viewer.wait_for_url("**/console/*")
    viewer.goto("/console/duplicates")
    expect(viewer.get_by_text("Not for this role")).to_be_visible()
    assert viewer.request.get("/console/pairs?collection=twins").status == 403
    context.close()


def test_the_name_to_keep_stays_chosen_while_others_answer(
    page: Page, twins: str, home: Path, pairs: Path
) -> None:
    again = Pipeline.from_models().one_face(pairs / "img13.jpg")
    with Gallery.open(home / "gallery.db", create=False) as gallery:
        gallery.enrol("twins", "Marc Again", [NewFace(again.embedding, "taken again")])
        page.goto("/console/duplicates" + twins)
        page.get_by_label("False pairs expected, at most").fill("0.01")
        page.get_by_role("button", name="Compare everybody").click()
        expect(page.get_by_text("Done: 100%, 2 pairs")).to_be_visible()
        page.get_by_role("button", name="Angelina").click()
        page.get_by_role("radio", name="Angelina Again").click()
        page.get_by_text("The numbers").click()
        queue = Duplicates(gallery)
        (other,) = [
            pair for pair in queue.find("twins") if "Marc Again" in (pair.a.name, pair.b.name)
        ]
        queue.answer("twins", other.id, "different", actor="somebody else")
    expect(page.get_by_text("Different · by somebody else")).to_be_visible()
    expect(page.get_by_role("radio", name="Angelina Again")).to_be_checked()
    expect(page.get_by_text("Likeness (cosine)")).to_be_visible()
