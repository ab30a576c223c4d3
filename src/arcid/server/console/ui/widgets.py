"""The few building blocks every page is made of."""

from __future__ import annotations

import base64
import functools
import hashlib
import inspect
import io
import logging
from collections.abc import Awaitable, Callable, Iterable
from html import escape
from typing import Any, Literal

from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from arcid.errors import ArcidError
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.auth.errors import SignedOut
from arcid.server.console.auth.roles import Permission
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.icons import svg
from arcid.types import Image

log = logging.getLogger(__name__)
Tone = Literal["good", "bad", "warn", "info", "plain"]
Kind = Literal["primary", "plain", "quiet", "danger"]
SMALL_PX = 64


def element(tag: str, cls: str = "", **attributes: str) -> Element:
    """An HTML element; ``aria_label="x"`` becomes ``aria-label="x"``."""
    made = ui.element(tag).classes(cls)
    for name, value in attributes.items():
        made.props[name.replace("_", "-")] = value
    return made


def html(content: str, *, tag: str = "span", cls: str = "") -> ui.html:
    """Markup of our own; whatever came from outside goes through ``escape`` or ``text``."""
    return ui.html(content, sanitize=False, tag=tag).classes(cls)


def text(content: str, cls: str = "", *, tag: str = "span", **attributes: str) -> ui.html:
    """Plain text in an element; markup in it is shown, not run."""
    made = ui.html(escape(content), sanitize=False, tag=tag).classes(cls)
    for name, value in attributes.items():
        made.props[name.replace("_", "-")] = value
    return made


def set_text(target: ui.html, content: str) -> None:
    """Replace what ``text`` shows."""
    target.set_content(escape(content))


def button(
    label: str,
    on_click: Callable[[], Any] | None = None,
    *,
    icon: str = "",
    kind: Kind = "plain",
    name: str = "",
) -> Element:
    """A button; ``name`` says more to a screen reader than the label does. While what it does is
    being done, another click does nothing: whoever clicks twice means it once."""
    made = element("button", f"button {kind}", type="button")
    if name:
        made.props["aria-label"] = name
    with made:
        html((svg(icon) if icon else "") + f"<span>{escape(label)}</span>", cls="button-inner")
    if on_click is not None:
        made.on("click", once(on_click), args=[])
    return made


def once(on_click: Callable[[], Any]) -> Callable[[], Awaitable[None]]:
    """What a button does, not again while it is being done."""
    doing = False

    async def run() -> None:
        nonlocal doing
        if doing:
            return
        doing = True
        try:
            done = on_click()
            if inspect.isawaitable(done):
                await done
        finally:
            doing = False

    return run


def link_button(
    label: str, href: str, *, icon: str = "", kind: Kind = "plain", name: str = ""
) -> Element:
    """A link that looks like a button; ``name`` says more to a screen reader."""
    made = element("a", f"button {kind}", href=href)
    if name:
        made.props["aria-label"] = name
    with made:
        html((svg(icon) if icon else "") + f"<span>{escape(label)}</span>", cls="button-inner")
    return made


def enable(target: Element, yes: bool) -> None:
    """Switch a button on or off."""
    if yes:
        target.props.pop("disabled", None)
        target.update()
    else:
        target.props["disabled"] = True


def card(title: str = "", cls: str = "") -> Element:
    """A framed part of a page."""
    made = element("section", f"card {cls}")
    if title:
        with made:
            text(title, tag="h2")
    return made


def chip(label: str, tone: Tone = "plain") -> ui.html:
    """A short state."""
    return text(label, f"chip {tone}")


def note(message: str, tone: Tone = "info", *, role: str = "status") -> Element:
    """A message that stays."""
    names: dict[Tone, str] = {"good": "check", "bad": "warn", "warn": "warn"}
    made = element("div", f"note {tone}", role=role)
    with made:
        html(svg(names.get(tone, "info")), cls="note-icon")
        text(message)
    return made


def say(message: str, tone: Tone = "good") -> None:
    """A message that goes away by itself, announced to screen readers."""
    ui.notify(
        message,
        position="bottom",
        timeout=4000 if tone == "good" else 8000,
        classes=f"toast {tone}",
        actions=[{"label": S.CLOSE, "color": "white"}],
    )


def empty(icon: str, title: str, message: str) -> Element:
    """What stands where there is nothing yet; further content goes inside."""
    made = element("div", "empty")
    with made:
        html(svg(icon), cls="empty-icon")
        text(title, tag="h2")
        text(message, "soft", tag="p")
    return made


def facts(rows: list[tuple[str, str]]) -> Element:
    """Names and values in two columns."""
    made = element("dl", "facts")
    with made:
        for name, value in rows:
            with element("div"):
                text(name, tag="dt")
                text(value, tag="dd")
    return made


def table_head(names: Iterable[str]) -> None:
    """The names above a table's columns."""
    with element("thead"), element("tr"):
        for name in names:
            text(name, tag="th", scope="col")


def data_url(picture: Image) -> str:
    """(H,W,3) uint8 RGB as a PNG in a URL."""
    from PIL import Image as Pil

    buffer = io.BytesIO()
    Pil.fromarray(picture).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def small_url(picture: Image) -> str:
    """(H,W,3) uint8 RGB as a small JPEG in a URL, for a list of many."""
    from PIL import Image as Pil

    buffer = io.BytesIO()
    small = Pil.fromarray(picture)
    small.thumbnail((SMALL_PX, SMALL_PX))
    small.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def face(source: str, alt: str, cls: str = "") -> Element:
    """An aligned face."""
    return element("img", f"face {cls}", src=source, alt=alt, width="112", height="112")


def avatar(name: str, cls: str = "") -> ui.html:
    """Initials on a colour of the name's own, where no picture is kept."""
    words = [word for word in name.split() if word]
    initials = "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()
    hue = int(hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:4], 16) % 360
    made = html(escape(initials), cls=f"face avatar {cls}")
    made.style(f"--hue: {hue}")
    made.props["aria-hidden"] = "true"
    return made


def clock_field(label: str, value: str) -> ui.input:
    """A time of day, "14:05" on every device; a browser's own field follows its language."""
    field = ui.input(label, value=value, placeholder=S.CLOCK_SHAPE)
    return field.props("outlined dense mask=time inputmode=numeric autocomplete=off")


class PhotoDrop(Element, component="static/photodrop.js"):
    """Drop, paste or choose pictures; ``on_photo`` gets ``id`` and ``name`` of each."""

    def __init__(
        self,
        label: str,
        on_photo: Callable[[str, str], Awaitable[None]],
        *,
        max_bytes: int,
        multiple: bool = False,
        paste: bool = True,
    ) -> None:
        super().__init__()
        self.props["root"] = ROOT
        self.props["label"] = label
        self.props["hint"] = S.DROP_HINT if paste else S.DROP_HINT_SHORT
        self.props["busyText"] = S.DROP_BUSY
        self.props["failedText"] = S.DROP_FAILED
        self.props["tooLargeText"] = S.DROP_TOO_LARGE.format(mib=max_bytes // 2**20)
        self.props["icon"] = svg("photo")
        self.props["multiple"] = multiple
        self.props["paste"] = paste
        self.props["maxBytes"] = max_bytes

        async def received(event: GenericEventArguments) -> None:
            await on_photo(str(event.args["id"]), str(event.args["name"])[:120])

        self.on("photo", received)


def action(
    context: ConsoleContext, permission: Permission
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    """Around every handler that reads or changes anything: the session and role are asked for
    anew, and what goes wrong is said on the page. It runs in the page's own slot: that of the
    button that was pressed ends where a list is drawn anew, and nothing could be said any more."""

    def around(handler: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @functools.wraps(handler)
        async def run(*args: Any) -> None:
            with ui.context.client.content:
                try:
                    await context.allow(permission)
                    await handler(*args)
                except SignedOut:
                    ui.navigate.reload()
                except ArcidError as error:
                    say(error.message, "bad")
                except Exception:
                    log.exception("a console action failed")
                    say(S.FAILED, "bad")

        return run

    return around
