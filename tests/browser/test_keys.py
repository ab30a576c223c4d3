"""API keys in a browser: shown once, renewed, revoked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from arcid.gallery import Gallery
from arcid.protection import Keys


@pytest.fixture
def keyless(home: Path) -> Iterator[None]:
    """Other tests share the service, and show no key."""
    yield
    with Gallery.open(home / "gallery.db") as gallery:
        book = Keys(gallery)
        for key in book.all():
            book.delete(key.id)


@pytest.mark.usefixtures("keyless")
def test_a_key_is_shown_once_and_opens_what_it_may_until_it_is_revoked(
    page: Page, url: str
) -> None:
    def opens(secret: str, path: str = "/v1/models") -> int:
        return httpx.get(f"{url}{path}", headers={"X-API-Key": secret}, timeout=30).status_code

    page.goto("/console/keys")
    expect(page.get_by_text("No key is stored.")).to_be_visible()
    page.get_by_label("Name of the program").fill("turnstile")
    page.get_by_role("button", name="Make a key").click()
    shown = page.locator("code.secret")
    secret = shown.inner_text()
    page.get_by_role("button", name="I have copied it").click()
    expect(shown).to_have_count(0)
    row = page.locator(".account", has_text="turnstile")
    expect(row).to_contain_text("Valid")
    assert opens(secret) == 200 and opens(secret, "/v1/audit") == 403
    page.reload()
    expect(row).to_be_visible()
    assert secret not in page.content()
    row.get_by_role("button", name="Renew").click()
    page.locator(".dialog").get_by_role("button", name="Renew").click()
    renewed = shown.inner_text()
    page.get_by_role("button", name="I have copied it").click()
    assert renewed != secret and opens(secret) == opens(renewed) == 200
    row.get_by_role("button", name="Revoke").click()
    page.locator(".dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("Revoked")
    assert opens(secret) == opens(renewed) == 401
    page.goto("/console/audit")
    expect(page.locator(".account").first).to_contain_text("Revoked an API key")
