"""The audit in a browser: who did what, filtered, checked and taken along."""

from __future__ import annotations

import csv
from pathlib import Path

from playwright.sync_api import Page, expect


def test_what_was_done_is_shown_filtered_checked_and_saved(page: Page, url: str) -> None:
    (collection,) = page.request.get(f"{url}/v1/collections").json()["collections"]
    people = f"{url}/v1/collections/{collection['name']}/people"
    made = page.request.post(people, data={"name": "Zed Zwilling"}).json()["id"]
    page.request.delete(f"{people}/{made}")
    page.goto("/console/audit")
    newest = page.locator(".account").first
    expect(newest).to_contain_text(f"Deleted a person: Person {made[:8]}, since deleted")
    expect(newest).to_contain_text("A program on this machine")
    expect(page.get_by_text("Zed Zwilling")).to_have_count(0)
    page.get_by_label("What").select_option(label="Doubtful faces")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text(f"Person {made[:8]}")).to_have_count(0)
    page.goto(f"/console/audit?subject=person:{made}")
    expect(page.locator(".account")).to_have_count(1)
    page.get_by_role("button", name="Check every row").click()
    expect(page.get_by_text("each as it was written")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save as CSV").click()
    (row,) = csv.DictReader(Path(saved.value.path()).read_text("utf-8").splitlines())
    assert (row["verb"], row["subject"]) == ("person.delete", f"person:{made}")
