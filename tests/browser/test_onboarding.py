"""Onboarding on a phone: from the link to a decision, and the desk where a human sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import film, service
from tests.documents import card, photographed

pytestmark = pytest.mark.data
PHONE = (390, 844)
PATIENCE_MS = 90_000
ANOTHER_LOOK = 588  # a frame of the film half a minute from those the camera shows


@pytest.fixture(scope="module")
def head(data_dir: Path) -> dict[str, list[film.Picture]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        return film.turning_head(data_dir / "data/video/yakhyo_in_video.mp4")


@pytest.fixture(scope="module")
def paper(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of a drawn card that shows the person of the film at another time, lying sideways."""
    capture = cv2.VideoCapture(str(data_dir / "data/video/yakhyo_in_video.mp4"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, ANOTHER_LOOK)
    good, frame = capture.read()
    capture.release()
    assert good
    portrait = np.ascontiguousarray(frame[60:360, 675:915, ::-1], np.uint8)
    path = tmp_path_factory.mktemp("paper") / "card.jpg"
    seen = photographed(card(portrait), turns=1, slant=0.04)
    cv2.imwrite(str(path), seen[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    return path


def link(page: Page, reference: str) -> str:
    """A new session, made at the desk."""
    page.goto("/console/onboarding")
    page.get_by_role("button", name="New session").click()
    asked = page.get_by_role("dialog")
    asked.get_by_label("Your reference").fill(reference)
    asked.get_by_role("button", name="Make the link").click()
    field = page.get_by_role("dialog").get_by_label("The link")
    expect(field).to_have_value(re.compile("/onboarding/#"))
    made = field.input_value()
    page.get_by_role("dialog").get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.", exact=True)).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    return made


def phone(browser: Browser, url: str, pictures: dict[str, list[film.Picture]]) -> Page:
    """A phone whose camera shows what answers the screen."""
    context = service.visitor(browser, url, *PHONE)
    context.add_init_script(f"({film.ACTOR})({json.dumps(film.encoded(pictures))})")
    return context.new_page()


def agree(page: Page, name: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name="Agree and go on").click()


def test_somebody_identifies_themselves_on_a_phone(
    page: Page, browser: Browser, url: str, head: Any, paper: Path
) -> None:
    mine = phone(browser, url, head)
    problems: list[str] = []
    mine.on("pageerror", lambda error: problems.append(str(error)))
    address = link(page, "case 1")
    mine.goto(address)
    expect(mine.get_by_role("heading", name="Who are you?")).to_be_visible()
    agree(mine, "Hans Turner")
    expect(mine.get_by_role("heading", name="Your document")).to_be_visible()
    mine.reload()  # left, and come back to
    expect(mine.get_by_role("heading", name="Your document")).to_be_visible()
    mine.locator("#paper").set_input_files(paper)
    expect(mine.get_by_role("heading", name="Your face")).to_be_visible(timeout=PATIENCE_MS)
    ended = mine.locator("#outcome")
    for _ in range(6):
        if not mine.locator("#start").is_visible():
            break
        mine.locator("#start").click()
        expect(mine.locator("#ended:not([hidden]), #start:not([hidden])")).to_be_visible(
            timeout=PATIENCE_MS
        )
        if ended.is_visible():
            break
    assert mine.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    expect(ended).to_have_text("Done: it is you")
    assert problems == []
    mine.context.close()
    page.goto("/console/onboarding")
    page.get_by_role("button", name=re.compile("Hans Turner.*Accepted", re.S)).click()
    expect(page.locator(".review-faces img")).to_have_count(2)
    looked = page.locator("details", has_text="All that was looked at")
    looked.locator("summary").click()
    for words in ("Document and face", "Turning the head", "in order", "Strangers as alike"):
        expect(looked.get_by_text(words).first).to_be_visible()
    expect(looked.get_by_text(re.compile("[a-z]+_[a-z]+|target fmr"))).to_have_count(0)
    with page.expect_download() as loading:
        page.get_by_role("link", name="Evidence").click()
    told = json.loads(Path(loading.value.path()).read_bytes())
    checks = {c["code"]: c for c in told["payload"]["session"]["checks"]}
    assert set(checks["challenge"]["measured"]["actions"]) <= {
        "turn_left", "turn_right", "come_closer",
    }  # fmt: skip
    page.get_by_role("button", name="Reject Hans Turner").click()
    page.get_by_text("Hans Turner is rejected.").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Taken back.").wait_for()


def test_what_is_wrong_with_a_picture_is_said_and_everything_can_be_erased(
    page: Page, browser: Browser, url: str, pairs: Path, tmp_path: Path
) -> None:
    blank = tmp_path / "blank.jpg"
    cv2.imwrite(str(blank), np.full((480, 640, 3), 200, np.uint8))
    mine = phone(browser, url, film.still(pairs / "img1.jpg"))
    mine.goto(link(page, "case 2"))
    agree(mine, "Nobody Here")
    mine.locator("#paper").set_input_files(blank)
    expect(mine.get_by_role("alert")).to_contain_text("no portrait was found", timeout=PATIENCE_MS)
    expect(mine.locator("#left")).to_contain_text("7 tries left")
    mine.on("dialog", lambda dialog: dialog.accept())
    mine.get_by_role("button", name="Stop and erase everything").click()
    expect(mine.locator("#outcome")).to_have_text("Stopped")
    mine.goto(f"{url}/onboarding/#wrong")
    expect(mine.locator("#outcome")).to_have_text("This link is not valid")
    mine.context.close()
