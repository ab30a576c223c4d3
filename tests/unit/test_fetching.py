"""Images that requests give an address of: from named hosts, at public addresses, within bounds."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.test_transport import certificate

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.errors import ConfigError, ImageNotFetched, ImageTooLarge
from arcid.server.fetching import Fetching
from arcid.server.settings import Settings


class Photos(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        place, _, asked = self.path.partition("?")
        if place == "/moved":
            self.send_response(302)
            self.send_header("Location", "/photo")
            self.end_headers()
            return
        self.send_response(404 if place == "/none" else 200)
        body = {"/large": bytes(5000), "/photo": f"photo {asked}".encode()}.get(place, b"")
        self.send_header("Content-Length", "100" if place in ("/cut", "/slow") else str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if place == "/slow":
            for _ in range(100):
                time.sleep(0.05)
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Its host and its certificate."""
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Photos) as serving:
        serving.socket = context.wrap_socket(serving.socket, server_side=True)
        serving.daemon_threads = True
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"127.0.0.1:{serving.server_address[1]}", cert
        serving.shutdown()
        thread.join()


@pytest.fixture
def reachable(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """As if it had a public address and a certificate that everybody trusts."""
    host, cert = server
    monkeypatch.setattr(addresses, "_is_public", lambda ip: True)
    trusting = ssl.create_default_context(cafile=str(cert))
    monkeypatch.setattr(ssl, "_create_default_https_context", lambda: trusting)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # which nobody is asked through
    return host


def fetching(host: str, **more: Any) -> Fetching:
    return Fetching(Settings.load(image_hosts=[host], **more))


def got(of: Fetching, url: str) -> bytes:
    return of.get(of.place(url))


def test_a_picture_comes_from_a_named_host(reachable: str) -> None:
    assert got(fetching(reachable), f"https://{reachable}/photo?of=Ann B#x") == b"photo of=Ann%20B"


def test_what_does_not_come(reachable: str) -> None:
    of = fetching(reachable, max_upload_bytes=2000)
    for place, match in (("none", "404"), ("moved", "302"), ("cut", "cut short|could not")):
        with pytest.raises(ImageNotFetched, match=match):
            got(of, f"https://{reachable}/{place}")
    with pytest.raises(ImageTooLarge):
        got(of, f"https://{reachable}/large")
    started = time.monotonic()
    with pytest.raises(ImageNotFetched):
        got(fetching(reachable, image_timeout_s=0.4), f"https://{reachable}/slow")
    assert time.monotonic() - started < 3


def test_all_images_of_a_request_share_the_bytes(reachable: str) -> None:
    of = fetching(reachable, max_upload_bytes=5000, max_request_bytes=7000)
    assert len(got(of, f"https://{reachable}/large")) == 5000
    with pytest.raises(ImageTooLarge):
        got(of, f"https://{reachable}/large")


def test_an_untrusted_certificate_is_refused(
    server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_is_public", lambda ip: True)
    with pytest.raises(ImageNotFetched, match="SSLCertVerificationError"):
        got(fetching(server[0]), f"https://{server[0]}/photo")


@pytest.mark.parametrize(
    "url",
    ["http://photos.example/a", "https://other.example/a", "https://photos.example:8443/a",
     "https://user@photos.example/a", "https://photos.example.other.example/a", "file:///etc/passwd",
     "https://[", "https://photos.example:99999/", "", "photos.example/a"],
)  # fmt: skip
def test_other_places_are_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(AddressRefused):
        fetching("photos.example").place(url)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.5.5", "169.254.169.254", "100.64.0.1",
     "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1",
     "64:ff9b::a00:1", "2002:a00:1::", "::a00:1", "168.63.129.16"],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused_whatever_is_allowed(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(addresses.ALLOW, "1")
    real = socket.getaddrinfo

    def lookup(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        return real(address if host == "photos.example" else host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(AddressRefused, match="internet"):
        got(fetching("photos.example"), "https://photos.example/a.jpg")


def test_public_addresses_are_let_through() -> None:
    assert addresses.resolve("192.88.99.1", 443) and addresses.resolve("1.1.1.1", 443, public=True)
    assert addresses.resolve("2606:4700::1111", 443, public=True)


@pytest.mark.parametrize("bad", ["https://a.example", "a.example/b", "a.example:x", "u@a.example"])
def test_hosts_are_names(bad: str) -> None:
    with pytest.raises(ConfigError, match="ARCID_IMAGE_HOSTS"):
        Settings.load(image_hosts=bad)
    assert Settings.load(image_hosts="A.example:443, b.example:8443").image_hosts == (
        "a.example", "b.example:8443"
    )  # fmt: skip
