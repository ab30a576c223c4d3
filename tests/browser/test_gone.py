"""Pages of what is not there: dates beyond the calendar, a deleted collection, a broken picture."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect
from tests.browser import service

from arcid.cameras.book import CameraBook
from arcid.gallery.database import Database

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def shelf(home: Path, url: str) -> Iterator[CameraBook]:
    """The service's own; what is written here is on the next page that is opened."""
    database = Database(str(home / "gallery.db"), create=False)
    yield CameraBook(database, home)
    database.close()


@pytest.fixture
def cameras(shelf: CameraBook) -> Iterator[CameraBook]:
    yield shelf
    for camera in shelf.all():
        shelf.delete(camera.id)


@pytest.mark.parametrize(
    "address",
    ["attendance?day=0001-01-01", "attendance?day=9999-12-31", "attendance/month?month=0001-01",
     "attendance/month?month=9999-12", "attendance/person/x?month=9999-12"],
)  # fmt: skip
def test_a_date_beyond_the_calendar_is_explained(page: Page, address: str) -> None:
    answer = page.goto(f"/console/{address}")
    assert answer is not None and answer.status == 200
    expect(page.get_by_role("alert")).to_contain_text("between the years 1970 and 9998")
    for day in ("day=0001-01-01", "day=9999-12-31", "month=9999-12"):
        refused = page.request.get(f"/console/export?collection=people&{day}")
        assert (refused.status, refused.json()["error"]["code"]) == (422, "bad_input")
    page.get_by_role("link", name="Attendance").last.click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_another_collection_is_not_shown_for_one_that_is_gone(page: Page) -> None:
    for path in ("people", "people/new", "attendance", "attendance/person/x", "review"):
        answer = page.goto(f"/console/{path}?collection=guests")
        assert answer is not None and answer.status == 404
        expect(page.get_by_text("There is no such page")).to_be_visible()


def test_a_picture_that_cannot_be_read_does_not_stop_the_next(
    page: Page, cameras: CameraBook
) -> None:
    cameras.add(name="Back door", source="0", collection="people")
    asked: list[str] = []

    def frame(about: dict[str, object], picture: bytes) -> bytes:
        head = json.dumps(about).encode()
        return struct.pack("<I", len(head)) + head + picture

    def feed(socket: WebSocketRoute) -> None:
        def heard(message: str | bytes) -> None:
            asked.append(str(message))
            if len(asked) == 1:
                socket.send(frame({"state": "trouble", "problem": "it came through"}, b""))

        socket.on_message(heard)
        socket.send(frame({"state": "live", "size": [4, 4], "faces": []}, b"no JPEG at all"))

    page.route_web_socket("**/feed/*", feed)
    page.goto("/console/live")
    expect(page.get_by_text("it came through").first).to_be_visible()
    assert asked[:2] == ["next", "next"]


def test_a_camera_whose_collection_was_deleted_asks_for_another(
    page: Page, cameras: CameraBook
) -> None:
    assert page.request.post("/v1/collections", data={"name": "gone"}).ok
    made = cameras.add(name="Back door", source="0", collection="gone", enabled=False)
    assert page.request.delete("/v1/collections/gone").ok
    page.goto("/console/cameras")
    expect(page.get_by_text("gone (deleted)")).to_be_visible()
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("alert")).to_contain_text("“gone” was deleted")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Choose the collection of people")).to_be_visible()
    assert cameras.get(made.id).collection == "gone"
    page.get_by_role("dialog").get_by_label("Collection").click()
    page.get_by_role("option").first.click()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("gone (deleted)").wait_for(state="detached")
    assert cameras.get(made.id).collection == "people"


def test_nobody_starts_at_a_camera_whose_collection_was_deleted(
    page: Page, cameras: CameraBook, browser: Browser, url: str
) -> None:
    assert page.request.post("/v1/collections", data={"name": "gone"}).ok
    cameras.add(name="Back door", source="no-such-film.mp4", collection="gone")
    assert page.request.delete("/v1/collections/gone").ok
    context = service.visitor(browser, url)
    viewer = context.new_page()
    service.sign_in(viewer, "Vera Viewer")
    viewer.wait_for_url("**/console/*")
    answer = viewer.goto("/console/")
    assert answer is not None and answer.status == 200
    context.close()


def test_a_page_says_for_how_long_it_could_not_be_read_anew(page: Page, home: Path) -> None:
    page.goto("/console/alerts")
    expect(page.get_by_role("heading", name="Alerts", exact=True)).to_be_visible()
    old = page.get_by_role("alert")
    expect(old).to_have_count(0)
    aside = (home / "gallery.db").rename(home / "aside.db")
    try:
        expect(old).to_contain_text("What stands here is not up to date", timeout=30_000)
        expect(old).to_contain_text("gallery.db is gone")
    finally:
        aside.rename(home / "gallery.db")
    expect(old).to_have_count(0, timeout=30_000)


def test_a_camera_s_password_is_kept_and_never_shown(page: Page, cameras: CameraBook) -> None:
    address = "rtsp://admin:pa55word@127.0.0.1:9/door?token=t0ken"
    made = cameras.add(name="Gate", source=address, collection="people", enabled=False)
    page.goto("/console/cameras")
    expect(page.get_by_text("rtsp://127.0.0.1:9/door")).to_be_visible()
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_label("Source")).to_have_value("rtsp://127.0.0.1:9/door")
    expect(page.get_by_text("are kept and not shown")).to_be_visible()
    content = page.content()
    assert "pa55word" not in content and "t0ken" not in content
    cameras.change(made.id, liveness="require")  # somebody else, while the dialog is open
    page.get_by_label("Name").fill("Gate 2")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Gate 2")).to_be_visible()
    kept = cameras.get(made.id)
    assert (kept.name, kept.source, kept.liveness) == ("Gate 2", address, "require")
    cameras.change(made.id, place="Yard")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_label("Place (optional)")).to_have_value("Yard")
