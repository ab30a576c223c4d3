"""A fresh service: nobody can sign in before somebody was set up, and nobody is set up twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.browser import service
from tests.serving import SET_UP, serving

from arcid.events import Audit
from arcid.gallery import Gallery

pytestmark = pytest.mark.data


def test_set_up_sign_out_and_sign_in(browser: Browser, data_dir: Path, tmp_path: Path) -> None:
    with serving(tmp_path, data_dir) as url:
        context = service.visitor(browser, url)
        page = context.new_page()
        page.goto("/console/people")
        expect(page).to_have_url(re.compile("/console/set-up$"))
        expect(page.get_by_label("Set-up code")).to_have_value("")
        page.goto(SET_UP[url] or "")
        expect(page.get_by_label("Set-up code")).not_to_have_value("")
        expect(page).to_have_url(re.compile("/console/set-up$"))  # history keeps no code

        def create(password: str, repeat: str) -> None:
            page.get_by_label("Name").fill(service.ADMIN)
            page.get_by_label("Password", exact=True).fill(password)
            page.get_by_label("Password again").fill(repeat)
            page.get_by_role("button", name="Create account").click()

        create(service.PASSWORD, service.PASSWORD + "!")
        expect(page.get_by_role("alert")).to_have_text("The two passwords differ.")
        create("aaaaaaaaaaaa", "aaaaaaaaaaaa")
        expect(page.get_by_role("alert")).to_contain_text("too easy")
        create(service.PASSWORD, service.PASSWORD)
        expect(page.get_by_role("heading", name="No people yet")).to_be_visible()
        assert (tmp_path / "console.key").stat().st_mode & 0o777 == 0o600

        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(re.compile("/console/sign-in$"))
        page.goto("/console/set-up")
        expect(page).to_have_url(re.compile("/console/sign-in$"))
        service.sign_in(page, password="not the password")
        expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        service.sign_in(page)
        expect(page.get_by_role("heading", name="Live", exact=True)).to_be_visible()
        context.close()
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        made = Audit(gallery).find(verb="account.add")
        refused = Audit(gallery).find(verb="session.refuse")
    assert [row.actor for row in made] == ["setup"]
    assert [(row.actor, row.details["failures"]) for row in refused] == [("anybody", 1)]
    log = (tmp_path / "service.log").read_text()
    assert "signed in" in log
    assert service.ADMIN not in log and service.PASSWORD not in log


def test_set_up_takes_an_api_key_too(browser: Browser, data_dir: Path, tmp_path: Path) -> None:
    key = "Vj3-wq8Tn0Zr5yLk2Xc7"
    with serving(tmp_path, data_dir, ARCID_API_KEYS=key) as url:
        context = service.visitor(browser, url)
        page = context.new_page()
        for tried, heading in (
            ("not the key", "Set up arcid"),
            (key, "No people yet"),
        ):
            page.goto("/console/")
            page.get_by_label("Set-up code").fill(tried)
            page.get_by_label("Name").fill(service.ADMIN)
            page.get_by_label("Password", exact=True).fill(service.PASSWORD)
            page.get_by_label("Password again").fill(service.PASSWORD)
            page.get_by_role("button", name="Create account").click()
            expect(page.get_by_role("heading", name=heading)).to_be_visible()
        context.close()
