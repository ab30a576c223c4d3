"""Every page as a picture: ``python -m tests.browser.screenshots OUT``.

Desktop (1280x800) and phone (360x740), light and dark, over a service of its own that is filled
through the pages themselves. Says which pages scroll sideways; ends with 1 if any does.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser import doubts, film, service
from tests.serving import serving

SIZES = {"desktop": (1280, 800), "phone": (360, 740)}
THEMES = ("light", "dark")
PEOPLE = {
    "Jennifer Exempel": ("img3.jpg", "img12.jpg"),
    "Joseph Ejemplo": ("img20.jpg", "img21.jpg"),
    "Angelina Twice": ("img10.jpg",),
}
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
Prepare = Callable[[Page, Path], None]


def _nothing(page: Page, photos: Path) -> None:
    pass


def _search(page: Page, photos: Path) -> None:
    page.get_by_label("Picture to search with").set_input_files(
        photos.parent / "photos/group/couple.jpg"
    )
    page.locator(".answer").first.wait_for()


def _compare(page: Page, photos: Path) -> None:
    page.get_by_label("First picture").set_input_files(photos / "img1.jpg")
    page.get_by_label("Second picture").set_input_files(photos / "img4.jpg")
    page.locator(".answer").wait_for()


def _adding(page: Page, photos: Path) -> None:
    page.get_by_label("Full name").fill("Angelina again")
    page.get_by_label("Add photos").set_input_files(
        [
            photos / "img4.jpg",
            photos.parent / "photos/misc/blur.jpg",
            photos.parent / "photos/group/couple.jpg",
        ]
    )
    page.locator(".tray-item").nth(2).wait_for()
    page.locator(".note").wait_for()


def _duplicates(page: Page, photos: Path) -> None:
    page.get_by_role("button", name="Compare everybody").click()
    page.locator(".review-case img").first.wait_for(timeout=30_000)
    page.get_by_text("The search is under way.").wait_for(state="hidden")


def _confirm(page: Page, photos: Path) -> None:
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_text("cannot be undone").wait_for()
    page.wait_for_timeout(300)


def _menu(page: Page, photos: Path) -> None:
    if page.locator("#menu-button").is_visible():
        page.locator("#menu-button").click()
        page.wait_for_timeout(300)


def _live(page: Page, photos: Path) -> None:
    page.get_by_role("button", name="Start camera").click()
    page.locator('canvas[aria-label*="Angelina"]').wait_for(timeout=60_000)


def _event(page: Page, photos: Path) -> None:
    page.locator("button.event-row").first.click()
    page.get_by_role("dialog").wait_for()
    page.wait_for_timeout(300)


def _by_camera(page: Page, photos: Path) -> None:
    page.locator("summary").click()
    page.get_by_role("button", name="Start camera").click()
    page.locator(".camera-prompt").wait_for(timeout=30_000)


def _camera_form(page: Page, photos: Path) -> None:
    page.get_by_role("button", name="Add camera").click()
    page.get_by_role("dialog").wait_for()
    page.wait_for_timeout(300)


def _kiosk(page: Page, photos: Path) -> None:
    page.locator(".camera-prompt").wait_for(timeout=30_000)
    page.wait_for_timeout(1500)


PAGES: dict[str, tuple[str, Prepare]] = {
    "live": ("/live", _live),
    "attendance": ("/attendance", _nothing),
    "attendance-event": ("/attendance", _event),
    "attendance-month": ("/attendance/month", _nothing),
    "attendance-person": ("ATTENDED", _nothing),
    "review": ("/review", _nothing),
    "unknowns": ("/unknowns", _nothing),
    "cameras": ("/cameras", _nothing),
    "audit": ("/audit", _nothing),
    "cameras-form": ("/cameras", _camera_form),
    "kiosk": ("/kiosk", _kiosk),
    "people-camera": ("/people/new", _by_camera),
    "people": ("/people", _nothing),
    "people-menu": ("/people", _menu),
    "people-new": ("/people/new", _adding),
    "duplicates": ("/duplicates", _duplicates),
    "person": ("PERSON", _nothing),
    "person-delete": ("PERSON", _confirm),
    "search": ("/search", _search),
    "compare": ("/compare", _compare),
    "collections": ("/collections", _nothing),
    "models": ("/models", _nothing),
    "system": ("/system", _nothing),
    "accounts": ("/accounts", _nothing),
}


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--only", default="", help="pages whose name holds this")
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    data = Path(os.environ.get("ARCID_DATA", "../shared")).resolve()
    photos = data / "data" / "deepface-pairs"
    wide: list[str] = []
    with (
        tempfile.TemporaryDirectory() as home,
        serving(Path(home), data) as url,
        sync_playwright() as playwright,
    ):
        wall, photo = film.scene(None), film.scene
        path = film.write(
            Path(home) / "film.mjpeg",
            [
                (photo(photos / "img4.jpg"), 5),
                (wall, 1),
                (photo(photos / "img8.jpg"), 5),
                (wall, 1),
            ],
        )
        browser = service.launch(playwright, film.arguments(path))
        person = _fill(browser, url, photos)
        for photo_of in ("img14.jpg", "img4.jpg"):
            doubts.write(Path(home), photos / photo_of)
        for size, (width, height) in SIZES.items():
            for theme in THEMES:
                context = service.visitor(browser, url, width, height)
                page = context.new_page()
                page.emulate_media(color_scheme=theme)
                page.goto("/console/sign-in")
                page.screenshot(path=options.out / f"sign-in-{size}-{theme}.png")
                service.sign_in(page)
                page.wait_for_url("**/console/*")
                for name, (address, prepare) in PAGES.items():
                    if options.only not in name:
                        continue
                    attended = "/attendance" + person.replace("people", "person", 1)
                    shown = address.replace("PERSON", person).replace("ATTENDED", attended)
                    page.goto("/console" + shown)
                    page.locator("h1").wait_for(state="attached")
                    prepare(page, photos)
                    page.wait_for_timeout(150)
                    shot = f"{name}-{size}-{theme}"
                    page.screenshot(path=options.out / f"{shot}.png", full_page=True)
                    if page.evaluate(SIDEWAYS) > 0:
                        wide.append(shot)
                context.close()
        browser.close()
    print(f"{len(list(options.out.glob('*.png')))} pictures in {options.out}")
    for shot in wide:
        print(f"scrolls sideways: {shot}")
    return 1 if wide else 0


def _fill(browser: Browser, url: str, photos: Path) -> str:
    context = service.visitor(browser, url)
    page = context.new_page()
    service.set_up(page)
    service.fill(page, photos)
    for name, files in PEOPLE.items():
        known = "Twice" in name
        service.enrol(page, name, [photos / file for file in files], twice=known)
    person = "/" + page.url.partition("/console/")[2]
    page.goto("/console/live")
    page.get_by_role("button", name="Start camera").click()
    page.locator(".event-row").nth(1).wait_for(timeout=90_000)
    context.close()
    return person


if __name__ == "__main__":
    sys.exit(main())
