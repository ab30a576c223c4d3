"""Cameras to connect to: pictures served as motion JPEG on this machine, for as long as asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Self

import cv2
import numpy as np

from arcid.apps.demo.cast import Cast
from arcid.apps.demo.walking import FPS, pictures, scene
from arcid.types import Image

QUALITY = 85
BOUNDARY = "frame"
HEAD = (
    f"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary={BOUNDARY}\r\n\r\n"
).encode()
VIDEO_WIDTH = 640
VIDEO_FPS = 5.0
Show = Callable[[], Iterator[tuple[Image, float]]]  # (H,W,3) uint8 RGB and its seconds


class Server(ThreadingTCPServer):
    """A thread for each camera that is looked at; none of them keeps the process."""

    daemon_threads = True


class Broadcast:
    """Streams by name, in the background while it is open."""

    def __init__(self, shows: Mapping[str, Show]) -> None:
        self._over = threading.Event()
        over = self._over

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                asked = self.rfile.readline(200).split()
                show = (
                    shows.get(asked[1].decode("ascii", "replace").strip("/")) if asked[1:] else None
                )
                with suppress(OSError):  # whoever looked has gone
                    if show is None:
                        self.wfile.write(b"HTTP/1.0 404 Not Found\r\n\r\n")
                        return
                    self.wfile.write(HEAD)
                    for picture, seconds in show():
                        self.wfile.write(_part(picture))
                        if over.wait(seconds):
                            return

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def address(self, name: str) -> str:
        """The URL of a stream."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def walk(cast: Cast) -> Iterator[tuple[Image, float]]:
    """Everybody passes, again and again."""
    heads = [player.heads[0] for player in cast.staff]
    heads += [*cast.strangers[:1], cast.barred.heads[0]]
    while True:
        for head in heads:
            for picture in pictures(head):
                yield picture, 1 / FPS
            for _ in range(8):  # nobody
                yield scene(None), 1 / FPS


def loop(video: Path) -> Iterator[tuple[Image, float]]:
    """A video file, again and again, at its own speed with fewer pictures."""
    while True:
        capture = cv2.VideoCapture(str(video))
        every = max(1, round(float(capture.get(cv2.CAP_PROP_FPS) or 25.0) / VIDEO_FPS))
        try:
            while True:
                good, picture = capture.read()
                if not good:
                    break
                yield _smaller(np.asarray(picture, np.uint8)), 1 / VIDEO_FPS
                for _ in range(every - 1):
                    capture.grab()
        finally:
            capture.release()
        time.sleep(1 / VIDEO_FPS)


def _smaller(bgr: Image) -> Image:
    height = round(bgr.shape[0] * VIDEO_WIDTH / bgr.shape[1])
    small = cv2.resize(bgr, (VIDEO_WIDTH, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)


def _part(picture: Image) -> bytes:
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data.tobytes() + b"\r\n"
