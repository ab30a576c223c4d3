"""Live video in the browser: a known face named, a stranger flagged, the book right."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import film, service
from tests.serving import serving

pytestmark = pytest.mark.data
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def watched(
    browser: Browser, pairs: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A service of its own; the browser's camera shows whom ``appear`` names."""
    pictures = {
        "nobody": [film.scene(None)],
        "Angelina": [film.scene(pairs / "img4.jpg")],
        "a stranger": [film.scene(pairs / "img3.jpg")],
    }
    home = tmp_path_factory.mktemp("live")
    with serving(home, data_dir) as url:
        context = service.visitor(browser, url)
        context.add_init_script(f"({film.STAGE})({json.dumps(film.encoded(pictures))})")
        page = context.new_page()
        service.set_up(page)
        service.fill(page, pairs)
        yield page
        context.close()


def appear(page: Page, who: str) -> None:
    page.evaluate("(who) => { window.scene = who; }", who)


def leave(page: Page) -> None:
    """Out of the picture; returns once no name stands over it."""
    appear(page, "nobody")
    named = page.locator('canvas[aria-label*="Angelina Example"], canvas[aria-label*="Unknown"]')
    expect(named).to_have_count(0, timeout=PATIENCE_MS)


def canvas(page: Page) -> str:
    return page.locator("canvas").first.get_attribute("aria-label") or ""


def test_names_over_the_picture_and_events_beside_it(watched: Page) -> None:
    page = watched
    page.goto("/console/live")
    expect(page.get_by_text("Nothing yet.")).to_be_visible()
    page.get_by_role("button", name="Start camera").click()
    named = page.locator('canvas[aria-label*="Angelina Example"]')
    stranger = page.locator('canvas[aria-label*="Unknown visitor"]')
    appear(page, "Angelina")
    named.wait_for(timeout=PATIENCE_MS)
    leave(page)
    appear(page, "a stranger")
    stranger.wait_for(timeout=PATIENCE_MS)
    assert "Marc Beispiel" not in canvas(page)
    events = page.locator(".event-row")
    expect(events.filter(has_text="Angelina Example")).to_have_count(1)
    expect(events.filter(has_text="Unknown visitor")).to_have_count(1)
    for who, shown in (("Angelina", named), ("a stranger", stranger)):  # for the second time
        leave(page)
        appear(page, who)
        shown.wait_for(timeout=PATIENCE_MS)
    expect(events).to_have_count(2)


def test_faces_stand_in_the_feed_and_a_camera_is_stopped_and_started(watched: Page) -> None:
    page = watched
    seen = page.locator(".event-row img.face")
    expect(seen).to_have_count(2)
    expect(seen.first).not_to_have_js_property("naturalWidth", 0)
    expect(page.get_by_role("img", name="Face of Angelina Example")).to_be_visible()
    page.get_by_role("button", name="Stop: This device's camera").click()
    expect(page.get_by_role("button", name="Start camera")).to_be_visible()
    assert page.evaluate("document.querySelector('video').srcObject.getTracks()[0].readyState") == (
        "ended"
    )
    appear(page, "Angelina")
    page.get_by_role("button", name="Start camera").click()
    page.locator('canvas[aria-label*="Angelina Example"]').wait_for(timeout=PATIENCE_MS)


def test_a_grid_of_cameras_enlarges_one_and_names_the_one_it_cannot_reach(watched: Page) -> None:
    page = watched
    for name in ("Gate", "Yard"):
        page.goto("/console/cameras")
        page.get_by_role("button", name="Add camera").click()
        page.get_by_role("dialog").get_by_label("Name").fill(name)
        page.get_by_role("dialog").get_by_label("Source").fill("rtsp://127.0.0.1:9/nothing")
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        page.get_by_role("heading", name=name).wait_for()
    page.goto("/console/live")
    tiles = page.locator(".live-tile")
    expect(tiles).to_have_count(3)
    gate = tiles.filter(has_text="Gate")
    expect(gate.get_by_role("alert")).to_contain_text("In trouble:", timeout=PATIENCE_MS)
    expect(gate.get_by_role("alert")).to_contain_text("connecting again")

    def box(name: str) -> dict[str, float]:
        found = tiles.filter(has_text=name).bounding_box()
        assert found is not None
        return dict(found)

    assert box("Gate")["y"] == box("Yard")["y"], "side by side"
    before = box("Yard")["width"]
    enlarge = page.get_by_role("button", name="Enlarge: Yard")
    enlarge.focus()
    page.keyboard.press("Enter")
    expect(enlarge).to_have_attribute("aria-pressed", "true")
    assert box("Yard")["width"] > 2 * before
    page.get_by_role("button", name="Enlarge: Gate").click()
    assert box("Yard")["width"] < 1.5 * before < box("Gate")["width"]
    expect(enlarge).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Enlarge: Gate").click()
    page.get_by_role("button", name="Stop: Gate").click()
    expect(gate.get_by_role("alert")).to_have_count(0)
    gate.get_by_role("button", name="Show picture").click()
    expect(gate.get_by_role("alert")).to_contain_text("In trouble:", timeout=PATIENCE_MS)
    page.goto("/console/cameras")
    expect(page.get_by_role("alert").first).to_contain_text("connecting again")
    for _ in range(2):
        page.get_by_role("button", name="Delete").first.click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        page.get_by_text("is deleted").last.wait_for()
        page.reload()  # without the dialog and what it said


def test_the_day_has_one_row_a_person_and_can_be_exported(watched: Page) -> None:
    page = watched
    page.goto("/console/attendance")
    for _ in range(20):  # the camera went with its page, and whoever it saw has left
        if page.locator(".event-row").count() == 3:
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(page.locator(".event-row")).to_have_count(3)
    row = page.locator("tbody tr", has_text="Angelina Example")
    expect(row).to_have_count(1)
    expect(row.get_by_text("here", exact=True)).to_have_count(0)
    expect(page.locator("tbody tr", has_text="Marc Beispiel")).to_contain_text("not seen")

    def export(name: str) -> bytes:
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        return Path(download.value.path()).read_bytes()

    rows = list(csv.DictReader(io.StringIO(export("Events: Export as CSV").decode())))
    assert sorted(row["kind"] for row in rows) == ["arrival", "departure", "unknown"]
    (arrival,) = [row for row in rows if row["kind"] == "arrival"]
    assert arrival["name"] == "Angelina Example"
    assert float(arrival["cosine"]) > float(arrival["cosine_threshold"]) > 0
    sheet = openpyxl.load_workbook(io.BytesIO(export("Day: Export as XLSX"))).active
    assert sheet is not None
    names = {str(line[1].value): line for line in sheet.iter_rows(min_row=2)}
    assert set(names) == {"Angelina Example", "Marc Beispiel"}
    assert names["Angelina Example"][2].value is not None
    assert names["Marc Beispiel"][2].value is None
    day = json.loads(export("Day: Export as JSON"))
    assert [entry["absent"] for entry in day] == [False, True]


def test_an_event_is_explained_and_corrected_without_being_edited(watched: Page) -> None:
    page = watched
    page.goto("/console/attendance")
    page.get_by_role("button", name="Look into: Angelina Example").last.click()  # the arrival
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("saw Angelina Example first on")).to_be_visible()
    expect(dialog.get_by_text("likely of one person")).to_be_visible()
    expect(dialog.locator("dl")).to_be_hidden()  # numbers are folded away
    dialog.get_by_text("Numbers").click()
    expect(dialog.locator("dl")).to_be_visible()
    for words in ("Score", "a match from", "Model", "arcid-face-s", "Calibration"):
        expect(dialog).to_contain_text(words)
    dialog.get_by_role("button", name="Not this person").click()
    expect(page.get_by_text("this face is not taken for Angelina Example again")).to_be_visible()
    expect(page.locator("tbody tr", has_text="Angelina Example")).to_contain_text("not seen")
    expect(page.locator(".event-row", has_text="corrected")).to_have_count(1)
    page.locator(".event-row", has_text="corrected").click()
    expect(page.get_by_role("dialog")).to_contain_text("Not this person · Ada Admin")
    page.get_by_role("button", name="Undo: Not this person · Ada Admin").click()
    row = page.locator("tbody tr", has_text="Angelina Example")
    expect(row).not_to_contain_text("not seen")
    expect(page.locator(".event-row", has_text="corrected")).to_have_count(0)
    page.get_by_role("button", name="Look into: Angelina Example").last.click()
    dialog.get_by_role("button", name="Not this person").click()
    expect(page.locator("tbody tr", has_text="Angelina Example")).to_contain_text("not seen")


def test_an_unknown_visitor_is_enrolled_with_a_click(watched: Page) -> None:
    page = watched
    page.goto("/console/unknowns")
    cards = page.locator(".visitor")
    stranger = cards.filter(has_text="Seen").first
    expect(stranger.locator("img")).to_have_js_property("naturalWidth", 112)
    before = cards.count()
    stranger.get_by_label("Who is it?").fill("Jennifer Exempel")
    stranger.get_by_role("button", name="Enrol").click()
    expect(page.get_by_text("Jennifer Exempel is enrolled")).to_be_visible()
    expect(cards).to_have_count(before - 1)
    page.goto("/console/attendance")
    expect(page.locator("tbody tr", has_text="Jennifer Exempel")).to_have_count(1)


def test_a_camera_of_the_service_is_watched_and_its_trouble_is_told(
    watched: Page, data_dir: Path
) -> None:
    page = watched
    page.goto("/console/cameras")

    def add(name: str, source: str) -> None:
        page.get_by_role("button", name="Add camera").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill(name)
        dialog.get_by_label("Source").fill(source)
        dialog.get_by_role("button", name="Save").click()
        page.get_by_text(f"{name} is saved.").wait_for()

    add("Gate", str(data_dir / "data/video/no-such-film.mp4"))
    gate = page.locator(".visitor", has_text="Gate")
    expect(gate.get_by_role("alert")).to_contain_text("no-such-film.mp4", timeout=PATIENCE_MS)
    add("Lobby", str(data_dir / "data/video/short_hamilton_clip.mp4"))
    page.goto("/console/live")
    shown = page.locator('canvas[aria-label^="Camera picture: Lobby"]')
    expect(shown).to_be_visible()
    colours = """(canvas) => {
      const pen = canvas.getContext("2d");
      const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
      return new Set(data.filter((_, i) => i % 397 === 0)).size;
    }"""
    page.wait_for_function(f"(c) => ({colours})(c) > 20", arg=shown.element_handle())
    page.goto("/console/cameras")
    lobby = page.locator(".visitor", has_text="Lobby")
    expect(lobby).to_contain_text("Keeps attendanceyes")
    lobby.get_by_role("button", name="Change").click()
    page.get_by_role("dialog").get_by_role("checkbox", name="Keeps attendance").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(lobby).to_contain_text("Keeps attendanceno")
    for name in ("Gate", "Lobby"):
        page.locator(".visitor", has_text=name).get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        page.get_by_text(f"{name} is deleted.").wait_for()
    expect(page.get_by_text("No camera yet")).to_be_visible()
