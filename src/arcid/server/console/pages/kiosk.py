"""The greeting screen: one face, its name, and head turns where they are asked for."""

from __future__ import annotations

from nicegui import ui

from arcid.server.console import strings as S
from arcid.server.console.camera_view import CameraView
from arcid.server.console.feeds import PushFeed
from arcid.server.console.layout import HEAD, ROOT, only_main
from arcid.server.console.pages import page
from arcid.server.console.pages._collections import chosen, first_collection
from arcid.server.console.visit import Visit, quietly
from arcid.server.console.watching import Kiosk
from arcid.server.console.widgets import button, element, link_button, text

CHECK_S = 30.0


@page("/kiosk", "kiosk")
async def kiosk(visit: Visit, collection: str | None = None, challenge: str = "yes") -> None:
    """Full screen; ``challenge=no`` greets without head turns."""
    current, _ = await chosen(visit, collection)
    ui.add_head_html(HEAD)
    ui.page_title(f"{S.KIOSK} · {S.PRODUCT}")
    only_main()
    with element("main", "kiosk", id="main"):
        if current is None:
            first_collection(visit)
            return
        text(S.KIOSK, "visually-hidden", tag="h1")
        with element("div", "kiosk-bar"):
            clock = text("", "kiosk-clock")
            with element("div", "row"):
                full = "() => document.fullscreenElement ? document.exitFullscreen() : "
                button(S.KIOSK_FULL, icon="expand").on(
                    "click", js_handler=full + "document.documentElement.requestFullscreen()"
                )
                if visit.may("home"):
                    link_button(S.KIOSK_LEAVE, f"{ROOT}/", icon="out")
        greeter = Kiosk(visit.services, current, S.KIOSK_CAMERA, challenged=challenge != "no")
        feed = PushFeed(S.KIOSK_CAMERA, "kiosk", greeter.work)
        CameraView(visit, feed, S.KIOSK, mirrored=True, tall=True, auto=True)
        script = (
            "const tell = () => { const e = getHtmlElement(%d); if (e) e.textContent = new Date()"
            ".toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false }); };"
            "tell(); setInterval(tell, 5000);"
        )
        ui.timer(0.1, lambda: ui.run_javascript(script % clock.id), once=True)

        @quietly(visit, "kiosk")
        async def still_signed_in() -> None:
            return None

        ui.timer(CHECK_S, still_signed_in)
