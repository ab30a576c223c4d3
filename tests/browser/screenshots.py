"""Every page as a picture: ``python -m tests.browser.screenshots OUT``.

Pages of ``arcid demo``, at 1280x800 and 390x844, light and dark. Says which pages scroll sideways;
ends with 1 if any does. The README's picture is ``attendance-wide-light-screen.png``: it shows
nobody's face, as every picture that is committed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser import service

from arcid.server.console import registry

SIZES = {"wide": (1280, 800), "phone": (390, 844)}
THEMES = ("light", "dark")
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--only", default="", help="pages whose path holds this")
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "arcid", "demo", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        try:
            told = json.loads(demo.stdout.readline() if demo.stdout else "{}")
            wide = pictures(told, options.out, options.only)
        finally:
            demo.terminate()
    print(f"{len(list(options.out.glob('*.png')))} pictures in {options.out}")
    for shot in wide:
        print(f"scrolls sideways: {shot}")
    return 1 if wide else 0


def pictures(demo: dict[str, Any], out: Path, only: str) -> list[str]:
    """Take them; the names of those that scroll sideways."""
    wide: list[str] = []
    admin = next(one for one in demo["accounts"] if one["role"] == "admin")
    with sync_playwright() as playwright:
        browser = service.launch(playwright, CAMERA)
        for size, (width, height) in SIZES.items():
            context = service.visitor(browser, demo["url"].rstrip("/"), width, height)
            context.set_default_timeout(60_000)
            page = context.new_page()
            service.sign_in(page, admin["name"], admin["password"])
            page.wait_for_url("**/console/*")
            for path in paths(page):
                if only not in path:
                    continue
                page.goto(f"/console{path}")
                page.locator("h1").first.wait_for(state="attached")
                for details in page.locator("summary").all():
                    details.click()
                page.wait_for_timeout(1500)
                for theme in THEMES:
                    page.emulate_media(color_scheme=theme)
                    page.wait_for_timeout(300)
                    shot = f"{path[1:].replace('/', '-')}-{size}-{theme}"
                    page.screenshot(path=out / f"{shot}-screen.png")
                    page.screenshot(path=out / f"{shot}.png", full_page=True)
                    if page.evaluate(SIDEWAYS) > 0:
                        wide.append(shot)
            context.close()
        browser.close()
    return wide


def paths(page: Page) -> list[str]:
    """Of all pages; those about one person or list of the first there is."""
    found = [own.path for own in registry.PAGES if "{" not in own.path]
    for listed in ("/people", "/watchlists"):
        page.goto(f"/console{listed}")
        forms = '[href*="/new"], [href*="/import"]'
        link = page.locator(f'main a[href^="/console{listed}/"]:not({forms})').first
        link.wait_for()
        found.append((link.get_attribute("href") or "").removeprefix("/console"))
    person = found[-2].removeprefix("/people/")
    return [*found, f"/attendance/person/{person}"]


if __name__ == "__main__":
    sys.exit(main())
