"""A real browser, and what it does on the pages of a real service."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, Playwright
from tests.serving import SET_UP

ADMIN, PASSWORD = "Ada Admin", "correct horse battery"
ACCOUNTS = {"Olga Operator": "Operator", "Vera Viewer": "Viewer", "Front door": "Kiosk"}


def chromium() -> str | None:
    """A Chromium of this machine; Playwright's own download is not used."""
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    return os.environ.get("ARCID_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def launch(playwright: Playwright, arguments: Sequence[str] = ()) -> Browser:
    """Chromium without a window; a machine without another host to reach shows what is offline."""
    return playwright.chromium.launch(
        executable_path=chromium(),
        args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *arguments],
    )


def visitor(browser: Browser, url: str, width: int = 1280, height: int = 800) -> BrowserContext:
    """A fresh browser profile."""
    context = browser.new_context(
        base_url=url, viewport={"width": width, "height": height}, permissions=["camera"]
    )
    context.set_default_timeout(15_000)
    return context


def set_up(page: Page) -> None:
    """First run: the first account, an admin, who is signed in afterwards."""
    page.goto("/console/")
    page.goto(SET_UP[page.url.partition("/console")[0]] or "")
    page.get_by_label("Name").fill(ADMIN)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/console/*")


def sign_in(page: Page, name: str = ADMIN, password: str = PASSWORD) -> None:
    """With the form; waits for the page behind it."""
    page.goto("/console/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def fill(page: Page, photos: Path) -> None:
    """A collection with two people, and an account of each other role."""
    page.goto("/console/people")
    page.get_by_role("button", name="Create collection").click()
    page.get_by_text("Nobody here yet").wait_for()
    enrol(page, "Angelina Example", [photos / "img1.jpg", photos / "img2.jpg"])
    enrol(page, "Marc Beispiel", [photos / "img13.jpg", photos / "img14.jpg"])
    page.goto("/console/accounts")
    for name, role in ACCOUNTS.items():
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("Role").last.click()
        page.get_by_role("option", name=role, exact=True).click()
        page.get_by_role("button", name="Add account").click()
        page.get_by_text(f"{name} can sign in now.").wait_for()


def enrol(page: Page, name: str, photos: Sequence[Path], *, twice: bool = False) -> None:
    """Through the page: name, photos, enrol; ``twice``: though it is somebody else already."""
    page.goto("/console/people/new")
    page.get_by_label("Full name").fill(name)
    page.get_by_label("Add photos").set_input_files(list(photos))
    page.get_by_text("Good photo").nth(len(photos) - 1).wait_for()
    page.get_by_role("button", name="Enrol").click()
    if twice:
        page.get_by_role("dialog").get_by_role("button", name="Enrol anyway").click()
    page.get_by_role("heading", name=name, level=1).wait_for()
