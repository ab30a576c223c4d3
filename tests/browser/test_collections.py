"""Collections are made, renamed and deleted by hand; what points at one follows its name."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

from arcid.cameras.book import CameraBook
from arcid.gallery.database import Database

pytestmark = pytest.mark.data


def names(url: str) -> list[str]:
    found = httpx.get(f"{url}/v1/collections").json()["collections"]
    return sorted(one["name"] for one in found)


def test_a_collection_is_made_renamed_and_deleted(
    page: Page, url: str, home: Path, browser: Browser
) -> None:
    page.goto("/console/people")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Collections").click()
    page.get_by_label("Name of the collection").fill("guests")
    page.get_by_role("button", name="Create collection").click()
    rows = page.locator(".account")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="guests")).to_contain_text("0 people · 0 faces")
    page.get_by_label("Name of the collection").fill("Guests")
    page.get_by_role("button", name="Create collection").click()
    expect(page.get_by_text("already")).to_be_visible()

    database = Database(home / "gallery.db")
    book = CameraBook(database, home)
    camera = book.add(name="Lobby", source="0", collection="guests", enabled=False)
    page.get_by_role("button", name="Rename guests").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name of the collection").fill("people")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("there is a collection 'people'")).to_be_visible()
    page.get_by_role("button", name="Rename guests").click()
    dialog.get_by_label("Name of the collection").fill("visitors of today")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("It is called visitors of today now.")).to_be_visible()
    assert names(url) == ["people", "visitors of today"]
    page.goto("/console/cameras")
    expect(page.locator(".card", has_text="Lobby")).to_contain_text("visitors of today")

    context = service.visitor(browser, url)
    operator = context.new_page()
    service.sign_in(operator, "Olga Operator")
    operator.wait_for_url("**/console/*")
    operator.goto("/console/collections")
    expect(operator.get_by_role("button", name="Rename people")).to_be_visible()
    expect(operator.get_by_role("button", name="Delete")).to_have_count(0)
    service.sign_in(operator, "Vera Viewer")
    operator.wait_for_url("**/console/*")
    answer = operator.goto("/console/collections")
    assert answer is not None and answer.status == 403
    context.close()

    page.goto("/console/collections")
    row = page.locator(".account", has_text="visitors of today")
    row.get_by_role("button", name="Delete").click()
    yes = page.get_by_role("dialog").get_by_role("button", name="Delete")
    expect(yes).to_be_disabled()
    page.get_by_label("Confirmation").fill("visitors of today")
    yes.click()
    expect(page.get_by_text("The collection visitors of today is deleted.")).to_be_visible()
    assert names(url) == ["people"]
    page.goto("/console/cameras")
    expect(page.locator(".card", has_text="Lobby")).to_contain_text("(deleted)")
    book.delete(camera.id)
    database.close()
