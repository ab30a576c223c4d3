"""Models and calibrations in a browser: chosen for the next start, put in force, undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service

from arcid.calibration import Calibration
from arcid.models import calibrations, chosen, weights

NOTES = "at our own doors"


@pytest.fixture
def mine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Calibration]:
    """A calibration of the shared service's machine; all is as it was afterwards."""
    monkeypatch.setenv("ARCID_HOME", str(home))
    for name in ("ARCID_MODELS", "ARCID_RECOGNISER", "ARCID_DETECTOR"):
        monkeypatch.delenv(name, raising=False)
    packaged = weights.packaged_calibration(weights.resolve("arcid-face-s"))
    made = Calibration({**packaged.data, "notes": NOTES})
    calibrations.install(made)
    yield made
    calibrations.use(made.contract_id, None)
    for one, _ in calibrations.own(made.contract_id):
        calibrations.delete(made.contract_id, one.calibration_id)
    chosen.choose("recognition", None)


def test_an_admin_chooses_for_the_next_start(page: Page, mine: Calibration) -> None:
    page.goto("/console/models")
    own = page.locator(".account", has_text=NOTES)
    expect(own).to_contain_text("In force")
    packaged = page.locator(".account", has=page.get_by_text("Packaged", exact=True))
    packaged.get_by_role("button", name="Put in force").click()
    page.locator(".dialog").get_by_role("button", name="Put in force").click()
    expect(packaged).to_contain_text("In force")
    assert not calibrations.in_force(mine.contract_id).exists()
    own.get_by_role("button", name="Delete").click()
    page.locator(".dialog").get_by_role("button", name="Delete").click()
    expect(own).to_have_count(0)
    assert calibrations.own(mine.contract_id) == []

    forms = {"arcid-face-s", "arcid-face-s-int8"}
    running = weights.fast_form() or "arcid-face-s"
    (other,) = forms - {running}
    page.get_by_role("button", name=f"Use from the next start: {other}", exact=True).click()
    asked = page.locator(".dialog")
    expect(asked).to_contain_text("Vectors of two contracts never meet")
    asked.get_by_role("button", name="Use from the next start").click()
    expect(page.get_by_text(f"{running} runs until this service is restarted")).to_be_visible()
    assert chosen.chosen("recognition") == other
    back = page.get_by_role("button", name="Return to the packaged one")
    back.click()
    expect(back).to_have_count(0)
    assert chosen.chosen("recognition") is None
    expect(page.get_by_text("ARCID_MODEL_DOWNLOADS is off")).to_be_visible()
    expect(page.get_by_role("button", name="Fetch: buffalo_l")).to_have_count(0)

    page.goto("/console/audit")
    rows = page.locator(".account")
    expect(rows.nth(0)).to_contain_text("Chose a model for the next start")
    expect(rows.nth(2)).to_contain_text("Erased a calibration")
    expect(rows.nth(3)).to_contain_text("Put a calibration in force")


def test_a_viewer_sees_what_runs_and_changes_nothing(url: str, browser: Browser) -> None:
    context = service.visitor(browser, url)
    page = context.new_page()
    service.sign_in(page, "Vera Viewer")
    page.wait_for_url("**/console/*")
    page.goto("/console/models")
    expect(page.locator(".model-name").first).to_be_visible()
    expect(page.get_by_text("Installed models")).to_have_count(0)
    expect(page.get_by_role("button", name="Put in force")).to_have_count(0)
    context.close()
