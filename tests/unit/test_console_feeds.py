"""Feeds between the service and a page: a thread each, and never "live" without a picture."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from starlette.websockets import WebSocketDisconnect, WebSocketState
from tests.serving import until

from arcid.apps.watching import FaceView, Note, View
from arcid.cameras.runner import Viewer
from arcid.errors import ArcidError, GalleryBusy, UsageError
from arcid.server.console import app, photos
from arcid.server.console import strings as S
from arcid.server.console.auth.errors import SignedOut
from arcid.server.console.live.feeds import (
    LATER,
    REFUSED,
    SIGNED_OUT,
    Feed,
    Feeds,
    Message,
    PushFeed,
    WatchFeed,
    face_message,
)
from arcid.server.console.photos import Photos
from arcid.server.logging import _says_something
from arcid.video import Frame, PushedFrames

FEEDS = 40  # more than asyncio lends threads on any machine


def view(index: int) -> View:
    return View(Frame(np.full((60, 80, 3), index, np.uint8), time.time(), time.monotonic(), index))


class Page:
    """A browser that stays until it is told to leave, and asks for the next picture each time."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.got: list[bytes] = []

    async def receive_bytes(self) -> bytes:
        await self.left.wait()
        raise WebSocketDisconnect

    async def receive_text(self) -> str:
        if self.left.is_set():
            raise WebSocketDisconnect
        return "next"

    async def send_bytes(self, data: bytes) -> None:
        self.got.append(data)

    async def close(self, code: int = 1000) -> None:
        return None


async def allow(permission: str) -> None:
    return None


SESSION: Any = SimpleNamespace(allow=allow)


@pytest.mark.parametrize(
    ("outcome", "name", "notes", "label", "tone"),
    [
        ("recognised", "Ada", (), "Ada", "good"),
        ("recognised", "Ada", (Note("door: refused", "bad"),), "Ada · door: refused", "bad"),
        ("unknown", None, (Note("seen"),), f"{S.LIVE_UNKNOWN} · seen", "warn"),
        (
            "looking",
            None,
            (Note("on the list", "bad"), Note("x", "good")),
            "on the list · x",
            "bad",
        ),
    ],
)
def test_what_observers_say_of_a_face_stands_behind_its_name(
    outcome: Any, name: str | None, notes: tuple[Note, ...], label: str, tone: str
) -> None:
    box = (1.0, 2.0, 3.0, 4.0)
    face = FaceView(7, box, None, outcome, "p", name, 0.5, 0.9, "", None, notes=notes)
    message = face_message(face)
    assert (message["label"], message["tone"]) == (label, tone)


def test_many_open_cameras_leave_threads_for_everything_else() -> None:
    running = threading.Semaphore(0)

    def work(source: PushedFrames) -> Iterator[Message]:
        running.release()
        for _ in source.frames():
            yield {}

    async def run() -> float:
        pages: list[Any] = [Page() for _ in range(FEEDS)]
        feeds = [
            asyncio.create_task(PushFeed(f"page {n}", "capture", work).serve(page, SESSION))
            for n, page in enumerate(pages)
        ]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await asyncio.wait_for(asyncio.to_thread(lambda: None), 5)
        waited = time.monotonic() - began
        assert all(running.acquire(timeout=5) for _ in feeds), "every feed is worked on"
        for page in pages:
            page.left.set()
        ended = await asyncio.gather(*feeds, return_exceptions=True)
        assert all(isinstance(one, WebSocketDisconnect) for one in ended)
        return waited

    assert asyncio.run(run()) < 2
    until(lambda: not [t for t in threading.enumerate() if t.name == "arcid-feed"])


def test_a_view_taken_before_its_offer_was_heard_of_is_no_empty_one() -> None:
    async def run() -> None:
        viewer = Viewer()
        first, second = view(1), view(2)
        viewer.offer(first)
        await asyncio.sleep(0)  # the first is heard of, the second not yet
        viewer.offer(second)
        assert await viewer.next(1.0) is second
        began = time.monotonic()
        assert await viewer.next(0.2) is None
        assert time.monotonic() - began >= 0.15

    asyncio.run(run())


@pytest.mark.parametrize("state", ["live", "trouble"])
def test_what_is_live_has_a_picture_however_slow_the_camera(state: str) -> None:
    async def run() -> list[tuple[Message, bytes]]:
        page: Any = Page()
        viewers: list[Viewer] = []

        def watch(viewer: Viewer) -> Any:
            viewers.append(viewer)
            return viewers.clear

        runner = SimpleNamespace(watch=watch)
        cameras: Any = SimpleNamespace(
            runner=lambda camera_id: runner,
            status=lambda camera_id: SimpleNamespace(state=state, problem=""),
        )
        serving = asyncio.create_task(WatchFeed(cameras, "door").serve(page, SESSION))
        await asyncio.sleep(1.3)  # longer than a page waits for a picture
        viewers[0].offer(view(1))
        while not any(_parts(data)[1] for data in page.got):
            await asyncio.sleep(0.02)
        page.left.set()
        viewers[0].offer(view(2))
        with pytest.raises(WebSocketDisconnect):
            await asyncio.wait_for(serving, 5)
        assert not viewers, "the camera is left"
        return [_parts(data) for data in page.got]

    got = asyncio.run(run())
    assert all(picture for about, picture in got if about["state"] == "live")
    assert [about["state"] for about, picture in got if not picture] == (
        [] if state == "live" else ["trouble"]
    )


@pytest.mark.parametrize(
    ("error", "code"), [(GalleryBusy("busy"), LATER), (SignedOut("gone"), SIGNED_OUT)]
)
def test_a_busy_gallery_is_no_ended_session(error: ArcidError, code: int) -> None:
    """A page that is told of an ended session asks for itself anew; any other camera comes back."""

    class Broken:
        permission = "capture"

        async def serve(self, socket: Any, session: Any) -> None:
            raise error

    async def run() -> list[int]:
        closed: list[int] = []

        async def accept() -> None:
            return None

        async def close(code: int) -> None:
            closed.append(code)

        state = WebSocketState.CONNECTED
        socket: Any = SimpleNamespace(accept=accept, close=close, application_state=state)
        session: Any = SimpleNamespace(token="a", may=lambda permission: True)
        feeds, feed = Feeds(), Broken()
        await feeds.serve(feeds.add(cast(Feed, feed), "a"), socket, session)
        return closed

    assert asyncio.run(run()) == [code]


class Socket:
    """Remembers how it was closed."""

    closed: int | None = None

    async def close(self, code: int) -> None:
        self.closed = code

    async def accept(self) -> None:
        raise AssertionError("a feed of somebody else must not be opened")


def test_a_feed_opens_for_its_own_session_and_role_only() -> None:
    feeds = Feeds()
    key = feeds.add(PushFeed("x", "enrol", lambda source: iter(())), "token-a")

    def knock(key: str, token: str, may: bool) -> int | None:
        socket: Any = Socket()
        session: Any = SimpleNamespace(token=token, may=lambda permission: may)
        asyncio.run(feeds.serve(key, socket, session))
        return socket.closed

    assert knock(key, "token-b", True) == REFUSED
    assert knock(key, "token-a", False) == REFUSED
    assert knock("made-up", "token-a", True) == REFUSED
    feeds.drop(key)
    assert knock(key, "token-a", True) == REFUSED


def test_photos_are_taken_once_by_their_owner_and_bounded() -> None:
    held = Photos(max_bytes=10)
    key = held.hold(b"12345", "ada")
    with pytest.raises(UsageError):
        held.take(key, "eve")
    assert held.take(key, "ada") == b"12345"
    with pytest.raises(UsageError):
        held.take(key, "ada")
    held.hold(b"123456", "ada")
    with pytest.raises(Exception, match="Too many pictures"):
        held.hold(b"123456", "ada")
    held.forget("ada")
    held.hold(b"123456", "ada")


def test_a_photo_nobody_comes_for_does_not_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Photos(max_bytes=10)

    async def read(found: object, settings: object) -> list[bytes]:
        return [b"12345"]

    async def form() -> Any:
        return SimpleNamespace(getlist=lambda name: [name])

    request: Any = SimpleNamespace(method="POST", form=form)
    context: Any = SimpleNamespace(
        photos=held,
        services=SimpleNamespace(settings=None),
        session=SimpleNamespace(token="ada"),
        may=lambda permission: True,
    )
    monkeypatch.setattr(app, "read_images", read)
    monkeypatch.setattr(app, "KEEP_S", -0.9)
    monkeypatch.setattr(photos, "KEEP_S", 0.05)

    async def run() -> None:
        answer = await app._receive_photos(request, context)
        assert answer.status_code == 201 and len(held._held) == 1
        await asyncio.sleep(0.3)

    asyncio.run(run())
    assert held._held == {}


def test_lines_about_sockets_are_left_out_of_the_log_and_errors_are_not() -> None:
    def kept(message: object) -> bool:
        return _says_something(logging.makeLogRecord({"name": "uvicorn.error", "msg": message}))

    assert not kept('%s - "WebSocket %s" [accepted]')
    assert not kept("connection open")
    assert not kept("ASGI callable returned without completing handshake.")
    assert kept("Shutting down")
    assert kept(OSError("address in use")), "the server logs exceptions as they are"


def _parts(data: bytes) -> tuple[Message, bytes]:
    (length,) = struct.unpack_from("<I", data)
    return json.loads(data[4 : 4 + length]), data[4 + length :]
