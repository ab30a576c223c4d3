"""Backups on the System page: those that are there, and one more now."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, Page, expect
from tests.browser import service
from tests.serving import serving

from arcid.gallery import copying


def test_a_backup_is_made_and_shown(browser: Browser, data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    with serving(tmp_path, data_dir, ARCID_BACKUPS=str(folder)) as url:
        context = service.visitor(browser, url)
        page = context.new_page()
        service.set_up(page)
        page.goto("/console/system")
        expect(page.get_by_text("One every 24 hours; the newest 14 stay.")).to_be_visible()
        page.get_by_role("button", name="Back up now").click()
        expect(page.get_by_text("read back and found whole")).to_be_visible()
        made = page.get_by_role("cell", name="gallery-").first
        expect(made).to_be_visible()
        assert copying.inspect(folder / made.inner_text()).rows["console_accounts"] == 1
        context.close()


def test_without_a_folder_the_page_says_what_to_set(page: Page) -> None:
    page.goto("/console/system")
    expect(page.get_by_text("ARCID_BACKUPS names no folder")).to_be_visible()
    expect(page.get_by_role("button", name="Back up now")).to_have_count(0)
