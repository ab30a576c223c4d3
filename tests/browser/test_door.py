"""What stands between the network and the pages: sessions, origins, roles, held-back attempts."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

pytestmark = pytest.mark.data
WATCHED = {"sessions", "live", "attendance", "attendance/month", "people", "models"}
WORKED = {"review", "unknowns", "people/new", "duplicates", "search", "compare"}
PAGES = (*sorted(WATCHED | WORKED), "kiosk", "cameras", "system", "accounts")
REACHED = {
    "Olga Operator": WATCHED | WORKED | {"kiosk"},
    "Vera Viewer": WATCHED,
    "Front door": {"kiosk"},
}


@contextmanager
def sign_in(url: str, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as client:
        fields = {"name": name, "password": service.PASSWORD}
        answer = client.post("/console/sign-in", data=fields)
        assert answer.status_code == 303, answer.text
        yield client


@pytest.fixture(scope="module")
def stranger(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


def test_nothing_is_shown_without_a_session(stranger: httpx.Client) -> None:
    for path in (*PAGES, "", "crop?collection=people&face=x", "nothing/here"):
        answer = stranger.get(f"/console/{path}")
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/console/sign-in"), path
    assert stranger.get("/console/people", headers={"Cookie": "arcid_session=a.b"}).is_redirect


def test_the_cookie_and_the_pages_are_armoured(url: str) -> None:
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as client:
        answer = client.post(
            "/console/sign-in", data={"name": service.ADMIN, "password": service.PASSWORD}
        )
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/console" in cookie
        shown = client.get("/console/people")
        assert shown.status_code == 200
        assert "frame-ancestors 'none'" in shown.headers["content-security-policy"]
        assert "default-src 'none'" in shown.headers["content-security-policy"]
        assert shown.headers["cache-control"] == "no-store"
        value = client.cookies["arcid_session"]
        client.post("/console/sign-out")
        again = client.get("/console/people", headers={"Cookie": f"arcid_session={value}"})
        assert again.is_redirect, "a cookie kept after signing out must be worth nothing"


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null"])
def test_other_sites_cannot_send_forms_or_photos(url: str, pairs: Path, origin: str | None) -> None:
    with sign_in(url, "Olga Operator") as client:
        del client.headers["origin"]
        headers = {} if origin is None else {"Origin": origin}
        photo = {"image": (pairs / "img1.jpg").read_bytes()}
        assert client.post("/console/photos", files=photo, headers=headers).status_code == 403
        assert client.post("/console/sign-out", headers=headers).status_code == 403
        fields = {"name": "x", "password": "y"}
        assert client.post("/console/sign-in", data=fields, headers=headers).status_code == 403
        assert client.get("/console/people").status_code == 200, "still signed in"


def handshake(url: str, cookie: str | None, origin: str) -> int:
    host = urlsplit(url)
    connection = http.client.HTTPConnection(str(host.hostname), host.port, timeout=10)
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Origin": origin,
    }
    if cookie:
        headers["Cookie"] = f"arcid_session={cookie}"
    path = "/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_sockets_need_a_session_and_our_own_origin(url: str) -> None:
    with sign_in(url, "Vera Viewer") as client:
        cookie = client.cookies["arcid_session"]
        assert handshake(url, cookie, url) == 101
        assert handshake(url, cookie, "http://evil.example") == 403
        assert handshake(url, None, url) == 403


@pytest.mark.parametrize("name", REACHED)
def test_roles_reach_their_pages_and_no_others(url: str, name: str) -> None:
    with sign_in(url, name) as client:
        for path in PAGES:
            expected = 200 if path in REACHED[name] else 403
            assert client.get(f"/console/{path}").status_code == expected, (name, path)
        crop = client.get("/console/crop?collection=people&face=x").status_code
        assert crop == (403 if name == "Front door" else 404)
        export = client.get("/console/export?collection=people&kind=csv").status_code
        assert export == (200 if name == "Olga Operator" else 403)
        photos = client.post("/console/photos", files={"image": b"x"}).status_code
        assert photos == (201 if "search" in REACHED[name] else 403)


def test_a_viewer_is_shown_no_doings(url: str, browser: Browser) -> None:
    context = service.visitor(browser, url)
    page = context.new_page()
    service.sign_in(page, "Vera Viewer")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="People").click()
    page.locator(".person-card").first.click()
    expect(page.get_by_role("heading", name="Faces")).to_be_visible()
    for name in ("Rename", "Delete for good", "Enrol", "Remove"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    assert not re.search(
        r"/console/(accounts|system|search|cameras|review|unknowns|kiosk)", page.content()
    )
    context.close()


def test_a_role_taken_away_stops_a_page_that_is_open(
    url: str, browser: Browser, page: Page, pairs: Path
) -> None:
    page.goto("/console/accounts")
    page.get_by_label("Name").fill("Otto Once")
    page.get_by_label("Password").fill(service.PASSWORD)
    page.get_by_label("Role").last.click()
    page.get_by_role("option", name="Operator").click()
    page.get_by_role("button", name="Add account").click()
    row = page.locator(".account", has_text="Otto Once")
    row.wait_for()

    context = service.visitor(browser, url)
    other = context.new_page()
    service.sign_in(other, "Otto Once")
    other.goto("/console/people/new")
    other.get_by_label("Full name").fill("Never Enrolled")
    other.get_by_label("Add photos").set_input_files(pairs / "img20.jpg")
    expect(other.get_by_role("button", name="Enrol")).to_be_enabled()

    row.get_by_label("Role").click()
    page.get_by_role("option", name="Viewer", exact=True).click()
    page.get_by_text("has to sign in again").wait_for()
    other.wait_for_url(re.compile("/console/sign-in"))  # by itself
    context.close()
    page.goto("/console/people")
    expect(page.locator(".person-card", has_text="Marc Beispiel")).to_be_visible()
    expect(page.get_by_text("Never Enrolled")).to_have_count(0)
    page.goto("/console/accounts")
    page.locator(".account", has_text="Otto Once").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".account", has_text="Otto Once")).to_have_count(0)


def test_sessions_are_seen_and_ended(url: str, browser: Browser, page: Page) -> None:
    context = service.visitor(browser, url)
    other = context.new_page()
    service.sign_in(other, "Olga Operator")
    other.wait_for_url("**/console/*")
    elsewhere = service.visitor(browser, url)
    third = elsewhere.new_page()
    service.sign_in(third, "Olga Operator")
    third.wait_for_url("**/console/*")

    other.get_by_role("link", name="Olga Operator").click()
    expect(other.get_by_role("heading", name="Your sessions")).to_be_visible()
    rows = other.locator(".account")
    expect(rows.filter(has_text="Ada Admin")).to_have_count(0)
    expect(rows.filter(has_text="this browser")).to_have_count(1)
    before = rows.count()
    rows.filter(has_not_text="this browser").first.get_by_role("button").click()
    other.get_by_text("The session has ended.").wait_for()
    expect(rows).to_have_count(before - 1)
    expect(third).to_have_url(re.compile("/console/sign-in"))  # by itself
    service.sign_in(third, "Olga Operator")
    third.wait_for_url("**/console/*")
    other.reload()
    expect(rows.first).to_contain_text("Chrome, Linux from 127.0.0.1")
    other.get_by_role("button", name="End all others").click()
    expect(rows).to_have_count(1)
    expect(third).to_have_url(re.compile("/console/sign-in"))

    page.goto("/console/accounts")
    row = page.locator(".account", has_text="Olga Operator").filter(has_text="Last sign-in")
    ends = page.get_by_role("button", name=re.compile("End the session of Olga Operator"))
    expect(ends).to_have_count(1)
    row.get_by_role("button", name="Sign out everywhere").click()
    expect(ends).to_have_count(0)
    expect(other).to_have_url(re.compile("/console/sign-in"))
    page.goto("/console/audit?verb=session")
    expect(page.locator(".account").first).to_contain_text("Ended sessions")
    context.close()
    elsewhere.close()


def test_guessing_is_held_back(url: str, home: Path) -> None:
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as client:
        fields = {"name": "Vera Viewer", "password": "guess after guess"}
        answers = [client.post("/console/sign-in", data=fields).status_code for _ in range(6)]
        assert answers == [401] * 5 + [429]
        held = client.post("/console/sign-in", data=fields | {"password": service.PASSWORD})
        assert held.status_code == 429
        time.sleep(int(held.headers["retry-after"]))
        let_in = client.post("/console/sign-in", data=fields | {"password": service.PASSWORD})
        assert let_in.status_code == 303
    log = (home / "service.log").read_text()
    assert "guess after guess" not in log and "Vera Viewer" not in log


def test_the_way_back_stays_on_this_site(url: str) -> None:
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as client:
        for after, expected in (
            ("/models", "/console/models"),
            ("//evil.example", "/console/"),
            ("https://evil.example", "/console/"),
            ("/\\evil.example", "/console/"),
        ):
            answer = client.post(
                "/console/sign-in",
                params={"next": after},
                data={"name": service.ADMIN, "password": service.PASSWORD},
            )
            assert answer.headers["location"] == expected
