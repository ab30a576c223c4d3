"""Signing in at a provider of another site, and back, in a browser."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.browser import service
from tests.provider import CLIENT, SECRET, providing
from tests.serving import serving
from tests.unit.test_console_oidc import ADA

from arcid.server.console.auth.accounts import Accounts

pytestmark = pytest.mark.data


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_somebody_of_the_provider_comes_in_and_leaves_both(
    tmp_path: Path, data_dir: Path, browser: Browser
) -> None:
    port = free_port()
    here = f"http://localhost:{port}"
    with providing() as provider:
        given = {
            "ARCID_OIDC_ISSUER": provider.url,
            "ARCID_OIDC_CLIENT_ID": CLIENT,
            "ARCID_OIDC_CLIENT_SECRET": SECRET,
            "ARCID_OIDC_NAME": "Example Login",
            "ARCID_OIDC_ROLES": "face-admins=admin,staff=viewer",
            "ARCID_PUBLIC_URL": here,
            "ARCID_SECOND_FACTOR": "everybody",
        }
        with serving(tmp_path, data_dir, port=port, **given) as url:
            context = service.visitor(browser, url)
            local = context.new_page()
            local.goto(f"{url}/console/")
            assert "set-up" in local.url, "the first account is one of here"
            context.close()
            named(tmp_path)

            context = service.visitor(browser, here)
            page = context.new_page()
            provider.user = ADA | {"groups": ["staff"]}
            page.goto("/console/people")
            enter = page.get_by_role("link", name="Sign in with Example Login")
            enter.click()
            expect(page).to_have_url(re.compile("/console/people"))
            expect(page.locator(".rail-who")).to_contain_text("Ada Lovelace")
            expect(page.locator(".rail-who")).to_contain_text("Viewer")
            page.goto("/console/sessions")
            expect(page.get_by_text("which asks for what it needs")).to_be_visible()
            expect(page.get_by_role("link", name="Add a passkey")).to_have_count(0)
            with page.expect_request(f"{provider.url}/end**"):
                page.get_by_role("button", name="Sign out").click()
            expect(enter).to_be_visible()

            provider.fault = "denied"
            enter.click()
            expect(page.get_by_role("alert")).to_contain_text("broken off")
            provider.fault, provider.wrong = "", {"nonce": "another"}
            enter.click()
            expect(page.get_by_role("alert")).to_contain_text("did not work")
            page.goto("/console/people")
            expect(page).to_have_url(re.compile("/console/sign-in"))
            provider.wrong = {}

            provider.user = dict(ADA)
            enter.click()
            expect(page.locator(".rail-who")).to_contain_text("Admin")
            page.goto("/console/accounts")
            row = page.locator(".account", has_text="Last sign-in").filter(has_text="Ada Lovelace")
            expect(row).to_contain_text("kept elsewhere")
            page.goto("/console/audit?verb=account")
            expect(page.locator(".account").first).to_contain_text("Changed an account")
            context.close()
    log = (tmp_path / "service.log").read_text()
    assert SECRET not in log and "ada-1" not in log and "Lovelace" not in log
    assert "invalid_claim" in log, "the log says why somebody was refused"


def test_where_the_provider_is_down_a_password_of_here_still_counts(
    tmp_path: Path, data_dir: Path, browser: Browser
) -> None:
    port = free_port()
    here = f"http://localhost:{port}"
    given = {
        "ARCID_OIDC_ISSUER": "http://127.0.0.1:9",
        "ARCID_OIDC_CLIENT_ID": CLIENT,
        "ARCID_OIDC_ROLES": "staff=viewer",
        "ARCID_PUBLIC_URL": here,
    }
    with serving(tmp_path, data_dir, port=port, **given):
        named(tmp_path)
        context = service.visitor(browser, here)
        page = context.new_page()
        page.goto("/console/")
        page.get_by_role("link", name="Sign in with single sign-on").click()
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
        page.get_by_label("Name").fill(service.ADMIN)
        page.get_by_label("Password").fill(service.PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.locator(".rail-who")).to_contain_text(service.ADMIN)
        context.close()


def named(home: Path) -> None:
    """The account of here that is left when the provider is not."""
    store = Accounts.open(home / "gallery.db")
    try:
        store.add(service.ADMIN, service.PASSWORD, "admin")
    finally:
        store.close()
