"""What the pages' headers let a browser do: run our scripts, and nothing that came another way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser import service
from tests.browser.test_door import PAGES

pytestmark = pytest.mark.data
WATCH = """document.addEventListener("securitypolicyviolation", (event) => {
  const found = [event.effectiveDirective, event.blockedURI, location.pathname].join(" ");
  sessionStorage.violations = (sessionStorage.violations || "") + found + "\\n";
})"""


def violations(page: Page) -> str:
    return str(page.evaluate("() => sessionStorage.violations || ''"))


@contextmanager
def other_site(markup: str) -> Iterator[str]:
    """A page of another site: to a browser ``localhost`` and ``127.0.0.1`` are two."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(markup.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_every_page_works_within_its_policy(page: Page, pairs: Path) -> None:
    page.add_init_script(WATCH)
    for path in PAGES:
        page.goto(f"/console/{path}")
        expect(page.locator("#app > *").first).to_be_attached()
        page.wait_for_function("() => window.did_handshake")
    page.goto("/console/search")
    page.locator("input[type=file]").first.set_input_files(pairs / "img4.jpg")
    expect(page.get_by_text("Angelina Example").first).to_be_visible()
    for path in ("/", "/docs"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
    expect(page.get_by_text("/v1/collections/{collection}/enrol").first).to_be_visible()
    assert violations(page) == ""


def test_markup_that_got_in_does_not_run(page: Page) -> None:
    page.add_init_script(WATCH)
    page.goto("/console/people")
    page.wait_for_function("() => window.did_handshake")
    page.evaluate(
        """async () => {
          const box = document.createElement("div");
          box.innerHTML = '<img src="/console/nothing" onerror="window.taken = 1">';
          document.body.append(box);
          const script = document.createElement("script");
          script.textContent = "window.taken = 2";
          document.body.append(script);
          await new Promise((done) => setTimeout(done, 500));
        }"""
    )
    assert page.evaluate("() => window.taken") is None
    assert violations(page).count("script-src") == 2


def test_a_link_on_another_site_leads_to_the_page(url: str, page: Page) -> None:
    with other_site(f'<a href="{url}/console/people?collection=people">people</a>') as elsewhere:
        page.goto(elsewhere)
        page.get_by_role("link").click()
        expect(page.get_by_role("heading", name="People", exact=True)).to_be_visible()
        expect(page).to_have_url(f"{url}/console/people?collection=people")


def test_without_a_session_such_a_link_leads_to_the_form(url: str, browser: Browser) -> None:
    context = service.visitor(browser, url)
    page = context.new_page()
    with other_site(f'<a href="{url}/console/people">people</a>') as elsewhere:
        page.goto(elsewhere)
        page.get_by_role("link").click()
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    context.close()


def test_another_site_cannot_show_or_send_anything(url: str, page: Page) -> None:
    markup = f"""
      <iframe src="{url}/docs"></iframe><iframe src="{url}/console/people"></iframe>
      <img src="{url}/docs/assets/favicon.png" onload="window.shown = 1">
      <form method="post" action="{url}/console/sign-out"><button>x</button></form>"""
    with other_site(markup) as elsewhere:
        page.goto(elsewhere)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("() => window.shown") is None
        assert [f.url for f in page.frames[1:]] == ["chrome-error://chromewebdata/"] * 2
        page.get_by_role("button").click()
        page.wait_for_load_state("networkidle")
    page.goto("/console/people")
    expect(page.get_by_role("heading", name="People", exact=True)).to_be_visible()
