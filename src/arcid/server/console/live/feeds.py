"""Pictures over WebSockets: a browser's camera coming in, a camera of the service going out.

Coming in, a message is eight bytes of the browser's clock (milliseconds, float64 little-endian) and
a JPEG; the answers are JSON. Going out, a message is four bytes of length (little-endian), so much
JSON, and, where the state is "live", a JPEG; the browser asks for the next with any text. Neither
side queues: the newest frame wins. A page registers its feed and only the page's own session can
open it, once: a second socket takes the place of the first.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from arcid.apps.attendance import FaceView
from arcid.cameras.runner import Viewer
from arcid.cameras.watching import Cameras
from arcid.errors import ArcidError, ImageUnreadable
from arcid.server.console import strings as S
from arcid.server.console.auth.account import Account
from arcid.server.console.auth.errors import NotAllowed, SignedOut
from arcid.server.console.auth.roles import Permission
from arcid.server.console.auth.session import Session
from arcid.types import Image
from arcid.video import PushedFrames

log = logging.getLogger(__name__)
Message = dict[str, Any]
T = TypeVar("T")
#: What a push feed does with its frames: runs in a thread, yields an answer for each it looked at.
Work = Callable[[PushedFrames], Iterator[Message]]
ASK_AGAIN_S = 5.0  # how often an open socket's session is asked for
SIGNED_OUT, REFUSED, REPLACED, BUSY, LATER = 4401, 4403, 4409, 4429, 1013
MAX_MESSAGE = 4 * 2**20
MAX_PIXELS = 2_100_000  # of a browser's frame: 1920×1080
MAX_ANSWERS = 64  # that wait for a browser; the oldest are dropped
MAX_CAMERAS = 4  # of one session's pages at a time
TONES = {
    "recognised": "good",
    "unknown": "warn",
    "review": "warn",
    "low_quality": "plain",
    "looking": "plain",
    "spoof": "bad",
}
LOUDNESS = ["plain", "good", "warn", "bad"]  # of what is said of one face, the loudest is its tone


class FeedOutdated(ArcidError):
    """What the page was opened for has changed since."""

    code = "feed_outdated"


class FeedMisused(ArcidError):
    """Text came where bytes belong, or the other way round."""

    code = "feed_misused"


class Feed(Protocol):
    """Something a WebSocket can be joined to."""

    permission: Permission

    async def serve(self, socket: WebSocket, session: Session) -> None: ...


@dataclass(slots=True)
class PushFeed:
    """The browser's camera into ``work``."""

    name: str
    permission: Permission
    work: Work
    holds: Callable[[Account], bool] = lambda account: True  # False: the page is to be asked anew

    async def serve(self, socket: WebSocket, session: Session) -> None:
        loop = asyncio.get_running_loop()
        source = PushedFrames(self.name, max_pixels=MAX_PIXELS)
        answers: asyncio.Queue[Message | None] = asyncio.Queue(MAX_ANSWERS)
        ended = asyncio.Event()

        def say(message: Message | None) -> None:
            loop.call_soon_threadsafe(_put, answers, message)

        def run() -> None:
            try:
                for message in self.work(source):
                    say(message)
            except ArcidError as error:
                say({"problem": error.message})
            except Exception:
                log.exception("a feed failed")
                say({"problem": S.FAILED})
            finally:
                say(None)
                loop.call_soon_threadsafe(ended.set)

        # not one of the loop's own threads: they are few, and a kiosk's page stays open for days
        threading.Thread(target=run, name="arcid-feed", daemon=True).start()
        telling = asyncio.create_task(_tell(socket, answers))
        try:
            await self._take(socket, session, source)
        finally:
            source.close()
            telling.cancel()
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 5)

    async def _take(self, socket: WebSocket, session: Session, source: PushedFrames) -> None:
        asked = time.monotonic()
        while True:
            data = await _said(socket.receive_bytes)
            if time.monotonic() - asked > ASK_AGAIN_S:
                account = await session.allow(self.permission)
                if not await asyncio.to_thread(self.holds, account):
                    raise FeedOutdated(S.SIGNED_OUT)
                asked = time.monotonic()
            if not 8 < len(data) <= MAX_MESSAGE:
                continue
            (at_ms,) = struct.unpack_from("<d", data)
            try:
                await asyncio.to_thread(source.push, data[8:], at_ms / 1000)
            except (ImageUnreadable, ValueError, OverflowError):
                await socket.send_json({"problem": S.CAMERA_BAD_FRAME})


@dataclass(slots=True)
class WatchFeed:
    """A camera of the service to the browser."""

    cameras: Cameras
    camera_id: str
    permission: Permission = "live"

    async def serve(self, socket: WebSocket, session: Session) -> None:
        asked = time.monotonic()
        viewer = Viewer()
        runner = None
        leave: Callable[[], None] = _nothing
        try:
            while True:
                current = self.cameras.runner(self.camera_id)
                if current is not runner:
                    leave()
                    runner = current
                    leave = _nothing if runner is None else runner.watch(viewer)
                if time.monotonic() - asked > ASK_AGAIN_S:
                    await session.allow(self.permission)
                    asked = time.monotonic()
                view = await viewer.next(1.0)
                if view is None or view.frame is None:
                    status = self.cameras.status(self.camera_id)
                    if status.state == "live":
                        continue  # a slow camera
                    about: Message = {"state": status.state, "problem": status.problem}
                    await socket.send_bytes(_framed(about, b""))
                else:
                    height, width = view.frame.image.shape[:2]
                    faces = [face_message(face) for face in view.faces]
                    about = {"state": "live", "size": [width, height], "faces": faces}
                    picture = await asyncio.to_thread(jpeg, view.frame.image)
                    await socket.send_bytes(_framed(about, picture))
                await _said(socket.receive_text)
        finally:
            leave()


@dataclass(slots=True, eq=False)
class _Held:
    """A page's feed and the socket that is joined to it."""

    feed: Feed
    owner: str
    newest: int = 0  # counts its sockets
    serving: asyncio.Task[None] | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Feeds:
    """Feeds of open pages by an id that only the page knows."""

    def __init__(self) -> None:
        self._open: dict[str, _Held] = {}

    def add(self, feed: Feed, owner: str) -> str:
        key = secrets.token_urlsafe(16)
        self._open[key] = _Held(feed, owner)
        return key

    def drop(self, key: str) -> None:
        """The page is gone, and with it what its socket is worth."""
        held = self._open.pop(key, None)
        if held is not None:
            held.newest += 1
            if held.serving is not None:
                held.serving.cancel()

    async def serve(self, key: str, socket: WebSocket, session: Session) -> None:
        """Join a WebSocket to a feed of its session until one of them ends, or another WebSocket
        asks for the feed."""
        held = self._open.get(key)
        if held is None or held.owner != session.token or not session.may(held.feed.permission):
            await socket.close(REFUSED)
            return
        held.newest += 1
        number = held.newest
        if held.serving is not None:
            held.serving.cancel()
        async with held.turn:
            if number != held.newest:
                await socket.close(REPLACED)
            elif isinstance(held.feed, PushFeed) and self._cameras(session.token) >= MAX_CAMERAS:
                await _turn_away(socket)
            else:
                await self._join(held, socket, session)

    async def _join(self, held: _Held, socket: WebSocket, session: Session) -> None:
        await socket.accept()
        held.serving = asyncio.create_task(held.feed.serve(socket, session))
        try:
            await asyncio.wait({held.serving})
            code = _how_it_ended(held.serving)
        finally:
            held.serving.cancel()
            held.serving = None
        if code is not None and socket.application_state == WebSocketState.CONNECTED:
            await socket.close(code)

    def _cameras(self, owner: str) -> int:
        """Browsers' cameras of one session that are at work."""
        return sum(
            isinstance(held.feed, PushFeed) and held.serving is not None
            for held in self._open.values()
            if held.owner == owner
        )


def _how_it_ended(serving: asyncio.Task[None]) -> int | None:
    """The code to close with; None where the browser left."""
    if serving.cancelled():
        return REPLACED
    error = serving.exception()
    if isinstance(error, WebSocketDisconnect):
        return None
    if isinstance(error, ArcidError):
        log.info("feed closed", extra={"code": error.code})
        ended = isinstance(error, (SignedOut, NotAllowed, FeedOutdated))
        return SIGNED_OUT if ended else LATER
    if error is not None:
        raise error
    return 1000


async def _turn_away(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json({"problem": S.CAMERA_TOO_MANY.format(n=MAX_CAMERAS)})
    await socket.close(BUSY)


def jpeg(image: Image, widest: int = 960) -> bytes:
    """(H,W,3) uint8 RGB as the browser takes it, made smaller where it is wider."""
    import cv2

    height, width = image.shape[:2]
    if width > widest:
        size = (widest, round(height * widest / width))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 78])
    return data.tobytes()


def face_message(face: FaceView) -> Message:
    """A face as the browser draws it: box in pixels of the frame, words, tone."""
    label = face.name or LABELS.get(face.outcome, "")
    if face.outcome == "low_quality" and face.why:
        label = face.why
    likely = None if face.probability is None else S.percent(face.probability)
    if face.flagged:
        label, likely = f"{label} · {S.LIVE_SPOOF}", None
    label = " · ".join(filter(None, (label, *(note.text for note in face.notes))))
    tones = ["warn" if face.flagged else TONES[face.outcome], *(note.tone for note in face.notes)]
    return {
        "track": face.track,
        "box": [round(value, 1) for value in face.box],
        "label": label,
        "more": likely if face.outcome == "recognised" else None,
        "tone": max(tones, key=LOUDNESS.index),
    }


LABELS = {
    "looking": "",
    "unknown": S.LIVE_UNKNOWN,
    "review": S.LIVE_REVIEW,
    "low_quality": S.LIVE_LOW_QUALITY,
    "spoof": S.LIVE_SPOOF,
}


def _put(answers: asyncio.Queue[Message | None], message: Message | None) -> None:
    if answers.full():
        answers.get_nowait()
    answers.put_nowait(message)


async def _said(receive: Callable[[], Awaitable[T]]) -> T:
    try:
        return await receive()
    except KeyError:  # Starlette looks for one kind only
        raise FeedMisused("text and bytes were mixed up") from None


async def _tell(socket: WebSocket, answers: asyncio.Queue[Message | None]) -> None:
    while (message := await answers.get()) is not None:
        await socket.send_json(message)
    await socket.close(1011)


def _framed(about: Message, picture: bytes) -> bytes:
    head = json.dumps(about).encode()
    return struct.pack("<I", len(head)) + head + picture


def _nothing() -> None:
    return None
