"""Link-local and metadata addresses are refused wherever somebody names an address."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.apps.telling import DeliveryFailed, Mqtt, Webhook
from arcid.video import open_source
from arcid.video.captures import CaptureLost, open_stream

SECRET = "a secret of sixteen and more"
LITERAL = (
    "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518",
    "169.254.169.254.", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::", "fe80::1", "febf::1", "fd00:ec2::254", "100.100.100.200",
    "metadata.google.internal", "Metadata.Google.Internal.", "metadata",
)  # fmt: skip
ORDINARY = ("127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "fd12::1", "100.64.0.1",
            "192.0.2.7", "localhost", "camera.example")  # fmt: skip


@pytest.fixture(autouse=True)
def _not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(addresses.ALLOW, raising=False)


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@pytest.mark.parametrize("host", LITERAL)
def test_addresses_that_are_written_out(host: str) -> None:
    with pytest.raises(AddressRefused, match="ARCID_ALLOW_LINK_LOCAL=1"):
        addresses.refuse_literal(host)
    with pytest.raises(AddressRefused):
        addresses.resolve(host, 80)
    for scheme in ("rtsp", "http", "https"):
        with pytest.raises(AddressRefused):
            open_source(f"{scheme}://user:pass@{bracketed(host)}:554/stream")
    with pytest.raises(AddressRefused):
        Webhook("hook", f"https://{bracketed(host)}/", SECRET)
    with pytest.raises(AddressRefused):
        Mqtt("broker", host)


@pytest.mark.parametrize("host", ORDINARY)
def test_loopback_and_private_networks_are_where_cameras_live(host: str) -> None:
    addresses.refuse_literal(host)
    Webhook("hook", f"https://{bracketed(host)}/", SECRET)


@pytest.mark.parametrize("host", LITERAL)
def test_they_can_be_allowed(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(addresses.ALLOW, "1")
    addresses.refuse_literal(host)
    Webhook("hook", f"http://{bracketed(host)}/", SECRET)


def answers(monkeypatch: pytest.MonkeyPatch, *found: str) -> None:
    """Names resolve to these; addresses to themselves."""
    real = socket.getaddrinfo

    def lookup(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "camera.example":
            return real(host, port, *args, **options)
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "a name")
        return [entry for ip in found for entry in real(ip, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def test_what_a_name_answers_is_looked_at_when_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "169.254.169.254")
    for url in ("http://camera.example/", "https://camera.example/", "rtsp://camera.example/"):
        with pytest.raises(CaptureLost, match="link-local"):
            open_stream(url)
    hook = Webhook("hook", "http://camera.example/", SECRET)
    with pytest.raises(DeliveryFailed, match="link-local"):
        hook.send(b"{}", event(), datetime.now(UTC))
    with pytest.raises(DeliveryFailed, match="link-local"):
        Mqtt("broker", "camera.example").send(b"{}", event(), datetime.now(UTC))


def test_a_name_with_both_kinds_of_address_keeps_the_ordinary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, "fe80::1", "127.0.0.1")
    assert {answer[4][0] for answer in addresses.resolve("camera.example", 80)} == {"127.0.0.1"}


def event() -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(kind="arrival", id="x", collection="staff")


@contextmanager
def server(location: str) -> Iterator[tuple[str, list[str]]]:
    """Sends everybody somewhere else; tells what was asked for."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(302)
            self.send_header("Location", location)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}/", seen
        finally:
            httpd.shutdown()


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest", "http://2852039166/"])
def test_redirects_are_looked_at(location: str) -> None:
    with server(location) as (url, seen):
        with pytest.raises(CaptureLost, match="link-local"):
            open_stream(url)
        assert seen == ["/"]


def test_ffmpeg_follows_no_redirect_of_its_own() -> None:
    """It is handed what the looked-at redirects led to, as an address."""
    from arcid.video.captures import OpenCvCapture, _pinned

    reached: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reached.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with server(f"http://127.0.0.1:{other.server_port}/secret") as (url, seen):
            with pytest.raises(CaptureLost):
                OpenCvCapture(url)
            assert seen and not reached
        other.shutdown()
    assert _pinned("rtsp://me:pw@localhost:8554/a?b=1").startswith(
        ("rtsp://me:pw@127.0.0.1:8554/a", "rtsp://me:pw@[::1]:8554/a")
    )
