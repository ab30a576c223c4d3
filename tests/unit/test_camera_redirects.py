"""A camera's password goes to the server that its address names, and to no other."""

from __future__ import annotations

import base64
import http.server
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from arcid.video import CaptureLost
from arcid.video.captures import open_stream

TOKEN = base64.b64encode(b"admin:pa55word").decode()


class Heard(list[str]):
    """Heads of the requests that a server got."""

    @property
    def told(self) -> bool:
        return any(TOKEN in head for head in self)


@contextmanager
def http_server(send_to: str | None) -> Iterator[tuple[str, Heard]]:
    """Asks for a password, or sends elsewhere."""
    heard = Heard()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(str(self.headers))
            self.send_response(401 if send_to is None else 302)
            if send_to is None:
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
            else:
                self.send_header("Location", send_to)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with _running(Handler) as port:
        yield f"127.0.0.1:{port}", heard


@contextmanager
def rtsp_server(
    send_to: str | None, *, after_password: bool = False
) -> Iterator[tuple[str, Heard]]:
    """The same; ``after_password``: only who has shown it is sent elsewhere."""
    heard = Heard()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while (head := self._head()) is not None:
                heard.append(head)
                number = next(x for x in head.splitlines() if x.lower().startswith("cseq"))
                if head.startswith("OPTIONS"):
                    more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY"
                    self._answer("200 OK", number, more)
                elif send_to is None or (after_password and TOKEN not in head):
                    self._answer("401 Unauthorized", number, 'WWW-Authenticate: Basic realm="x"')
                else:
                    self._answer("302 Moved", number, f"Location: {send_to}")

        def _answer(self, status: str, number: str, more: str) -> None:
            self.wfile.write(f"RTSP/1.0 {status}\r\n{number}\r\n{more}\r\n\r\n".encode())

        def _head(self) -> str | None:
            lines: list[str] = []
            while line := self.rfile.readline(8192).decode("latin-1"):
                if not line.strip():
                    return "".join(lines)
                lines.append(line)
            return None

    with _running(Handler) as port:
        yield f"127.0.0.1:{port}", heard


@contextmanager
def _running(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_over_http() -> None:
    with (
        http_server(None) as (there, stranger),
        http_server(f"http://{there}/x") as (here, camera),
        pytest.raises(CaptureLost, match="another address"),
    ):
        open_stream(f"http://admin:pa55word@{here}/stream", read_timeout_s=2)
    assert camera.told
    assert not stranger, "a password is there, so nothing is followed"


def test_over_http_without_a_password_redirects_are_followed() -> None:
    with (
        http_server(None) as (there, stranger),
        http_server(f"http://{there}/x") as (here, _),
        pytest.raises(CaptureLost),
    ):
        open_stream(f"http://{here}/stream", read_timeout_s=2)
    assert stranger


@pytest.mark.parametrize("after_password", [False, True])
def test_over_rtsp(after_password: bool) -> None:
    with (
        rtsp_server(None) as (there, stranger),
        rtsp_server(f"rtsp://{there}/x", after_password=after_password) as (here, camera),
        pytest.raises(CaptureLost, match="another address"),
    ):
        open_stream(f"rtsp://admin:pa55word@{here}/stream", read_timeout_s=2)
    assert camera.told == after_password
    assert not stranger


def test_a_camera_that_asks_for_it_is_told_the_password() -> None:
    with rtsp_server(None) as (here, camera), pytest.raises(CaptureLost, match="cannot be opened"):
        open_stream(f"rtsp://admin:pa55word@{here}/stream", read_timeout_s=2)
    assert camera.told
