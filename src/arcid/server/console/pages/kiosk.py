"""The greeting screen: one face, its name, and head turns where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from nicegui import ui

from arcid.apps.kiosk import Kiosk, Look, State
from arcid.gallery import Collection, Gallery
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.auth.account import Account
from arcid.server.console.context import ConsoleContext
from arcid.server.console.live.feeds import Message, PushFeed
from arcid.server.console.pages._collections import first_collection
from arcid.server.console.ui.camera_view import CameraView
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.layout import HEAD, only_main
from arcid.server.console.ui.widgets import (
    button,
    card,
    element,
    empty,
    link_button,
    set_text,
    text,
)
from arcid.video import PushedFrames

CHECK_S = 30.0
CLOCK_S = 1.0
TONES = {
    State.SEVERAL: "warn",
    State.UNUSABLE: "warn",
    State.CHECKED_IN: "good",
    State.UNKNOWN: "warn",
    State.REVIEW: "warn",
    State.REFUSED: "bad",
}


async def kiosk(context: ConsoleContext) -> None:
    """Full screen; what it asks for is written in the account, not in the address."""
    account = await context.allow("kiosk")
    known = await context.run(context.gallery.collections)
    current = collection_of(account, known)
    ui.add_head_html(HEAD)
    ui.page_title(f"{S.KIOSK} · {S.PRODUCT}")
    only_main()
    if current is None:
        _nothing_to_greet(context, known)
        return
    with element("main", "kiosk", id="main"):
        text(S.KIOSK, "visually-hidden", tag="h1")
        with element("div", "kiosk-bar"):
            clock = text("", "kiosk-clock")
            with element("div", "row"):
                full = "() => document.fullscreenElement ? document.exitFullscreen() : "
                button(S.KIOSK_FULL, icon="expand").on(
                    "click", js_handler=full + "document.documentElement.requestFullscreen()"
                )
                if context.may("home"):
                    link_button(S.KIOSK_LEAVE, f"{ROOT}/", icon="out")
        rules = account.kiosk
        pipeline, gallery = context.services.pipeline, context.gallery
        app = Kiosk(pipeline, gallery, current, S.KIOSK_CAMERA, challenged=rules.challenge)

        def holds(now: Account) -> bool:
            return now.kiosk == rules and _same(gallery, now, current)

        feed = PushFeed(S.KIOSK_CAMERA, "kiosk", greet(app), holds)
        CameraView(context, feed, S.KIOSK, mirrored=True, auto=True)
        # the service's, as the times that are written; a tablet may be set to another zone
        ui.timer(CLOCK_S, lambda: set_text(clock, f"{datetime.now():%H:%M}"))

        @quietly(context, "kiosk")
        async def still_signed_in() -> None:
            return None

        ui.timer(CHECK_S, still_signed_in)


def greet(app: Kiosk) -> Callable[[PushedFrames], Iterator[Message]]:
    """The kiosk's looks as its page draws and says them."""

    def work(source: PushedFrames) -> Iterator[Message]:
        for frame, look in app.watch(source):
            height, width = frame.image.shape[:2]
            yield {"at": frame.at, "size": [width, height], **words(look)}

    return work


def words(look: Look) -> Message:
    """What to say, and a frame around the face."""
    message: Message = {
        "state": look.state,
        "tone": TONES.get(look.state, "plain"),
        "progress": None,
    }
    message |= {"detail": "", "action": None, "faces": _frame(look)}
    if look.challenge is not None:
        status = look.challenge
        hint = S.KIOSK_HINTS[status.hint]
        step = S.KIOSK_STEP.format(n=status.step + 1, total=status.steps)
        message["prompt"] = S.KIOSK_ACTIONS[status.action] if status.action else hint
        message["detail"] = hint if status.action and hint else step
        message["progress"] = (status.step + status.progress) / status.steps
        message["action"] = status.action
    elif look.person is not None and look.at is not None:
        local = look.at.astimezone()
        message["prompt"] = S.KIOSK_HELLO[local.hour // 6].format(name=look.person.name)
        message["detail"] = S.KIOSK_LOGGED.format(time=f"{local:%H:%M}")
    elif look.failure is not None:
        message["prompt"], message["detail"] = S.KIOSK_FAILED, S.KIOSK_FAILURES[look.failure]
    elif look.reason is not None:
        message["prompt"] = look.reason.message
    else:
        message["prompt"], message["detail"] = S.KIOSK_STATES[look.state]
    return message


def _frame(look: Look) -> list[dict[str, Any]]:
    if look.box is None:
        return []
    box = [round(value, 1) for value in look.box]
    name = "" if look.person is None else look.person.name
    tone = "good" if look.person is not None else "plain"
    return [{"track": 1, "box": box, "label": name, "more": None, "tone": tone}]


def collection_of(account: Account, known: list[Collection]) -> Collection | None:
    """The collection an admin gave the account, or the only one there is."""
    if account.kiosk.collection_id is None:
        return known[0] if len(known) == 1 else None
    return next((one for one in known if one.id == account.kiosk.collection_id), None)


def _same(gallery: Gallery, account: Account, current: Collection) -> bool:
    now = collection_of(account, gallery.collections())
    return now is not None and (now.id, now.name) == (current.id, current.name)


def _nothing_to_greet(context: ConsoleContext, known: list[Collection]) -> None:
    with element("main", "page", id="main"):
        with element("header", "page-head"):
            text(S.KIOSK, tag="h1")
        if known:
            with card(cls="narrow centre"):
                empty("kiosk", S.KIOSK_UNSET, S.KIOSK_UNSET_TEXT)
        else:
            first_collection(context)
        with element("div", "row centre-row"):
            if context.may("home"):
                link_button(S.KIOSK_LEAVE, f"{ROOT}/", icon="out")
            else:
                form = element("form", method="post", action=f"{ROOT}/sign-out")
                with form, element("button", "button", type="submit"):
                    text(S.SIGN_OUT)
