"""Live: the cameras' pictures with names on them, and what happened beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui

from arcid.apps.attendance import Attendance
from arcid.cameras.book import Camera
from arcid.gallery import Collection
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.live.feeds import PushFeed, WatchFeed
from arcid.server.console.live.watching import attend
from arcid.server.console.pages._collections import chosen, first_collection, selector
from arcid.server.console.pages._events import event_line
from arcid.server.console.ui.camera_view import CameraView
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import card, element, link_button, small_url, text

SHOWN = 30
POLL_S = 1.0
RECENT = timedelta(hours=12)


async def live(context: ConsoleContext, collection: str | None = None) -> None:
    """Every camera of the collection, this device's own, and the newest events."""
    current, known = await chosen(context, collection)
    with frame(context, S.LIVE, "/live", lead=S.LIVE_LEAD):
        if current is None:
            first_collection(context)
            return
        with element("div", "toolbar"):
            selector("/live", current, known)
            if context.may("cameras"):
                link_button(S.CAMERA_ADD, f"{ROOT}/cameras", icon="cameras")
        cameras = [
            camera
            for camera in await context.run(context.cameras.book.all)
            if camera.enabled and camera.collection == current.name
        ]
        with element("div", "columns"):
            many = "many" if (cameras and context.may("capture")) or len(cameras) > 1 else ""
            with element("div", f"live-grid {many}"):
                for camera in cameras:
                    _camera(context, camera)
                if context.may("capture"):
                    _own(context, current)
                elif not cameras:
                    text(S.LIVE_NO_CAMERA, "soft", tag="p")
            with card(S.LIVE_EVENTS):
                board = element("div", "event-list", aria_live="polite")
        _follow(context, current, board)


def _camera(context: ConsoleContext, camera: Camera) -> None:
    with element("section", "live-tile"):
        text(camera.name, tag="h2")
        CameraView(context, WatchFeed(context.cameras, camera.id), camera.name, tools=True)


def _own(context: ConsoleContext, current: Collection) -> None:
    with element("section", "live-tile"):
        text(S.LIVE_OWN, tag="h2")
        name = S.LIVE_OWN_NAME.format(name=context.account.name)
        feed = PushFeed(name, "capture", attend(context.services, current, name))
        CameraView(context, feed, S.LIVE_OWN, mirrored=True, latency=True, tools=True)


def _pictures(book: Attendance, events: list[str]) -> dict[str, str | None]:
    found = {key: book.picture(key) for key in events}
    return {key: None if crop is None else small_url(crop) for key, crop in found.items()}


def _follow(context: ConsoleContext, current: Collection, board: ui.element) -> None:
    book = Attendance(context.gallery, current.name)
    shown: list[Any] = ["nothing read yet"]
    faces: dict[str, str | None] = {}

    @quietly(context, "live")
    async def look() -> None:
        since = datetime.now(UTC) - RECENT
        events = await context.run(book.events, since=since, limit=SHOWN)
        now = [(event.id, event.kind, event.name, event.corrections) for event in events]
        if now == shown:
            return
        shown[:] = now
        read = [event.id for event in events]
        pictures = await context.run(_pictures, book, [key for key in read if key not in faces])
        for key, picture in pictures.items():
            if picture is not None:
                context.looked("event.view", f"event:{key}", current.name)
        known = {key: (faces | pictures).get(key) for key in read}
        faces.clear()
        faces.update(known)
        board.clear()
        with board:
            if not events:
                text(S.LIVE_EVENTS_NONE, "soft", tag="p")
            for event in events:
                event_line(event, face_url=known[event.id], with_face=True)

    ui.timer(POLL_S, look)
