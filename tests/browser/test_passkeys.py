"""Passkeys in Chromium, with an authenticator of its own making."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service
from tests.browser.test_second_factor import named

pytestmark = pytest.mark.data
NAME = "Paula Passkey"


class Authenticator:
    """One plugged into the browser of a page."""

    def __init__(self, page: Page, *, verifies: bool) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable", {"enableUI": False})
        options = {
            "protocol": "ctap2",
            "transport": "internal" if verifies else "usb",
            "hasResidentKey": verifies,
            "hasUserVerification": verifies,
            "isUserVerified": verifies,
            "automaticPresenceSimulation": True,
        }
        made = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self._id = made["authenticatorId"]

    def unplug(self) -> None:
        self._session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self._id})


def add(page: Page, name: str) -> None:
    page.goto("/console/sessions")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("What you call it").fill(name)
    page.get_by_label("Password").fill(service.PASSWORD)
    page.get_by_role("button", name="Add a passkey").click()


def test_passkeys_are_made_shown_and_taken_back(url: str, home: Path, browser: Browser) -> None:
    named(home, NAME)
    local = url.replace("127.0.0.1", "localhost")
    context = service.visitor(browser, local)
    page = context.new_page()
    laptop = Authenticator(page, verifies=True)
    service.sign_in(page, NAME)
    page.wait_for_url(re.compile("/console/(?!sign-in)"))
    add(page, "laptop")
    expect(page.locator(".codes code")).to_have_count(10)
    page.get_by_role("link", name="I have kept them").click()
    row = page.locator(".account", has_text="laptop")
    expect(row).to_contain_text("Last used: never.")

    sent: list[Any] = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(re.compile("/console/(?!sign-in)"))
    page.goto("/console/sessions")
    expect(row).to_be_visible()
    expect(row).not_to_contain_text("never")
    (shown,) = (one for one in sent if "/sign-in/passkey" in one.url)
    (answer,) = parse_qs(shown.post_data)["answer"]
    with httpx.Client(base_url=local, headers={"Origin": local}, timeout=30) as thief:
        again = thief.post("/console/sign-in/passkey", data={"answer": answer})
        assert again.status_code == 401, "an answer counts once"
        assert thief.get("/console/people").is_redirect

    page.get_by_role("button", name="Sign out").click()
    service.sign_in(page, NAME)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(re.compile("/console/(?!sign-in)"))

    laptop.unplug()
    key = Authenticator(page, verifies=False)
    add(page, "blue key")
    expect(page.locator(".account", has_text="blue key")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    service.sign_in(page, NAME)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(re.compile("/console/(?!sign-in)"))
    key.unplug()

    page.goto("/console/sessions")
    page.get_by_role("link", name="Remove the passkey laptop").click()
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Remove this passkey").click()
    expect(page.get_by_role("alert")).to_have_text("The password is wrong.")
    page.get_by_label("Password").fill(service.PASSWORD)
    page.get_by_role("button", name="Remove this passkey").click()
    expect(page.locator(".account", has_text="blue key")).to_be_visible()
    expect(row).to_have_count(0)
    context.close()


def test_where_no_passkey_can_count_the_page_says_why(
    url: str, home: Path, browser: Browser
) -> None:
    named(home, NAME)
    context = service.visitor(browser, url)
    page = context.new_page()
    service.sign_in(page, NAME)
    page.wait_for_url(re.compile("/console/(?!sign-in)"))
    add(page, "laptop")
    expect(page.get_by_role("alert")).to_contain_text("ARCID_PUBLIC_URL")
    page.get_by_role("button", name="Add a passkey").wait_for()
    context.close()
