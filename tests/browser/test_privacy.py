"""The page Privacy: an officer says what is kept; who may not see pictures sees letters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

from arcid.gallery import Gallery, NewConsent, Policy
from arcid.protection import Consents, Policies
from arcid.server.console.auth.accounts import Accounts

pytestmark = pytest.mark.data


@pytest.fixture
def gallery(home: Path) -> Iterator[Gallery]:
    """Other tests share the service, and keep all they like."""
    with Gallery.open(home / "gallery.db") as gallery:
        yield gallery
        Policies(gallery).change("people", **Policy().to_dict())


def test_an_officer_sets_a_policy_and_takes_a_consent_back(
    page: Page, url: str, browser: Browser, home: Path, gallery: Gallery
) -> None:
    person = gallery.add_person("people", "Nobody Seen")
    Consents(gallery).record("people", person.id, NewConsent("2026-03", "form 1"))
    with closing(Accounts.open(home / "gallery.db")) as accounts:
        accounts.add("Otto Officer", service.PASSWORD, "officer")
    officer = service.visitor(browser, url).new_page()
    service.sign_in(officer, "Otto Officer")
    officer.wait_for_url("**/console/*")
    officer.goto("/console/privacy")
    officer.get_by_label("Purpose").fill("Opening doors")
    officer.get_by_text("Nobody is enrolled who did not agree").click()
    officer.get_by_label("Delete people unseen for (days)").fill("365")
    Policies(gallery).change("people", keep_days=30)  # somebody else, meanwhile
    officer.get_by_role("button", name="Save").click()
    officer.locator(".dialog").get_by_role("button", name="Save").click()
    expect(officer.get_by_text("Saved.")).to_be_visible()
    policy = Policies(gallery).of("people")
    assert (policy.purpose, policy.consent, policy.unseen_days) == ("Opening doors", True, 365)
    assert policy.keep_days == 30

    page.goto("/console/people/new")
    expect(page.get_by_text("This collection takes only people who agreed.")).to_be_visible()

    officer.goto(f"/console/people/{person.id}")
    expect(officer.locator(".card", has_text="form 1")).to_contain_text("stands")
    officer.get_by_role("button", name="Take consent back").click()
    dialog = officer.get_by_role("dialog")
    expect(dialog).to_contain_text("is deleted with everything kept")
    dialog.get_by_label("Confirmation").fill("Nobody Seen")
    dialog.get_by_role("button", name="Take consent back").click()
    officer.wait_for_url("**/people?collection=people")
    assert gallery.find_person("people", "Nobody Seen") is None


def test_who_may_not_see_pictures_sees_letters(
    page: Page, url: str, browser: Browser, gallery: Gallery
) -> None:
    Policies(gallery).change("people", crops_for=["admin"])
    page.goto("/console/people")
    expect(page.locator(".person-card img.face").first).to_be_visible()
    viewer = service.visitor(browser, url).new_page()
    service.sign_in(viewer, "Vera Viewer")
    viewer.wait_for_url("**/console/*")
    viewer.goto("/console/people")
    expect(viewer.locator(".person-card").first).to_be_visible()
    expect(viewer.locator(".person-card img.face")).to_have_count(0)
    viewer.goto("/console/privacy")
    expect(viewer.get_by_text("Not for this role")).to_be_visible()
