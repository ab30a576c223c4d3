"""Where somebody lands, what is said where nothing is, and clocks that count to 24."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service
from tests.serving import serving

from arcid.cameras.book import CameraBook
from arcid.gallery.database import Database

pytestmark = pytest.mark.data
LUMINANCES = """
(element) => {
  const behind = (e) => {
    const colour = getComputedStyle(e).backgroundColor;
    return /, 0\\)|transparent/.test(colour) && e.parentElement ? behind(e.parentElement) : colour;
  };
  return [getComputedStyle(element).color, behind(element)].map((colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((v) => (v / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  });
}
"""


def contrast(page: Page, words: str) -> float:
    """Of a text on what is behind it, as WCAG counts."""
    light, dark = sorted(page.get_by_text(words).evaluate(LUMINANCES), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@contextmanager
def signed_in(browser: Browser, url: str, name: str) -> Iterator[Page]:
    context = service.visitor(browser, url)
    page = context.new_page()
    service.sign_in(page, name)
    page.wait_for_url("**/console/*")
    yield page
    context.close()


def test_a_first_kiosk_can_be_read_and_a_viewer_lands_where_something_is(
    browser: Browser, data_dir: Path, pairs: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, data_dir) as url:
        context = service.visitor(browser, url)
        page = context.new_page()
        service.set_up(page)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.goto("/console/kiosk")
            page.get_by_role("heading", name="No people yet").wait_for()
            for words in ("No people yet", "Make the first", "Keep small aligned"):
                assert contrast(page, words) > 4.5, (theme, words)
        service.fill(page, pairs)
        context.close()
        with signed_in(browser, url, "Vera Viewer") as page:
            expect(page.get_by_role("heading", name="People", level=1)).to_be_visible()
            expect(page.locator(".person-card")).to_have_count(2)
        with signed_in(browser, url, "Olga Operator") as page:
            expect(page.get_by_role("button", name="Start camera")).to_be_visible()
        database = Database(tmp_path / "gallery.db")
        CameraBook(database, tmp_path).add(
            name="Gate", source="rtsp://127.0.0.1:9/x", collection="people"
        )
        database.close()
        with signed_in(browser, url, "Vera Viewer") as page:
            expect(page.get_by_role("heading", name="Gate")).to_be_visible()


def test_an_address_behind_which_nothing_is_says_so(page: Page) -> None:
    answer = page.goto("/console/no/such/page")
    assert answer is not None and answer.status == 404
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_role("heading", name="Live")).to_be_visible()
    answer = page.goto("/nowhere")
    assert answer is not None and answer.status == 404
    page.get_by_role("link", name="Start page").click()
    expect(page.get_by_role("heading", name="arcid")).to_be_visible()


def test_clocks_count_to_24_in_every_language(url: str, browser: Browser) -> None:
    context = browser.new_context(
        base_url=url, locale="en-US", viewport={"width": 1280, "height": 800}
    )
    page = context.new_page()
    service.sign_in(page)
    page.wait_for_url("**/console/*")
    page.goto("/console/attendance")
    clock = page.get_by_label("Time")
    expect(clock).to_have_value(re.compile("^([01][0-9]|2[0-3]):[0-5][0-9]$"))
    expect(clock).not_to_have_attribute("type", "time")
    clock.fill("1730")
    expect(clock).to_have_value("17:30")
    page.goto("/console/kiosk")
    expect(page.locator(".kiosk-clock")).to_have_text(re.compile("^([01][0-9]|2[0-3]):[0-5][0-9]$"))
    context.close()


def test_a_phones_kiosk_shows_the_whole_picture(url: str, browser: Browser) -> None:
    context = service.visitor(browser, url, 360, 740)
    page = context.new_page()
    service.sign_in(page)
    page.wait_for_url("**/console/*")
    page.goto("/console/kiosk")
    video = page.locator(".camera video")
    expect(video).to_have_css("object-fit", "contain")
    context.close()
