"""Many people at once in the browser: a zip, a folder, a list; stopped, gone on with, ended."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

from arcid.apps.jobs import Jobs
from arcid.gallery import Gallery

pytestmark = pytest.mark.data
PAGE = "/console/people/import?collection=many"


@pytest.fixture
def gallery(home: Path, url: str) -> Iterator[Gallery]:
    """The service's, with an empty collection of this test's own."""
    with Gallery.open(home / "gallery.db", create=False) as gallery:
        gallery.create_collection("many", keep_crops=True)
        yield gallery
        gallery.delete_collection("many")


@pytest.fixture
def people(pairs: Path, tmp_path: Path) -> Path:
    root = tmp_path / "people"
    for name, numbers in {"Ann": (1, 2), "Bea": (3,)}.items():
        (root / name).mkdir(parents=True)
        for number in numbers:
            shutil.copy(pairs / f"img{number}.jpg", root / name)
    (root / "Bea" / "broken.jpg").write_bytes(b"no picture")
    (root / "Bea" / "notes.txt").write_text("not read")
    return root


def test_a_zip_becomes_people_and_what_stayed_behind_is_told(
    page: Page, gallery: Gallery, people: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "people.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in people.rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path))
    page.goto("/console/people?collection=many")
    page.get_by_role("link", name="Import many").click()
    expect(page.get_by_text("Nothing was imported into this collection here yet.")).to_be_visible()
    (tmp_path / "no.zip").write_bytes(b"no archive")
    page.get_by_label("Choose a zip").set_input_files(tmp_path / "no.zip")
    expect(page.get_by_text("the archive is damaged, or no zip file")).to_be_visible()
    page.get_by_label("Choose a zip").set_input_files(packed)
    expect(page.get_by_text("people.zip: 4 photos of 2 people.")).to_be_visible()
    expect(page.get_by_text("1 stay behind: 1 not a photo.")).to_be_visible()
    page.get_by_text("Refuse poor photos").click()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Done: 3 of 5 taken, 2 refused")).to_be_visible()
    page.get_by_text("Why 2 were refused").click()
    expect(page.get_by_role("row", name="people/Bea/broken.jpg")).to_be_visible()
    with page.expect_download() as told:
        page.get_by_role("link", name="All reasons as CSV").click()
    rows = list(csv.DictReader(told.value.path().read_text().splitlines()))
    assert {row["item"]: row["code"] for row in rows} == {
        "people/Bea/broken.jpg": "image_unreadable", "people/Bea/notes.txt": "not_a_photo",
    }  # fmt: skip
    assert {p.name: p.faces for p in gallery.people("many")} == {"Ann": 2, "Bea": 1}


def test_a_folder_with_a_list_where_consent_is_demanded(
    page: Page, gallery: Gallery, people: Path, tmp_path: Path
) -> None:
    from arcid.protection import Consents, Policies

    Policies(gallery).change("many", consent=True)
    (tmp_path / "list.csv").write_text(
        "person,photo,consent\nAnna,people/Ann/img1.jpg,2026\nBeate,people/Bea/img3.jpg,\n"
    )
    page.goto(PAGE)
    page.get_by_label("Choose a list (CSV)").set_input_files(tmp_path / "list.csv")
    expect(page.get_by_text("List: list.csv")).to_be_visible()
    page.get_by_label("Choose a folder").set_input_files(people)
    expect(page.get_by_text("people: 1 photo of 1 person.")).to_be_visible()
    page.get_by_text("Refuse poor photos").click()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Done: 1 of 5 taken, 4 refused")).to_be_visible()
    (anna,) = gallery.people("many")
    assert [one.text for one in Consents(gallery).of("many", anna.id)] == ["2026"]


def test_an_import_is_stopped_gone_on_with_and_ended(page: Page, gallery: Gallery) -> None:
    spec = {"kind": "zip", "upload": "a" * 32}  # which lies on another machine
    job = Jobs(gallery).begin("many", "import", source=spec, total=7)
    page.goto(PAGE)
    expect(page.get_by_text("Waits for its turn: 0 of 7 taken, 0 refused")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped: 0 of 7")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("Waits for its turn: 0 of 7")).to_be_visible()
    page.get_by_role("button", name="End it").click()
    page.get_by_role("dialog").get_by_role("button", name="End it").click()
    expect(page.get_by_text("Ended: 0 of 7")).to_be_visible()
    assert Jobs(gallery).get(job.id).state == "cancelled"


@pytest.mark.parametrize("width", [800, 400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_small_screens(
    browser: Browser, url: str, gallery: Gallery, width: int, theme: Literal["light", "dark"]
) -> None:
    context = service.visitor(browser, url, width=width)
    page = context.new_page()
    page.emulate_media(color_scheme=theme)
    service.sign_in(page)
    page.wait_for_url("**/console/*")
    page.goto(PAGE)
    expect(page.get_by_label("Choose a zip")).to_be_attached()
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.goto("/console/people?collection=many")
    expect(page.get_by_role("link", name="Import many")).to_be_visible()
    people = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert max(wide, people) <= width


def test_a_viewer_is_not_let_in(browser: Browser, url: str) -> None:
    context = service.visitor(browser, url)
    page = context.new_page()
    service.sign_in(page, "Vera Viewer")
    page.wait_for_url("**/console/*")
    answer = page.goto("/console/people/import")
    assert answer is not None and answer.status == 403
    sent = page.request.post("/console/upload", data=b"1", headers={"origin": url})
    assert sent.status == 403
    context.close()
