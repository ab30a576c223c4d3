"""The example in JavaScript on a page of another origin, which the service lets call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.serving import serving
from tests.streams import free_port

from arcid.client import Client

pytestmark = pytest.mark.data
EXAMPLE = Path(__file__).parents[2] / "examples/arcid.mjs"
KEY = "correct-horse-battery"
PAGE = """<!doctype html><title>Who?</title>
<input type="file" id="photo"><output id="said"></output>
<script type="module">
import { Arcid, Refused } from "./arcid.mjs";
const people = new Arcid("URL", "KEY").collection("staff"), said = document.getElementById("said");
document.getElementById("photo").addEventListener("change", async (event) => {
  try {
    const [{ candidates, decision }] = await people.search(event.target.files[0]);
    said.textContent = decision.outcome === "match" ? candidates[0].name : decision.outcome;
  } catch (error) { said.textContent = error instanceof Refused ? error.code : String(error); }
});
</script>"""


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder."""

    def log_message(self, *_: object) -> None: ...


@contextmanager
def pages(folder: Path, port: int) -> Iterator[str]:
    """A web server of its own; its origin."""
    with ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.shutdown()
            thread.join(10)


def test_a_page_of_another_origin_searches(
    browser: Browser, data_dir: Path, pairs: Path, tmp_path: Path
) -> None:
    ours, others = free_port(), free_port()
    site = tmp_path / "site"
    site.mkdir()
    (site / "arcid.mjs").write_bytes(EXAMPLE.read_bytes())
    more = {"ARCID_CORS_ORIGINS": f"http://127.0.0.1:{ours}", "ARCID_API_KEYS": KEY}
    with (
        serving(tmp_path, data_dir, **more) as url,
        pages(site, ours) as our_site,
        pages(site, others) as another_site,
    ):
        with Client(url, key=KEY) as arcid:
            arcid.create_collection("staff")
            arcid.enrol("staff", "Ann Example", pairs / "img1.jpg")
        (site / "index.html").write_text(PAGE.replace("URL", url).replace("KEY", KEY), "utf-8")
        context = browser.new_context()
        page = context.new_page()
        said = page.locator("#said")
        page.goto(our_site)
        for photo, words in (
            (pairs / "img4.jpg", "Ann Example"),
            (pairs / "img16.jpg", "no_match"),
            (EXAMPLE, "image_unreadable"),
        ):
            page.locator("#photo").set_input_files(photo)
            expect(said).to_have_text(words)
        page.goto(another_site)
        page.locator("#photo").set_input_files(pairs / "img4.jpg")
        expect(said).to_contain_text("Failed to fetch")
        context.close()
