"""Webhooks: receivers of events added, tried, paused and deleted, and what became of deliveries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from arcid.apps.telling.hooks import KINDS, Delivery, Hook, Hooks
from arcid.server.console import ROOT
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
    link_button,
    note,
    say,
    table_head,
    text,
)

Show = Callable[[], Awaitable[None]]
TONES: dict[str, Tone] = {"waiting": "info", "done": "good", "failed": "bad"}
DELIVERIES = 20


async def webhooks(context: ConsoleContext) -> None:
    """All stored receivers, and a form for a new one."""
    hooks = context.services.hooked.hooks
    with frame(context, S.WEBHOOKS, "/system", lead=S.WEBHOOKS_LEAD):
        with element("div", "toolbar"):
            link_button(S.SYSTEM, f"{ROOT}/system", icon="back", kind="quiet")
        with element("div", "columns"):
            with card(S.WEBHOOKS):
                board = element("div", "account-list")

            async def show() -> None:
                found = await context.run(hooks.all)
                board.clear()
                with board:
                    for hook in found:
                        _hook(context, hooks, hook, show)
                    if not found:
                        empty("keys", S.WEBHOOKS_NONE, S.WEBHOOKS_NONE_TEXT)

            with card(S.WEBHOOK_ADD):
                _add(context, hooks, show)
        await show()


def _add(context: ConsoleContext, hooks: Hooks, show: Show) -> None:
    name = ui.input(S.WEBHOOK_NAME).props("outlined autocomplete=off maxlength=200")
    url = ui.input(S.WEBHOOK_URL).props("outlined autocomplete=off maxlength=2000")
    kinds = ui.select(list(KINDS), value=[], multiple=True, label=S.WEBHOOK_KINDS)
    kinds.props("outlined dense options-dense")
    for field in (name, url, kinds):
        field.classes("wide")
    text(S.WEBHOOK_ALL_KINDS, "soft small", tag="p")

    @action(context, "system")
    async def add() -> None:
        made, secret = await context.run(
            hooks.add, name.value or "", url.value or "", kinds=kinds.value or None
        )
        name.value = url.value = ""
        with dialog(S.WEBHOOK_MADE_TITLE.format(name=made.name)) as told:
            text(S.WEBHOOK_MADE_TEXT, tag="p")
            text(secret, "secret", tag="code")
            with element("div", "dialog-buttons"):
                button(S.KEY_DONE, lambda: told.submit(True), kind="primary")
        await answer(told)
        await show()

    with element("div", "row end"):
        button(S.WEBHOOK_ADD, add, icon="add", kind="primary")


def _hook(context: ConsoleContext, hooks: Hooks, hook: Hook, show: Show) -> None:
    @action(context, "system")
    async def test() -> None:
        said = await context.run(hooks.test, hook.id)
        if said.delivered:
            say(S.WEBHOOK_TOOK.format(status=said.status, s=said.seconds))
        else:
            say(S.WEBHOOK_TOOK_NOT.format(problem=said.problem), "bad")

    @action(context, "system")
    async def pause() -> None:
        await context.run(hooks.change, hook.id, enabled=not hook.enabled)
        await show()

    @action(context, "system")
    async def delete() -> None:
        title = S.WEBHOOK_DELETE_TITLE.format(name=hook.name)
        if await confirm(title, S.WEBHOOK_DELETE_TEXT.format(n=hook.waiting), S.WEBHOOK_DELETE):
            await context.allow("system")
            await context.run(hooks.delete, hook.id)
            await show()

    @action(context, "system")
    async def deliveries() -> None:
        found = await context.run(hooks.deliveries, hook.id, DELIVERIES)
        log.clear()
        with log:
            _deliveries(found)

    with element("div", "account"), element("div", "person-lines grow"):
        with element("span", "row tight"):
            text(hook.name, "person-name")
            chip(*((S.WEBHOOK_ON, "good") if hook.enabled else (S.WEBHOOK_PAUSED, "warn")))
        text(hook.address, "soft small")
        text(S.WEBHOOK_ALL if hook.kinds is None else ", ".join(hook.kinds), "soft small")
        counts = S.WEBHOOK_COUNTS.format(waiting=hook.waiting, done=hook.done, failed=hook.failed)
        text(counts, "soft small")
        if not hook.url:
            note(S.WEBHOOK_LOCKED, "bad")
        with element("div", "row"):
            button(S.WEBHOOK_TEST, test, name=f"{S.WEBHOOK_TEST}: {hook.name}")
            button(S.WEBHOOK_PAUSE if hook.enabled else S.WEBHOOK_GO_ON, pause)
            button(S.WEBHOOK_DELIVERIES, deliveries)
            button(S.WEBHOOK_DELETE, delete, kind="danger")
        log = element("div", "column", aria_live="polite")


def _deliveries(found: list[Delivery]) -> None:
    if not found:
        text(S.WEBHOOK_NEVER, "soft small", tag="p")
        return
    with element("div", "table-box"), element("table"):
        table_head(S.WEBHOOK_HEAD)
        with element("tbody"):
            for one in found:
                with element("tr"):
                    text(S.moment(one.recorded_at), tag="td")
                    text(one.kind, tag="td")
                    with element("td"):
                        chip(S.WEBHOOK_STATES[one.state], TONES[one.state])
                    text(str(one.attempts), "number", tag="td")
                    text(one.problem or "", tag="td")
