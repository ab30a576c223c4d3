"""A second factor in a browser: set up, asked for, lost, and demanded."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service
from tests.serving import SET_UP, serving
from tests.unit.test_console_second import code_at

from arcid.server.console.auth.accounts import Accounts
from arcid.server.console.auth.errors import AccountRefused

pytestmark = pytest.mark.data


def named(home: Path, name: str, role: str = "operator") -> None:
    """An account of that name without a second factor."""
    store = Accounts.open(home / "gallery.db")
    try:
        with suppress(AccountRefused):
            store.delete(store.named(name).id)
        store.add(name, service.PASSWORD, role)
    finally:
        store.close()


def test_an_app_is_set_up_asked_for_and_reset(
    url: str, home: Path, browser: Browser, page: Page
) -> None:
    name = "Tina Twostep"
    named(home, name)
    context = service.visitor(browser, url)
    tina = context.new_page()
    service.sign_in(tina, name)
    tina.wait_for_url("**/console/*")
    tina.goto("/console/sessions")
    expect(tina.get_by_text("the password alone lets you in")).to_be_visible()
    tina.get_by_role("link", name="Set up an authenticator app").click()
    expect(tina.get_by_alt_text("QR code")).to_be_visible()
    assert tina.evaluate("document.querySelector('.qr').naturalWidth") > 100
    tina.set_viewport_size({"width": 360, "height": 800})
    assert tina.evaluate("document.documentElement.scrollWidth") <= 360
    tina.set_viewport_size({"width": 1280, "height": 800})
    secret = tina.locator("code.secret").inner_text().replace(" ", "")
    tina.get_by_label("Password").fill("not the password")
    tina.get_by_label("Code the app shows").fill(code_at(secret, int(time.time())))
    tina.get_by_role("button", name="Set up").click()
    expect(tina.get_by_role("alert")).to_have_text("The password is wrong.")
    assert tina.locator("code.secret").inner_text().replace(" ", "") == secret
    tina.get_by_label("Password").fill(service.PASSWORD)
    tina.get_by_label("Code the app shows").fill("000000")
    tina.get_by_role("button", name="Set up").click()
    expect(tina.get_by_role("alert")).to_contain_text("not the code")
    tina.get_by_label("Password").fill(service.PASSWORD)
    used = int(time.time())
    tina.get_by_label("Code the app shows").fill(code_at(secret, used))
    tina.get_by_role("button", name="Set up").click()
    listed = tina.locator(".codes code")
    expect(listed).to_have_count(10)
    codes = listed.all_inner_texts()
    tina.get_by_role("link", name="I have kept them").click()
    expect(tina.get_by_text("Recovery codes left: 10.")).to_be_visible()

    tina.get_by_role("button", name="Sign out").click()
    service.sign_in(tina, name)
    expect(tina.get_by_role("heading", name="Second step")).to_be_visible()
    tina.goto("/console/people")  # the password alone opens nothing, and leads back to the code
    expect(tina).to_have_url(re.compile("/console/sign-in/second"))
    tina.get_by_label("Code").fill("000000")
    tina.get_by_role("button", name="Sign in", exact=True).click()
    expect(tina.get_by_role("alert")).to_contain_text("wrong, or was used already")
    tina.get_by_label("Code").fill(code_at(secret, max(int(time.time()), used + 30)))
    tina.get_by_role("button", name="Sign in", exact=True).click()
    expect(tina).to_have_url(re.compile("/console/people"))
    tina.get_by_role("button", name="Sign out").click()
    service.sign_in(tina, name)
    tina.get_by_label("Code").fill(codes[0])
    tina.get_by_role("button", name="Sign in", exact=True).click()
    tina.wait_for_url(re.compile("/console/(?!sign-in)"))
    tina.goto("/console/sessions")
    expect(tina.get_by_text("Recovery codes left: 9.")).to_be_visible()
    tina.get_by_role("link", name="Make new recovery codes").click()
    tina.get_by_label("Password").fill(service.PASSWORD)
    tina.get_by_role("button", name="Make new recovery codes").click()
    expect(listed).to_have_count(10)
    assert not set(listed.all_inner_texts()) & set(codes)

    page.goto("/console/accounts")
    row = page.locator(".account", has_text=name).filter(has_text="Last sign-in")
    expect(row).to_contain_text("Second factor")
    row.get_by_role("button", name="Reset second factor").click()
    page.get_by_role("dialog").get_by_role("button", name="Reset second factor").click()
    expect(row.get_by_role("button", name="Reset second factor")).to_have_count(0)
    page.goto("/console/audit?verb=factor")
    expect(page.locator(".account").first).to_contain_text("Removed a second factor")
    tina.goto("/console/people")
    expect(tina).to_have_url(re.compile("/console/sign-in"))
    service.sign_in(tina, name)
    tina.wait_for_url(re.compile("/console/(?!sign-in)"))
    context.close()


def test_one_that_is_not_wanted_any_more_is_removed_with_the_password(url: str, home: Path) -> None:
    named(home, "Rita Removes")
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as rita:
        fields = {"name": "Rita Removes", "password": service.PASSWORD}
        assert rita.post("/console/sign-in", data=fields).status_code == 303
        set_up(rita)
        assert rita.get("/console/people").status_code == 200, "this browser stays signed in"
        wrong = rita.post("/console/two-step/remove", data={"password": "not the password"})
        assert wrong.status_code == 422
        done = rita.post("/console/two-step/remove", data={"password": service.PASSWORD})
        assert done.status_code == 303
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as rita:
        assert rita.post("/console/sign-in", data=fields).headers["location"] == "/console/"
        assert rita.get("/console/people").status_code == 200
        evil = {"Origin": "http://evil.example"}
        for path in ("two-step", "two-step/codes", "two-step/remove", "sign-in/second"):
            answer = rita.post(f"/console/{path}", data={"code": "1"}, headers=evil)
            assert answer.status_code == 403, path


def test_where_everybody_needs_one_it_is_set_up_before_anything_is_shown(
    tmp_path: Path, data_dir: Path
) -> None:
    with (
        serving(tmp_path, data_dir, ARCID_SECOND_FACTOR="everybody") as url,
        httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as ada,
    ):
        code = (SET_UP[url] or "").partition("#")[2]
        fields = {"name": "Ada", "password": service.PASSWORD, "repeat": service.PASSWORD}
        assert ada.post("/console/set-up", data=fields | {"code": code}).status_code == 303
        for path in ("people", "sessions", "_nicegui/x"):
            assert ada.get(f"/console/{path}").status_code in (303, 401)
        assert "/console/two-step" in ada.get("/console/sign-in").headers["location"]
        for path in ("two-step/codes", "two-step/remove", "sign-in/second"):
            assert ada.post(f"/console/{path}", data={"password": service.PASSWORD}).is_redirect
        with httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as eve:
            assert eve.post("/console/sign-in", data=fields).status_code == 303
            assert eve.get("/console/two-step").status_code == 200
            set_up(ada, password=False)
            assert eve.get("/console/two-step").is_redirect, "it was theirs until it was Ada's"
        assert ada.get("/console/people").status_code == 200
    log = (tmp_path / "service.log").read_text()
    assert "otpauth" not in log and service.PASSWORD not in log


def set_up(client: httpx.Client, *, password: bool = True) -> list[str]:
    """Recovery codes of an app that was set up by the form."""
    shown = client.get("/console/two-step").text
    assert ('name="password"' in shown) == password
    draft = re.search(r'name="draft" value="([^"]+)"', shown)
    secret = re.search(r'<code class="secret">([^<]+)<', shown)
    assert draft is not None and secret is not None
    code = code_at(secret[1].replace(" ", ""), int(time.time()))
    fields = {"draft": draft[1], "code": code, "password": service.PASSWORD}
    done = client.post("/console/two-step", data=fields)
    assert done.status_code == 200
    assert done.headers["cache-control"] == "no-store"
    return re.findall(r"<li><code>([A-Z2-7-]+)</code>", done.text)
