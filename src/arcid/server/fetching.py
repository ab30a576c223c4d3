"""Images from addresses that requests name: off, unless the settings name hosts.

Whoever may name an address could reach what only this machine can. So the host has to be one of the
settings', the connection is made to a public address that was looked at, over https with a checked
certificate, no redirect is followed, and bytes and time are bounded.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import SplitResult, quote, urlsplit

from arcid.addresses import AddressRefused, public_https
from arcid.errors import ImageNotFetched, ImageTooLarge
from arcid.server.settings import MIB, Settings

PIECE = 64 * 1024
HEADERS = {"User-Agent": "arcid", "Accept": "image/*"}
_KEPT = "/%:=&?~#+!$,;'@()*[]"  # of a path and its query as they came


class Fetching:
    """The images of one request, for as long and as many bytes as the settings allow."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._until = time.monotonic() + settings.image_timeout_s
        self._room = settings.max_request_bytes

    def place(self, url: str) -> SplitResult:
        """Where an address leads. Raises ``AddressRefused`` where nothing may be fetched there."""
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError:
            raise AddressRefused("this is no address of an image") from None
        name = parts.hostname or ""
        known = name if port == 443 else f"{name}:{port}"
        ordinary = parts.scheme == "https" and "@" not in parts.netloc
        if not ordinary or known not in self._settings.image_hosts:
            raise AddressRefused(
                "images are fetched over https from the hosts of ARCID_IMAGE_HOSTS alone, and this "
                "is none of them; send the picture itself"
            )
        return parts

    def get(self, place: SplitResult) -> bytes:
        """Raises ``AddressRefused``, ``ImageNotFetched``, ``ImageTooLarge``."""
        connection = public_https(str(place.hostname), place.port or 443, self._left())
        query = f"?{place.query}" if place.query else ""
        path = quote((place.path or "/") + query, safe=_KEPT)
        try:
            with closing(connection):
                connection.connect()
                with self._in_time(connection.sock):
                    connection.request("GET", path, headers=HEADERS)
                    found = self._body(connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ImageNotFetched(
                f"the image could not be fetched ({type(error).__name__})"
            ) from None
        self._room -= len(found)
        return found

    @contextmanager
    def _in_time(self, sock: socket.socket) -> Iterator[None]:
        """A trickle of bytes is no timeout, so that the socket is shut when time is up."""
        cut = threading.Timer(self._left(), _shut, [sock])
        cut.daemon = True
        cut.start()
        try:
            yield
        finally:
            cut.cancel()

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        if answer.status != 200:
            raise ImageNotFetched(
                f"the image's address answers {answer.status}, and 200 is needed; redirects are "
                "not followed",
                status=answer.status,
            )
        most = min(self._settings.max_upload_bytes, self._room)
        found = bytearray()
        while piece := answer.read1(PIECE):
            found += piece
            if len(found) > most:
                raise too_large(most)
        self._left()
        if answer.length:  # of what was announced
            raise ImageNotFetched("the image was cut short while it was fetched")
        return bytes(found)

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise ImageNotFetched("the images did not come in time")
        return left


def too_large(most: int) -> ImageTooLarge:
    """Of an image of more bytes than that."""
    return ImageTooLarge(f"an image may have at most {most / MIB:.1f} MiB", max_bytes=most)


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
