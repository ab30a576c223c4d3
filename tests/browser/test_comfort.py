"""Small screens, the keyboard, light and dark, no network but the service's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

pytestmark = pytest.mark.data
PAGES = ("live", "attendance", "attendance/month", "review", "unknowns", "people", "people/new",
         "duplicates", "collections", "search", "compare", "cameras", "models", "system",
         "accounts", "kiosk", "alerts", "watchlists", "doors", "onboarding", "audit")  # fmt: skip
SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
NAMELESS = """
() => [...document.querySelectorAll("button, a, input, select, textarea, img")].filter((e) => {
  const box = e.getBoundingClientRect();
  if (!box.width || !e.checkVisibility({ visibilityProperty: true })) return false;
  if (e.tagName === "IMG") return !e.hasAttribute("alt");
  const by = e.getAttribute("aria-labelledby");
  const name = e.getAttribute("aria-label") || (by && document.getElementById(by)?.innerText)
    || [...(e.labels || [])].map((l) => l.innerText).join("") || e.innerText || e.title;
  return !name.trim();
}).map((e) => e.outerHTML.slice(0, 120))
"""


@pytest.fixture(scope="module")
def phone(url: str, browser: Browser) -> Iterator[Page]:
    context = service.visitor(browser, url, 360, 740)
    context.add_init_script(SHIFTS)
    page = context.new_page()
    service.sign_in(page)
    page.wait_for_url("**/console/*")
    yield page
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_shows_the_page_still_and_whole(phone: Page, path: str) -> None:
    hosts: set[str] = set()
    phone.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    phone.goto(f"/console/{path}")
    phone.locator("h1").wait_for()
    phone.wait_for_timeout(400)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    assert phone.evaluate("window.shifted") < 0.02
    assert phone.evaluate(NAMELESS) == []
    served = {host for host in hosts if host}
    assert served and all(host.startswith("127.0.0.1:") for host in served), served


def test_a_laptop_shows_all_of_the_navigation(url: str, browser: Browser) -> None:
    context = service.visitor(browser, url, 1280, 800)
    page = context.new_page()
    service.sign_in(page)
    page.wait_for_url("**/console/*")
    rail = page.locator(".rail")
    rail.get_by_text("Sign out").wait_for()
    assert rail.evaluate("e => e.scrollHeight - e.clientHeight") == 0
    context.close()


def test_the_bar_of_a_phone_has_five_entries(phone: Page) -> None:
    phone.goto("/console/people")
    assert phone.locator(".tab-bar .rail-link").count() == 5


def test_the_month_of_a_phone_begins_with_today_in_view(phone: Page) -> None:
    phone.goto("/console/attendance/month")
    phone.wait_for_function(
        """() => {
          const box = document.querySelector(".table-box").getBoundingClientRect();
          const day = document.querySelectorAll(".month-table th")[new Date().getDate()];
          const cell = day.getBoundingClientRect();
          return cell.left >= box.left && cell.right <= box.right + 1;
        }"""
    )


def test_the_menu_of_a_phone_opens_and_closes_from_the_keyboard(phone: Page) -> None:
    phone.goto("/console/people")
    menu = phone.get_by_role("navigation", name="Main")
    expect(menu).to_be_hidden()
    button = phone.get_by_role("button", name="More")
    button.focus()
    phone.keyboard.press("Enter")
    expect(menu.get_by_role("link", name="Models")).to_be_visible()
    phone.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(button).to_be_focused()


def test_the_keyboard_reaches_content_and_controls(page: Page) -> None:
    page.goto("/console/compare")
    page.get_by_label("First picture").wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(document.activeElement.getAttribute('aria-label')"
                " || document.activeElement.labels?.[0]?.innerText || '').trim()"
            )
        )
    assert reached[0] == "First picture" and reached[1] == "Second picture"


def test_light_and_dark_are_remembered(page: Page) -> None:
    page.goto("/console/models")

    def theme() -> tuple[str, str]:
        colour = "getComputedStyle(document.querySelector('.card')).backgroundColor"
        return page.evaluate("document.documentElement.dataset.theme"), page.evaluate(colour)

    page.locator(".card").first.wait_for()
    first = theme()
    page.get_by_role("button", name="Light or dark").click()
    second = theme()
    assert {first[0], second[0]} == {"light", "dark"} and first[1] != second[1]
    page.reload()
    page.locator(".card").first.wait_for()
    assert theme() == second
    page.get_by_role("button", name="Light or dark").click()


def test_models_and_system_show_what_is_measured(page: Page) -> None:
    page.goto("/console/models")
    for words in (
        "arcid-face-s",
        "LFW View 1 DevTrain",
        re.compile(r"1 in \d\d,\d{3}"),  # its calibration's, and it is the float or the int8 form
        "beyond the data",
        "TAR at FMR 1 in 1,000",
    ):
        expect(page.get_by_text(words).first).to_be_visible()
    expect(page.get_by_role("img", name="Error rates by score")).to_be_visible()
    page.goto("/console/system")
    expect(page.get_by_text("Ready")).to_be_visible()
    expect(page.get_by_text("Find and align faces")).to_be_visible()
    page.get_by_role("button", name="Check every row").click()
    expect(page.get_by_text("The gallery is sound.")).to_be_visible()


def test_a_browser_of_another_time_zone_is_told_whose_times_these_are(
    browser: Browser, url: str, page: Page
) -> None:
    words = re.compile(r"Times are those of the service, UTC[+-]\d\d:\d\d")
    page.goto("/console/attendance")
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    expect(page.get_by_text(words)).to_be_hidden()
    context = browser.new_context(base_url=url, timezone_id="Pacific/Chatham")
    far = context.new_page()
    service.sign_in(far)
    far.wait_for_url("**/console/*")
    far.goto("/console/attendance")
    expect(far.get_by_text(words)).to_be_visible()
    context.close()
