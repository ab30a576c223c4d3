"""Webhooks in a browser: added with a secret shown once, tried, paused, deleted."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from arcid.apps.telling.hooks import Hooks
from arcid.gallery import Gallery


class Receiver(http.server.BaseHTTPRequestHandler):
    taken: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.headers.get("Arcid-Event", ""), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def receiver(home: Path) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An address of this machine and what it took; no webhook is left in the shared service."""
    taken: list[tuple[str, bytes]] = []
    handler = type("Handler", (Receiver,), {"taken": taken})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/arcid", taken
    server.shutdown()
    server.server_close()
    with Gallery.open(home / "gallery.db") as gallery:
        hooks = Hooks(gallery, home)
        for hook in hooks.all():
            hooks.delete(hook.id)


def test_a_receiver_is_added_tried_paused_and_deleted(
    page: Page, receiver: tuple[str, list[tuple[str, bytes]]]
) -> None:
    address, taken = receiver
    page.goto("/console/system")
    page.get_by_role("link", name="Webhooks: add, try, pause").click()
    expect(page.get_by_text("No webhook is stored.")).to_be_visible()
    page.get_by_label("Name of the receiver").fill("hr")
    page.get_by_label("Its address (https)").fill("ftp://nowhere")
    page.get_by_role("button", name="Add a webhook").click()
    expect(page.get_by_text("http").last).to_be_visible()
    page.get_by_label("Its address (https)").fill(address)
    page.get_by_role("button", name="Add a webhook").click()
    shown = page.locator("code.secret")
    secret = shown.inner_text()
    assert secret.startswith("whsec_")
    page.get_by_role("button", name="I have copied it").click()
    row = page.locator(".account", has_text=address)
    expect(row).to_contain_text("every kind of event")
    row.get_by_role("button", name="Test: hr").click()
    expect(page.get_by_text("It answered 204")).to_be_visible()
    assert len(taken) == 1 and b'"test"' in taken[0][1]
    row.get_by_role("button", name="Last deliveries").click()
    expect(row).to_contain_text("Nothing was kept for it")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("Paused")
    page.reload()
    assert secret not in page.content()
    row.get_by_role("button", name="Go on").click()
    expect(row).to_contain_text("On")
    row.get_by_role("button", name="Delete").click()
    page.locator(".dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No webhook is stored.")).to_be_visible()
