"""Watchlists and alerts in the browser: a list is made, an alert is answered by key, taken back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

from arcid.apps.watchlists import Alerts, Seen, Terms, Watchlists
from arcid.events import Place
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline
from arcid.types import Embeddings

pytestmark = pytest.mark.data


def raised(home: Path, photo: Path, called: str, *, minutes: int) -> str:
    """An alert as a camera raises it, about the face of a photo."""
    face = Pipeline.from_models().one_face(photo)
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    with Gallery.open(home / "gallery.db", create=False) as gallery:
        own = Watchlists(gallery).get(called)
        (one,) = Watchlists(gallery).everybody(own.id)
        seen = Seen(
            own.id, one.person_id, "alert", Place("Door", "Door"), at, at, photo.name,
            {"cosine": 0.61, "reason": "cosine 0.610 is at or above 0.412"}, face.embedding,
            face.crop,
        )  # fmt: skip
        made = Alerts(gallery).raise_(seen)
    assert made is not None
    return made.id


def test_a_list_is_made_and_its_alert_answered_and_taken_back(
    page: Page, home: Path, pairs: Path, url: str, browser: Browser
) -> None:
    page.goto("/console/watchlists")
    page.get_by_label("Name", exact=True).fill("Banned")
    page.get_by_label("What is it for?").fill("bans of the shop")
    page.get_by_label("What allows it? (legal basis)").fill("house right")
    day = f"{datetime.now(UTC).year + 1}-06-30"
    page.get_by_label("Until (year-month-day)").fill(day)
    page.get_by_role("button", name="Make a list").click()
    expect(page.get_by_role("heading", name="Banned")).to_be_visible()
    expect(page.locator("tbody")).to_contain_text("cosine")
    page.get_by_label("Name of an enrolled person").fill("Angelina Example")
    page.get_by_label("Why?").fill("ban of 3 March")
    page.get_by_role("button", name="Put on the list").click()
    expect(page.locator(".account", has_text="Angelina Example")).to_contain_text("3 March")

    page.goto("/console/alerts")
    expect(page.get_by_role("heading", name="No alert waits")).to_be_visible()
    sound = page.get_by_role("button", name="Sound at a new alert, in this browser")
    expect(sound).to_have_attribute("aria-pressed", "false")
    sound.click()
    expect(sound).to_have_attribute("aria-pressed", "true")
    raised(home, pairs / "img4.jpg", "Banned", minutes=1)
    case = page.locator(".review-case")
    question = case.get_by_role("heading", name="Is this Angelina Example?")
    expect(question).to_be_visible(timeout=15_000)
    expect(page.locator(".rail-count-alerts")).to_have_text("1", timeout=15_000)
    expect(case.locator("img").first).to_have_js_property("naturalWidth", 112)
    page.keyboard.press("a")
    expect(page.locator(".event-row", has_text="somebody is looking")).to_be_visible()
    beside = page.context.new_page()
    beside.goto("/console/overview")
    expect(beside.locator(".count", has_text="open alerts")).to_contain_text("1")
    beside.close()
    page.keyboard.press("n")
    expect(page.get_by_text("Not Angelina Example. This face is not taken")).to_be_visible()
    expect(page.get_by_role("heading", name="No alert waits")).to_be_visible()
    page.get_by_role("button", name="Undo: Angelina Example").click()
    expect(question).to_be_visible()
    page.keyboard.press("y")
    expect(page.get_by_text("Confirmed.", exact=True)).to_be_visible()

    context = service.visitor(browser, url)
    viewer = context.new_page()
    service.sign_in(viewer, "Vera Viewer", service.PASSWORD)
    viewer.wait_for_url("**/console/*")
    for path in ("alerts", "watchlists"):
        viewer.goto(f"/console/{path}")
        expect(viewer.get_by_text("Not for this role")).to_be_visible()
    context.close()


def test_more_alerts_than_are_listed_and_counted_are_said(page: Page, home: Path) -> None:
    now = datetime.now(UTC)
    with Gallery.open(home / "gallery.db", create=False) as gallery:
        person = gallery.person_called("people", "Marc Beispiel")
        lists = Watchlists(gallery)
        until = now + timedelta(days=1)
        terms = Terms(purpose="bans", legal_basis="house right", owner="Ada", expires_at=until)
        own = lists.create("Many", "people", terms, actor="Ada")
        lists.add(own.id, person.id, actor="Ada")
        face = Embeddings.normalised(np.ones((1, 256)), "c" * 64)
        for n in range(101):
            at = now - timedelta(minutes=10 * n)
            seen = Seen(own.id, person.id, "alert", Place("Gate", "Gate"), at, at, f"{n}", {}, face)
            assert Alerts(gallery).raise_(seen) is not None
        page.goto("/console/alerts")
        expect(page.get_by_text("Only the newest 50 are listed here.")).to_be_visible()
        expect(page.locator(".rail-count-alerts")).to_have_text("99+")
        lists.delete(own.id, actor="Ada")
