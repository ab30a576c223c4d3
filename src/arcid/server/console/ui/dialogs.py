"""Dialogs: what a page asks before it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nicegui import ui
from nicegui.element import Element

from arcid.server.console import strings as S
from arcid.server.console.ui.widgets import Kind, button, element, enable, text


@contextmanager
def dialog(title: str) -> Iterator[ui.dialog]:
    """Named by its title; its content goes inside. It belongs to the page: what it was asked for
    in may be drawn anew while it is open."""
    with ui.context.client.content:
        made = ui.dialog()
    with made, element("div", "dialog"):
        made.props["aria-labelledby"] = text(title, tag="h2").html_id
        yield made


def dialog_buttons(
    made: ui.dialog, yes: str, value: Callable[[], Any], *, kind: Kind = "primary"
) -> Element:
    """Cancel, and the button ``yes``, which is returned and answers ``value()``."""
    with element("div", "dialog-buttons"):
        button(S.CANCEL, lambda: made.submit(None), kind="quiet")
        return button(yes, lambda: made.submit(value()), kind=kind)


def open_dialog(made: ui.dialog) -> None:
    """Open one that waits for no answer; it goes when it is closed."""
    made.on("hide", made.delete, args=[])
    made.open()


async def answer(made: ui.dialog) -> Any:
    """What somebody answers; None where they cancel, close it, or leave the page."""
    try:
        return await made
    finally:
        if not made.is_deleted:
            made.delete()


async def confirm(title: str, message: str, yes: str, *, typed: str = "") -> bool:
    """Ask before what cannot be undone; ``typed``: a word that must be written to go on."""
    with dialog(title) as made:
        text(message, tag="p")
        field = None
        if typed:
            text(S.TYPE_TO_CONFIRM.format(word=typed), "soft", tag="p")
            field = ui.input(S.TYPED).props("outlined dense autocomplete=off").classes("wide")
        go = dialog_buttons(made, yes, lambda: True, kind="danger")
        if field is not None:
            enable(go, False)
            field.on_value_change(lambda event: enable(go, event.value.strip() == typed))
    return bool(await answer(made))


async def ask(
    title: str, label: str, value: str = "", *, hint: str = "", password: bool = False
) -> str | None:
    """One line of text."""
    with dialog(title) as made:
        field = ui.input(label, value=value, password=password).props("outlined autofocus")
        field.props("autocomplete=new-password" if password else "maxlength=200").classes("wide")
        if hint:
            text(hint, "soft small", tag="p")
        dialog_buttons(made, S.SAVE, lambda: str(field.value or ""))
    found: str | None = await answer(made)
    return found
