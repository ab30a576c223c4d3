"""Doors for a guard: who came, why not, opened once by hand, locked down and lifted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

pytestmark = pytest.mark.data
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def door(url: str, page: Page) -> Iterator[dict[str, Any]]:
    with httpx.Client(base_url=url, timeout=60) as client:
        body = {"name": "Front door", "collection": "staff"}
        client.post("/v1/collections", json={"name": "staff"})
        made: dict[str, Any] = client.post("/v1/doors", json=body).json()
        yield made
        client.delete(f"/v1/doors/{made['id']}")
        client.delete("/v1/collections/staff")


def test_a_guard_opens_once_with_a_reason_and_locks_down(
    page: Page, url: str, door: dict[str, Any]
) -> None:
    page.goto("/console/doors")
    own = page.locator(".at-door", has_text="Front door")
    expect(own.get_by_text("Ready")).to_be_visible()
    expect(own.get_by_text("Nobody is at the door.")).to_be_visible()
    page.get_by_role("button", name="Open Front door once").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Open once").click()
    expect(page.get_by_text("Say why; it is logged.")).to_be_visible()
    page.get_by_role("button", name="Open Front door once").click()
    expect(page.get_by_label("Why")).to_be_visible()
    httpx.post(f"{url}/v1/doors/{door['id']}/contact", json={"open": False}, timeout=60)
    expect(own.get_by_text("Shut", exact=True)).to_be_visible()  # drawn anew behind the dialog
    page.get_by_label("Why").fill("courier with a parcel")
    page.get_by_role("dialog").get_by_role("button", name="Open once").click()
    expect(page.get_by_text("Front door was opened.")).to_be_visible()
    said = f"opened by hand by {service.ADMIN}: courier with a parcel"
    expect(own.get_by_text(said).first).to_be_visible()
    expect(own.get_by_text("Opened", exact=True)).to_be_visible()
    expect(own.locator(".door-now")).to_contain_text(said)
    expect(own.get_by_text("Nobody is at the door.")).to_be_visible(timeout=20_000)

    page.get_by_role("button", name="Lock Front door down").click()
    page.get_by_label("Why").fill("alarm in the hall")
    page.get_by_role("button", name="Save").click()
    expect(own.get_by_text("Locked down: alarm in the hall")).to_be_visible()
    expect(page.get_by_role("button", name="Open Front door once")).to_have_count(0)
    page.get_by_role("button", name="Lift the lock-down of Front door").click()
    page.get_by_role("dialog").get_by_role("button", name="Lift").click()
    expect(own.get_by_text("Ready")).to_be_visible()


def test_an_alarm_stays_until_it_is_acknowledged(
    page: Page, url: str, door: dict[str, Any]
) -> None:
    page.goto("/console/doors")
    own = page.locator(".at-door", has_text="Front door")
    expect(own.get_by_text("Nobody may pass yet.")).to_be_visible()
    with httpx.Client(base_url=url, timeout=60) as client:
        for is_open in (False, True, False):
            client.post(f"/v1/doors/{door['id']}/contact", json={"open": is_open})
    expect(own.get_by_role("alert")).to_contain_text("nobody was let in or asked to leave")
    expect(own.get_by_text("Shut", exact=True)).to_be_visible()
    page.get_by_role("button", name="Acknowledge the alarm of Front door").click()
    expect(own.get_by_role("alert")).to_have_count(0)
    expect(own.get_by_text("Alarm", exact=True)).to_be_visible()


def test_the_page_fits_a_phone(page: Page, door: dict[str, Any]) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/console/doors")
    expect(page.get_by_text("Front door")).to_be_visible()
    assert page.evaluate(SIDEWAYS) == 0


def test_whoever_only_looks_has_no_doors(
    browser: Browser, url: str, page: Page, door: dict[str, Any]
) -> None:
    context = service.visitor(browser, url)
    viewer = context.new_page()
    service.sign_in(viewer, "Vera Viewer")
    viewer.wait_for_url(lambda now: "sign-in" not in now)
    answer = viewer.goto("/console/doors")
    assert answer is not None and answer.status == 403
    context.close()
