"""People through the pages: enrol with reasons, merge, rename, delete; search and compare."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser import service

from arcid.gallery import Gallery

pytestmark = pytest.mark.data


def test_adding_says_what_is_wrong_with_a_photo_and_who_it_may_be(
    page: Page, pairs: Path, data_dir: Path
) -> None:
    photos = data_dir / "data" / "photos"
    page.goto("/console/people/new")
    enrol = page.get_by_role("button", name="Enrol")
    expect(enrol).to_be_disabled()
    drop = page.get_by_label("Add photos")
    drop.set_input_files(photos / "misc/blur.jpg")
    item = page.locator(".tray-item", has_text="blur.jpg")
    expect(item.get_by_text("The face is blurred")).to_be_visible()
    expect(enrol).to_be_disabled()
    item.get_by_role("checkbox", name="Use anyway").click()
    expect(enrol).to_be_enabled()
    item.get_by_role("button", name="Remove").click()
    expect(enrol).to_be_disabled()
    drop.set_input_files(photos / "group/couple.jpg")
    several = page.locator(".tray-item", has_text="couple.jpg")
    expect(several.get_by_text("2 faces may be the one meant. Choose one:")).to_be_visible()
    expect(several.get_by_role("button", name="Face ")).to_have_count(2)
    several.get_by_role("button", name="Face 1 from the left").click()
    expect(several.get_by_alt_text("Face found in couple.jpg")).to_be_visible()
    expect(several.get_by_role("button", name="Face ")).to_have_count(0)
    several.get_by_role("button", name="Remove").click()
    expect(several).to_have_count(0)
    drop.set_input_files(photos / "misc/no_face.png")
    expect(page.get_by_text("no face was found in the photo")).to_be_visible()
    page.route("**/console/photos", lambda route: route.abort())
    drop.set_input_files([pairs / "img4.jpg", pairs / "img5.jpg"])
    expect(page.locator(".drop .problem")).to_have_text(
        "img4.jpg: the picture did not arrive; img5.jpg: the picture did not arrive"
    )
    page.unroute("**/console/photos")
    drop.set_input_files(pairs / "img4.jpg")
    expect(page.get_by_text("Looks like Angelina Example")).to_be_visible()
    expect(enrol).to_be_enabled()
    enrol.click()
    expect(page.get_by_text("Write a name first.")).to_be_visible()


def test_nobody_is_enrolled_twice_without_being_asked(page: Page, pairs: Path) -> None:
    page.goto("/console/people/new")
    page.get_by_label("Full name").fill("Second Angelina")
    page.get_by_label("Add photos").set_input_files(pairs / "img5.jpg")
    enrol = page.get_by_role("button", name="Enrol", exact=True)
    expect(enrol).to_be_enabled()
    enrol.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("This may be Angelina Example, who is enrolled")).to_be_visible()
    expect(dialog.get_by_alt_text("The face to be enrolled")).to_be_visible()
    expect(dialog.get_by_alt_text("Enrolled face of Angelina Example")).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    page.goto("/console/people")
    expect(page.locator(".person-card")).to_have_count(2)


def test_somebody_of_a_known_name_is_not_taken_for_them_unasked(page: Page, pairs: Path) -> None:
    service.enrol(page, "Robin Same", [pairs / "img20.jpg"])
    page.goto("/console/people/new")
    page.get_by_label("Full name").fill("Robin Same")
    page.get_by_label("Add photos").set_input_files(pairs / "img16.jpg")
    expect(page.get_by_text("Good photo")).to_be_visible()
    enrol = page.get_by_role("button", name="Enrol", exact=True)
    enrol.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("There is somebody called Robin Same already")
    expect(dialog.get_by_alt_text("Enrolled face of Robin Same")).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_label("Full name")).to_have_value("Robin Same")
    enrol.click()
    dialog.get_by_role("button", name="Add to Robin Same").click()
    page.wait_for_url("**/console/people/*collection=people")
    person = f"/v1/collections/people/people/{page.url.rpartition('/')[2].partition('?')[0]}"
    assert page.request.get(person).json()["faces"] == 2
    assert page.request.delete(person).ok


def test_enrol_rename_merge_and_delete_for_good(page: Page, pairs: Path) -> None:
    service.enrol(page, "Second Angelina", [pairs / "img5.jpg"], twice=True)
    expect(page.get_by_text("Who looks alike")).to_be_visible()
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("New name").fill("Twin of Angelina")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Twin of Angelina")).to_be_visible()
    page.goto("/console/duplicates")
    page.get_by_role("button", name="Compare everybody").click()
    page.get_by_role("button", name="are the same person").click()
    expect(page.get_by_text("are one person now.")).to_be_visible()
    page.goto("/console/people")
    expect(page.locator(".person-card", has_text="Angelina Example")).to_contain_text("3 faces")
    expect(page.get_by_text("Twin of Angelina")).to_have_count(0)

    service.enrol(page, "Somebody Else", [pairs / "img20.jpg"])
    page.get_by_role("button", name="Delete for good").click()
    yes = page.get_by_role("dialog").get_by_role("button", name="Delete for good")
    expect(yes).to_be_disabled()
    page.get_by_role("dialog").get_by_label("Confirmation").fill("Somebody Else")
    yes.click()
    page.wait_for_url("**/console/people?*")
    expect(page.locator(".person-card", has_text="Marc Beispiel")).to_be_visible()
    expect(page.get_by_text("Somebody Else")).to_have_count(0)


def test_people_are_found_by_a_part_of_their_name(page: Page) -> None:
    page.goto("/console/people")
    cards = page.locator(".person-card")
    expect(cards).to_have_count(2)
    expect(cards.first.locator("img")).to_have_js_property("naturalWidth", 112)
    page.get_by_label("Find by name").fill("beisp")
    expect(cards).to_have_count(1)
    expect(cards).to_contain_text("Marc Beispiel")
    page.get_by_label("Find by name").fill("nobody like this")
    expect(page.get_by_role("heading", name="Nobody like that")).to_be_visible()


def test_people_have_an_id_of_another_system_and_are_found_by_details(
    page: Page, home: Path
) -> None:
    with Gallery.open(home / "gallery.db") as gallery:
        marc = gallery.person_called("people", "Marc Beispiel")
        gallery.update_person("people", marc.id, metadata={"site": "Berlin", "floor": 3})
    page.goto(f"/console/people/{marc.id}?collection=people")
    expect(page.locator(".facts")).to_contain_text("Berlin")
    page.get_by_role("button", name="External id").click()
    page.get_by_role("dialog").get_by_label("External id").last.fill("HR-7")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.locator(".facts")).to_contain_text("HR-7")
    page.goto("/console/people")
    cards, details = page.locator(".person-card"), page.get_by_label("Only with these details")
    expect(cards).to_have_count(2)
    details.fill("site=Berlin, floor:=3")
    expect(cards).to_have_count(1)
    details.fill("site=Berlin, floor=3")
    expect(page.get_by_role("heading", name="Nobody like that")).to_be_visible()
    details.fill("Berlin")
    expect(page.get_by_text("KEY=TEXT or KEY:=NUMBER")).to_be_visible()
    with Gallery.open(home / "gallery.db") as gallery:
        assert gallery.person("people", marc.id).external_id == "HR-7"
        gallery.update_person("people", marc.id, metadata={}, external_id="")


def test_compare_shows_both_faces_and_what_it_was_judged_at(
    page: Page, pairs: Path, data_dir: Path
) -> None:
    page.goto("/console/compare")
    page.get_by_label("First picture").set_input_files(pairs / "img1.jpg")
    page.get_by_label("Second picture").set_input_files(pairs / "img4.jpg")
    answer = page.locator("article.answer")
    expect(answer.get_by_role("heading", name="The same person")).to_be_visible()
    expect(answer.locator("img.face")).to_have_count(2)
    expect(answer).to_contain_text("a false match rate of 1 in 10,000")
    same = answer.locator("dd").first.inner_text()
    page.get_by_label("Second picture").set_input_files(pairs / "img3.jpg")
    expect(answer.get_by_role("heading", name="Two different people")).to_be_visible()
    assert float(answer.locator("dd").first.inner_text().split()[0]) < float(same.split()[0])
    page.get_by_label("False matches allowed").click()
    page.get_by_role("option", name="1 in 100 comparisons").click()
    expect(answer).to_contain_text("a false match rate of 1 in 100")
    page.get_by_label("Second picture").set_input_files(data_dir / "data/photos/misc/no_face.png")
    expect(page.get_by_text("no face was found in the photo")).to_be_visible()
    expect(answer).to_have_count(0)  # of the picture before


def test_compare_asks_which_face_of_a_picture_with_several(page: Page, data_dir: Path) -> None:
    couple = data_dir / "data/photos/group/couple.jpg"
    page.goto("/console/compare")
    for which in ("First", "Second"):
        page.get_by_label(f"{which} picture").set_input_files(couple)
    sides = page.locator(".pair-side")
    sides.nth(0).get_by_role("button", name="Face 1 from the left").click()
    sides.nth(1).get_by_role("button", name="Face 2 from the left").click()
    answer = page.locator("article.answer")
    expect(answer.get_by_role("heading", name="Two different people")).to_be_visible()
    page.get_by_label("Second picture").set_input_files(couple)
    sides.nth(1).get_by_role("button", name="Face 1 from the left").click()
    expect(answer.get_by_role("heading", name="The same person")).to_be_visible()


def test_a_picture_that_is_none_is_said_so(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 this is not a picture")
    page.goto("/console/compare")
    page.get_by_label("First picture").set_input_files(broken)
    expect(page.get_by_role("alert").first).to_contain_text("image")
