"""The camera component: see ``static/camera.js``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.live.feeds import Feed, PushFeed
from arcid.server.console.ui.icons import svg


class CameraView(Element, component="static/camera.js"):
    """Shows a feed for as long as its page is open."""

    def __init__(
        self,
        context: ConsoleContext,
        feed: Feed,
        title: str,
        *,
        mirrored: bool = False,
        auto: bool = False,
        latency: bool = False,
        tools: bool = False,
        on_event: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__()
        key = context.open_feed(feed)
        self.props["root"] = ROOT
        self.props["feed"] = key
        self.props["mode"] = "push" if isinstance(feed, PushFeed) else "watch"
        self.props["mirrored"] = mirrored
        self.props["auto"] = auto
        self.props["showLatency"] = latency
        self.props["tools"] = tools
        self.props["stopText"] = S.LIVE_STOP
        self.props["enlargeText"] = S.LIVE_ENLARGE.format(name=title)
        self.props["icons"] = {"stop": svg("cross"), "enlarge": svg("expand")}
        self.props["name"] = title
        self.props["title"] = S.LIVE_CANVAS.format(name=title)
        self.props["nobodyText"] = S.LIVE_NOBODY
        self.props["startText"] = S.LIVE_START if isinstance(feed, PushFeed) else S.LIVE_SHOW
        self.props["refusedText"] = S.CAMERA_REFUSED
        self.props["missingText"] = S.CAMERA_MISSING
        self.props["insecureText"] = S.CAMERA_INSECURE
        self.props["endedText"] = S.CAMERA_ENDED
        self.props["lostText"] = S.CAMERA_LOST
        self.props["stateTexts"] = S.CAMERA_STATES
        ui.context.client.on_delete(lambda: context.feeds.drop(key))
        if on_event is not None:

            async def happened(event: GenericEventArguments) -> None:
                await on_event(event.args)

            self.on("event", happened)
