"""API keys: made, renewed, revoked. Admins only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from nicegui import ui

from arcid.protection import VERBS, ApiKey, Keys
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.dialogs import answer, confirm, dialog
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    Tone,
    action,
    button,
    card,
    chip,
    element,
    empty,
    say,
    text,
)

Show = Callable[[], Awaitable[None]]
TONES: dict[str, Tone] = {"valid": "good", "expired": "warn", "revoked": "plain"}


async def keys(context: ConsoleContext) -> None:
    """All keys, and a form for a new one."""
    book = Keys(context.gallery)
    with frame(context, S.KEYS, "/keys", lead=S.KEYS_LEAD):
        with element("div", "columns"):
            board = card(S.KEYS)
            listed = element("div", "account-list")
            listed.move(board)

            async def show() -> None:
                await context.run(context.services.keys.refresh)
                found = await context.run(book.all)
                listed.clear()
                with listed:
                    for key in found:
                        _key(context, book, key, show)
                    if not found:
                        empty("keys", S.KEYS_NONE, S.KEYS_NONE_TEXT)

            names = [one.name for one in await context.run(context.gallery.collections)]
            with card(S.KEY_ADD):
                _add(context, book, names, show)
        await show()


def _add(context: ConsoleContext, book: Keys, names: list[str], show: Show) -> None:
    name = ui.input(S.KEY_NAME).props("outlined autocomplete=off maxlength=200").classes("wide")
    text(S.KEY_VERBS, "soft small", tag="p")
    boxes = {
        verb: ui.checkbox(S.KEY_VERB_NAMES[verb], value=verb in ("read", "search"))
        for verb in VERBS
    }
    within = ui.select(names, value=[], multiple=True, label=S.KEY_COLLECTIONS)
    within.props("outlined dense options-dense").classes("wide")
    days = ui.number(S.KEY_DAYS, min=1, max=36_500, precision=0).props("outlined dense")
    days.classes("wide")
    text(S.KEY_ALWAYS, "soft small", tag="p")

    @action(context, "accounts")
    async def add() -> None:
        key, secret = await context.run(
            book.add,
            name.value or "",
            [verb for verb, box in boxes.items() if box.value],
            collections=within.value or None,
            lasts=timedelta(days=days.value) if days.value else None,
        )
        name.value = ""
        await _tell(context, key, secret)
        await show()

    with element("div", "row end"):
        button(S.KEY_ADD, add, icon="add", kind="primary")


def _key(context: ConsoleContext, book: Keys, key: ApiKey, show: Show) -> None:
    where = S.KEY_ALL if key.collections is None else ", ".join(key.collections) or S.KEY_NOWHERE
    used = S.KEY_USED.format(when=S.moment(key.used_at) if key.used_at else S.NEVER)
    told = [", ".join(key.verbs), where, used]
    if key.expires_at is not None:
        told.append(S.KEY_ENDS.format(when=S.moment(key.expires_at)))

    @action(context, "accounts")
    async def rotate() -> None:
        title = S.KEY_ROTATE_TITLE.format(name=key.name)
        if await confirm(title, S.KEY_ROTATE_TEXT, S.KEY_ROTATE):
            await context.allow("accounts")
            renewed, secret = await context.run(book.rotate, key.id)
            await _tell(context, renewed, secret)
            await show()

    @action(context, "accounts")
    async def revoke() -> None:
        title = S.KEY_REVOKE_TITLE.format(name=key.name)
        if await confirm(title, S.KEY_REVOKE_TEXT, S.KEY_REVOKE):
            await context.allow("accounts")
            await context.run(book.revoke, key.id)
            say(S.KEY_REVOKED.format(name=key.name))
            await show()

    with element("div", "account"):
        with element("div", "person-lines grow"):
            with element("span", "row tight"):
                text(key.name, "person-name")
                chip(S.KEY_STATES[key.state], TONES[key.state])
            text(f"{key.prefix}…", "soft small")
            text(" · ".join(told), "soft small")
        if key.state == "valid":
            with element("div", "row"):
                button(S.KEY_ROTATE, rotate)
                button(S.KEY_REVOKE, revoke, kind="danger")


async def _tell(context: ConsoleContext, key: ApiKey, secret: str) -> None:
    await context.run(context.services.keys.refresh)
    with dialog(S.KEY_MADE_TITLE.format(name=key.name)) as made:
        text(S.KEY_MADE_TEXT, tag="p")
        text(secret, "secret", tag="code")
        with element("div", "dialog-buttons"):
            button(S.KEY_DONE, lambda: made.submit(True), kind="primary")
    await answer(made)
