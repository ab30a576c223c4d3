"""The kiosk on a tablet: a head that turns as asked is greeted, a photograph never is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import film, service

pytestmark = pytest.mark.data
TABLET = (1024, 768)
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def head(data_dir: Path) -> dict[str, list[film.Picture]]:
    """Somebody on film who looks left and right."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        return film.turning_head(data_dir / "data/video/yakhyo_in_video.mp4")


@pytest.fixture(scope="module")
def door(
    url: str, browser: Browser, head: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The shared service, where the person of the film is enrolled for as long as it is needed."""
    photo = tmp_path_factory.mktemp("head") / "straight.png"
    cv2.imwrite(str(photo), head["straight"][0])
    context = service.visitor(browser, url)
    page = context.new_page()
    service.sign_in(page)
    page.wait_for_url("**/console/*")
    service.enrol(page, "Hans Turner", [photo])
    yield url
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("dialog").get_by_label("Confirmation").fill("Hans Turner")
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    page.wait_for_url("**/console/people?*")
    context.close()


def kiosk(browser: Browser, url: str, pictures: dict[str, list[film.Picture]]) -> Page:
    """Signed in as the kiosk, whose camera shows what answers the screen."""
    context = service.visitor(browser, url, *TABLET)
    context.add_init_script(f"({film.ACTOR})({json.dumps(film.encoded(pictures))})")
    page = context.new_page()
    service.sign_in(page, "Front door")
    page.wait_for_url("**/console/kiosk")
    return page


def last_word(page: Page, expected: str) -> str:
    """What the kiosk ends with. On a machine that stalls for a second it says that the face was
    gone; whoever stands there then steps aside and tries again, up to five times."""
    prompt = page.locator(".camera-prompt")
    words = ""
    for _ in range(6):
        ends = "|".join((re.escape(expected), "That did not work"))
        expect(prompt).to_contain_text(re.compile(ends), timeout=PATIENCE_MS)
        words = prompt.inner_text()
        if "gone for a moment" not in words:
            break
        page.evaluate("window.away = true")
        expect(prompt).to_contain_text("Come closer", timeout=PATIENCE_MS)
        page.evaluate("window.away = false")
    return words


def attended(browser: Browser, url: str) -> list[str]:
    """What the kiosk wrote today, an event each."""
    context = service.visitor(browser, url)
    page = context.new_page()
    service.sign_in(page)
    page.wait_for_url("**/console/*")
    page.goto("/console/attendance")
    page.locator(".count").first.wait_for()
    rows = page.locator(".event-row").all_inner_texts()
    context.close()
    return [row for row in rows if "Kiosk" in row]


def test_the_clock_is_the_services_whatever_zone_a_tablet_is_set_to(
    browser: Browser, url: str
) -> None:
    context = browser.new_context(base_url=url, timezone_id="Pacific/Kiritimati")
    page = context.new_page()
    began = datetime.now()
    service.sign_in(page, "Front door")
    page.wait_for_url("**/console/kiosk")
    clock = page.locator(".kiosk-clock")
    expect(clock).to_have_text(re.compile(r"\d\d:\d\d"))
    shown = clock.inner_text()
    context.close()
    assert shown in {f"{began:%H:%M}", f"{datetime.now():%H:%M}"}


def test_a_head_that_turns_as_asked_is_greeted_and_logged(
    browser: Browser, door: str, head: Any
) -> None:
    page = kiosk(browser, door, head)
    prompt = page.locator(".camera-prompt")
    asked = re.compile("Look straight ahead|Step 1 of 3")
    expect(prompt).to_contain_text(asked, timeout=PATIENCE_MS)
    words = last_word(page, "Hans Turner")
    assert "Hans Turner" in words and "You are signed in at" in words
    assert page.evaluate("document.documentElement.scrollHeight") <= TABLET[1]
    page.context.close()
    assert any("Hans Turner" in row and "Arrived" in row for row in attended(browser, door))


def test_a_photograph_held_still_is_not(browser: Browser, door: str, pairs: Path) -> None:
    page = kiosk(browser, door, film.still(pairs / "img1.jpg"))
    prompt = page.locator(".camera-prompt")
    expect(prompt).to_contain_text("Step 1 of 3", timeout=PATIENCE_MS)
    assert "It took too long." in last_word(page, "Angelina")
    page.context.close()
    assert not any("Angelina" in row and "Arrived" in row for row in attended(browser, door))


def test_a_photograph_turned_like_a_head_is_called_one(
    browser: Browser, door: str, pairs: Path
) -> None:
    page = kiosk(browser, door, film.card(pairs / "img1.jpg"))
    assert "This looks like a picture of a face." in last_word(page, "Angelina")
    page.context.close()
    assert any("Suspected picture of a face" in row for row in attended(browser, door))
