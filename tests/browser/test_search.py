"""Search: the photo with a numbered box a face, the answers beside it, and only what is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image as Pil
from playwright.sync_api import Browser, Page, expect
from tests.browser import service
from tests.serving import serving

pytestmark = pytest.mark.data


def search(page: Page, photo: Path) -> None:
    page.goto("/console/search")
    page.get_by_label("Picture to search with").set_input_files(photo)
    page.locator(".answer").first.wait_for(timeout=60_000)


def test_search_names_whom_it_knows_and_says_so_of_strangers(
    page: Page, pairs: Path, data_dir: Path
) -> None:
    search(page, data_dir / "data/photos/group/couple.jpg")
    answers = page.locator("details.answer")
    expect(answers).to_have_count(2)
    known = answers.filter(has_text="This is Angelina Example.")
    expect(known).to_have_count(1)
    known.locator("> summary").click()
    expect(known.locator(".answer-body img.face")).to_have_count(2)
    for words in ("Score", "Probability", "over 99.9 %", "a false positive in 100 searches of"):
        expect(known).to_contain_text(words)
    stranger = answers.filter(has_text="Not recognised.")
    expect(stranger).to_have_count(1)
    expect(stranger).to_contain_text(re.compile("Nearest: (Marc Beispiel|Angelina Example)"))
    expect(page.get_by_text("2 faces, 1 recognised")).to_be_visible()
    page.get_by_label("Picture to search with").set_input_files(pairs / "img3.jpg")
    expect(answers).to_have_count(1)
    expect(answers).to_contain_text("Not recognised.")
    expect(answers.locator(".facts")).to_be_visible()


def test_a_box_lies_on_its_face_and_shows_its_answer(page: Page, data_dir: Path) -> None:
    search(page, data_dir / "data/photos/group/couple.jpg")
    boxes, answers = page.locator(".face-box"), page.locator("details.answer")
    photo = page.locator(".photo-sheet img").bounding_box()
    known = boxes.and_(page.get_by_label("This is Angelina Example."))
    place = known.bounding_box()
    assert photo is not None and place is not None
    middle = (place["x"] + place["width"] / 2 - photo["x"]) / photo["width"]
    assert 0.2 < middle < 0.45, "she stands on the left"
    number = known.get_attribute("data-face")
    own = page.locator(f"details.answer[data-face='{number}']")

    known.click()
    expect(own).to_have_attribute("open", "")
    expect(own).to_have_class(re.compile("chosen"))
    expect(known).to_have_class(re.compile("chosen"))
    other = answers.filter(has_text="Not recognised.")
    other.locator("> summary").click()
    expect(own).not_to_have_attribute("open", "")
    expect(boxes.and_(page.locator(".chosen"))).to_have_attribute(
        "data-face", other.get_attribute("data-face") or ""
    )
    other.locator("> summary").press("ArrowUp")
    expect(own.locator("> summary")).to_be_focused()
    expect(known).to_have_class(re.compile("pointed"))
    page.keyboard.press("Enter")
    expect(own).to_have_attribute("open", "")
    page.locator(".face-box[tabindex='0']").focus()
    page.keyboard.press("End")
    expect(page.locator(".face-box").last).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    expect(page.locator("details.answer[data-face='1']")).to_have_attribute("open", "")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)])
def test_a_crowd_stays_on_two_screens_and_nobody_is_called_not_enrolled(
    url: str, browser: Browser, data_dir: Path, tmp_path: Path, width: int, height: int
) -> None:
    half = Pil.open(data_dir / "data/photos/group/27.jpg")
    crowd = Pil.new("RGB", (half.width, 2 * half.height))
    crowd.paste(half, (0, 0))
    crowd.paste(half, (0, half.height))
    crowd.save(tmp_path / "crowd.png")
    context = service.visitor(browser, url, width, height)
    page = context.new_page()
    service.sign_in(page)
    page.wait_for_url("**/console/*")
    search(page, tmp_path / "crowd.png")
    boxes = page.locator(".face-box")
    assert boxes.count() > 140
    assert page.locator("details.answer").count() == boxes.count()
    assert page.evaluate("document.documentElement.scrollHeight") < 2 * height
    assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.get_by_text("No face is enrolled")).to_have_count(0)
    bare = page.locator("details.answer:not(:has-text('Nearest:'))").all_inner_texts()
    assert all("This is" in words or "Perhaps" in words for words in bare)
    box = boxes.nth(100)
    number = box.get_attribute("data-face")
    page.get_by_role("button", name="Enlarge").click()
    box.click(force=True)
    own = page.locator(f"details.answer[data-face='{number}']")
    expect(own).to_have_attribute("open", "")
    expect(own.locator("> summary")).to_be_in_viewport()
    expect(own.locator(".facts")).to_be_attached()
    context.close()


def test_only_an_empty_collection_is_called_empty(
    browser: Browser, data_dir: Path, pairs: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, data_dir) as url:
        context = service.visitor(browser, url)
        page = context.new_page()
        service.set_up(page)
        page.goto("/console/people")
        page.get_by_role("button", name="Create collection").click()
        page.get_by_text("Nobody here yet").wait_for()
        search(page, pairs / "img1.jpg")
        expect(page.locator(".note")).to_have_text(
            "No face is enrolled in people, so nobody can be recognised."
        )
        service.enrol(page, "Marc Beispiel", [pairs / "img13.jpg"])
        search(page, pairs / "img1.jpg")
        expect(page.locator(".note")).to_have_count(0)
        expect(page.locator(".answer")).to_contain_text("Nearest: Marc Beispiel")
        context.close()
