"""A service in its own process and a Chromium of this machine.

Package scope: Playwright keeps an event loop running, which no other test should meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from tests.browser import service
from tests.serving import serving

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def player() -> Iterator[Playwright]:
    if service.chromium() is None:
        pytest.skip("no Chromium found: install one, or name it in ARCID_CHROMIUM")
    expect.set_options(timeout=15_000)  # hashing a password takes seconds on a busy machine
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(player: Playwright) -> Iterator[Browser]:
    """Chromium without a window, for all tests that need no camera."""
    browser = service.launch(player)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def pairs(data_dir: Path) -> Path:
    """Photographs of a few people, two or more of each."""
    return data_dir / "data" / "deepface-pairs"


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared service's ``ARCID_HOME``."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="package")
def url(home: Path, data_dir: Path, browser: Browser, pairs: Path) -> Iterator[str]:
    """A service with an admin, an operator, a viewer and two enrolled people."""
    with serving(home, data_dir) as url:
        context = service.visitor(browser, url)
        page = context.new_page()
        service.set_up(page)
        service.fill(page, pairs)
        context.close()
        yield url


@pytest.fixture
def page(url: str, browser: Browser) -> Iterator[Page]:
    """Signed in as the admin, at desktop width; fails on script errors."""
    context = service.visitor(browser, url)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    service.sign_in(page)
    page.wait_for_url("**/console/*")
    yield page
    context.close()
    assert problems == []
