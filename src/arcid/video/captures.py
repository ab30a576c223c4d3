"""Connections to live pictures: a webcam, an RTSP or HTTP stream, motion JPEG over HTTP.

A capture lives in one thread. ``read`` gives RGB, None for a frame that cannot be decoded, and
raises ``CaptureLost`` where the connection is over.
"""

from __future__ import annotations

import base64
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import cv2
import numpy as np

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.errors import ArcidError, ImageError, UsageError
from arcid.image import ImageLimits, load_image
from arcid.types import Image
from arcid.video import rtsp

OPEN_TIMEOUT_S = 10.0
MAX_PART_BYTES = 16 * 2**20
LIMITS = ImageLimits(max_bytes=MAX_PART_BYTES, max_pixels=16_000_000)
_LINE = 8192
FFMPEG_OPTIONS = "rtsp_transport;tcp|max_redirects;0"  # redirects were followed before
SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https")


class CaptureLost(ArcidError):
    """The connection ended or never came about; never leaves this package."""

    code = "capture_lost"


REDIRECTS = (301, 302, 303, 305, 307, 308)
SENT_ELSEWHERE = (
    "the server sends to another address, and a password is not sent along: enter that address "
    "yourself if it is the camera's"
)


class Capture(Protocol):
    def read(self) -> Image | None: ...

    def release(self) -> None: ...


class OpenCvCapture:
    """A webcam index or any URL that FFmpeg reads."""

    def __init__(self, target: int | str, *, read_timeout_s: float = 5.0) -> None:
        if isinstance(target, int):
            self._capture = cv2.VideoCapture(target)
        else:
            options = [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_TIMEOUT_S * 1000),
                cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(read_timeout_s * 1000),
            ]  # fmt: skip
            os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", FFMPEG_OPTIONS)
            self._capture = cv2.VideoCapture(target, cv2.CAP_FFMPEG, options)
        if not self._capture.isOpened():
            self._capture.release()
            raise CaptureLost("it cannot be opened")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self) -> Image | None:
        ok, bgr = self._capture.read()
        if not ok:
            raise CaptureLost("no frame came")
        if bgr is None or bgr.ndim != 3:
            return None
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def release(self) -> None:
        self._capture.release()


class MotionJpeg:
    """``multipart/x-mixed-replace`` over HTTP, as most IP cameras serve it.

    Read here rather than by FFmpeg, which stretches frames of a new size to the old one and gives
    up at the first damaged one.
    """

    def __init__(self, response: Any, boundary: str) -> None:
        self._response = response
        self._boundary = boundary.encode("latin-1")

    def read(self) -> Image | None:
        try:
            body = self._part()
        except (OSError, http.client.HTTPException) as error:
            raise CaptureLost(f"the stream broke ({type(error).__name__})") from None
        return decode(body)

    def release(self) -> None:
        self._response.close()

    def _part(self) -> bytes:
        line = self._line()
        while self._boundary not in line:
            line = self._line()
        length: int | None = None
        while (line := self._line()).strip():
            key, _, value = line.partition(b":")
            if key.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value)
        if length is None:
            return self._until_boundary()
        if length > MAX_PART_BYTES:
            raise CaptureLost(f"a frame of {length} bytes was announced")
        body: bytes = self._response.read(length)
        if len(body) < length:
            raise CaptureLost("the stream ended within a frame")
        return body

    def _line(self) -> bytes:
        line: bytes = self._response.readline(_LINE)
        if not line:
            raise CaptureLost("the stream ended")
        return line

    def _until_boundary(self) -> bytes:
        """A part without a length ends where the JPEG does."""
        body = b""
        while not body.rstrip(b"\r\n").endswith(b"\xff\xd9"):
            body += self._line()
            if len(body) > MAX_PART_BYTES:
                raise CaptureLost("a frame without end")
        return body


def open_webcam(index: int) -> Capture:
    return OpenCvCapture(index)


def open_stream(url: str, *, read_timeout_s: float = 5.0) -> Capture:
    """Motion JPEG where the server says so, FFmpeg for everything else.

    Every address a connection is made to is looked at (``arcid.addresses``); FFmpeg is handed one.
    An address with a password is not followed to wherever its server sends.
    """
    try:
        if urlsplit(url).scheme in ("http", "https"):
            found = _open_http(url, read_timeout_s)
            if not isinstance(found, str):
                return found
            url = found
        url = _pinned(url)
        parts = urlsplit(url)
        if parts.scheme in ("rtsp", "rtsps") and parts.username is not None:
            try:
                elsewhere = rtsp.redirects(url, read_timeout_s)
            except (OSError, ValueError) as error:
                raise CaptureLost(f"no answer ({type(error).__name__})") from None
            if elsewhere:
                raise CaptureLost(SENT_ELSEWHERE)
        return OpenCvCapture(url, read_timeout_s=read_timeout_s)
    except AddressRefused as refused:
        raise CaptureLost(refused.message) from None


def _pinned(url: str) -> str:
    """The URL with an address for its name, so that nobody resolves it again; a certificate needs
    the name."""
    parts = urlsplit(url)
    try:
        answers = addresses.resolve(parts.hostname or "", parts.port or 0)
    except (OSError, ValueError) as error:
        raise CaptureLost(f"no such host ({type(error).__name__})") from None
    if parts.scheme in ("https", "rtsps"):
        return url
    where = str(answers[0][4][0])
    host = f"[{where}]" if ":" in where else where
    port = f":{parts.port}" if parts.port else ""
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{host}{port}"))


def shown(url: str) -> str:
    """A URL without credentials, query and fragment, which may hold tokens."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def decode(body: bytes, limits: ImageLimits = LIMITS) -> Image | None:
    """(H,W,3) uint8 RGB out; None for what is damaged, cut short, too large or no picture."""
    try:
        return load_image(body, limits=limits)
    except ImageError:
        return None


def _open_http(url: str, timeout_s: float) -> Capture | str:
    """A motion JPEG capture, or where the server serves something else."""
    parts = urlsplit(url)
    if parts.hostname is None:
        raise UsageError(f"{shown(url)} names no host")
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    request = urllib.request.Request(bare, headers=_authorisation(parts))  # noqa: S310
    try:
        response = _opener(parts).open(request, timeout=timeout_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        status = getattr(error, "code", None)
        if status in REDIRECTS:
            raise CaptureLost(SENT_ELSEWHERE) from None
        raise CaptureLost(
            f"the server answers {status}" if status else f"no answer ({type(error).__name__})"
        ) from None
    if not response.headers.get_content_type().startswith("multipart/"):
        response.close()
        return url if response.url == bare else str(response.url)
    boundary = response.headers.get_param("boundary") or "--"
    return MotionJpeg(response, str(boundary).strip('"').lstrip("-") or "--")


class _Stay(urllib.request.HTTPRedirectHandler):
    """The library would send the password along."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener(parts: Any) -> urllib.request.OpenerDirector:
    return addresses.opener(*([] if parts.username is None else [_Stay()]))


def _authorisation(parts: Any) -> Mapping[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
