"""Who may sign in: add, change the role, close, new password, delete. Admins only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from arcid.gallery import Collection
from arcid.server.console import strings as S
from arcid.server.console.auth.account import Account, KioskRules
from arcid.server.console.auth.passwords import MIN_PASSWORD
from arcid.server.console.auth.roles import ROLES
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages.sessions import session_card
from arcid.server.console.ui.dialogs import answer, ask, confirm, dialog, dialog_buttons
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    avatar,
    button,
    card,
    chip,
    element,
    say,
    text,
)

ANY = ""  # no collection of its own


async def accounts(context: ConsoleContext) -> None:
    """All accounts, and a form for a new one."""
    with frame(context, S.ACCOUNTS, "/accounts", lead=S.ACCOUNTS_LEAD):
        with element("div", "columns"):
            board = card(S.ACCOUNTS)
            listed = element("div", "account-list")
            listed.move(board)

            async def show() -> None:
                found = await context.run(context.accounts.all)
                signed_in = {
                    one.account.id for one in await context.run(context.accounts.sessions.all)
                }
                listed.clear()
                with listed:
                    for account in found:
                        _account(context, account, account.id in signed_in, everything)

            async def everything() -> None:
                await show()
                await show_sessions()

            with element("div"):
                with card(S.ACCOUNT_ADD):
                    _add(context, show)
                show_sessions = await session_card(context, S.SESSIONS, "accounts")
        await show()


def _add(context: ConsoleContext, show: Callable[[], Awaitable[None]]) -> None:
    name = ui.input(S.ACCOUNT_NAME).props("outlined autocomplete=off").classes("wide")
    password = ui.input(S.PASSWORD, password=True).props("outlined autocomplete=new-password")
    password.classes("wide")
    text(S.PASSWORD_HINT.format(low=MIN_PASSWORD), "soft small", tag="p")
    role = _role_choice("viewer").classes("wide")
    meaning = text(S.ROLE_TEXTS["viewer"], "soft small", tag="p")
    role.on_value_change(lambda event: meaning.set_content(S.ROLE_TEXTS[event.value]))

    @action(context, "accounts")
    async def add() -> None:
        made = await context.run(
            context.accounts.add, name.value or "", password.value or "", role.value
        )
        name.value = password.value = ""
        say(S.ACCOUNT_ADDED.format(name=made.name))
        await show()

    with element("div", "row end"):
        button(S.ACCOUNT_ADD, add, icon="add", kind="primary")


def _role_choice(value: str) -> ui.select:
    names = {role: S.ROLE_NAMES[role] for role in ROLES}
    return ui.select(names, value=value, label=S.ACCOUNT_ROLE).props("outlined dense options-dense")


def _account(
    context: ConsoleContext,
    account: Account,
    signed_in: bool,
    show: Callable[[], Awaitable[None]],
) -> None:
    own = account.id == context.account.id
    change = context.accounts.change
    with element("div", "account"):
        avatar(account.name, "small-face")
        with element("div", "person-lines grow"):
            with element("span", "row tight"):
                text(account.name, "person-name")
                chip(S.ROLE_NAMES[account.role], "info")
                if own:
                    chip(S.ACCOUNT_YOU)
                if account.issuer is not None:
                    chip(S.ACCOUNT_PROVIDER)
                if account.factors:
                    chip(S.ACCOUNT_SECOND, "good")
                if not account.enabled:
                    chip(S.ACCOUNT_CLOSED, "warn")
            when = S.moment(account.signed_in_at) if account.signed_in_at else S.NEVER
            text(S.ACCOUNT_LAST.format(when=when), "soft small")

        async def done() -> None:
            context.sessions.forget()
            say(S.ACCOUNT_CHANGED.format(name=account.name))
            await show()

        @action(context, "accounts")
        async def reset() -> None:
            password = await ask(
                S.ACCOUNT_RESET_TITLE.format(name=account.name),
                S.PASSWORD,
                hint=S.PASSWORD_HINT.format(low=MIN_PASSWORD),
                password=True,
            )
            if password is None:
                return
            await context.allow("accounts")
            await context.run(change, account.id, password=password)
            await done()

        @action(context, "accounts")
        async def kiosk() -> None:
            known = await context.run(context.gallery.collections)
            rules = await _ask_rules(account, known)
            if rules is None:
                return
            await context.allow("accounts")
            await context.run(context.accounts.set_kiosk, account.id, rules)
            say(S.ACCOUNT_KIOSK_SAVED.format(name=account.name))
            await show()

        with element("div", "row"):
            if not own:
                role = _role_choice(account.role)
                role.classes("role-choice")

                @action(context, "accounts")
                async def turn() -> None:
                    try:
                        await context.run(change, account.id, role=role.value)
                    except Exception:
                        await show()
                        raise
                    await done()

                role.on_value_change(turn)
            if account.may("kiosk"):
                button(S.ACCOUNT_KIOSK, kiosk, icon="kiosk")
            if account.issuer is None:
                button(S.ACCOUNT_RESET, reset, icon="lock")
            if own:
                return

            @action(context, "accounts")
            async def sign_out() -> None:
                ended = await context.run(context.accounts.sessions.end_all, account.id)
                context.sessions.forget()
                say(S.SESSIONS_ENDED.format(n=ended))
                await show()

            if signed_in:
                button(S.ACCOUNT_SIGN_OUT, sign_out, icon="out")

            @action(context, "accounts")
            async def reset_second() -> None:
                title = S.ACCOUNT_SECOND_RESET_TITLE.format(name=account.name)
                if not await confirm(title, S.ACCOUNT_SECOND_RESET_TEXT, S.ACCOUNT_SECOND_RESET):
                    return
                await context.allow("accounts")
                await context.run(context.accounts.reset_second, account.id)
                await done()

            if account.factors:
                button(S.ACCOUNT_SECOND_RESET, reset_second)

            @action(context, "accounts")
            async def close() -> None:
                await context.run(change, account.id, enabled=not account.enabled)
                await done()

            @action(context, "accounts")
            async def delete() -> None:
                title = S.ACCOUNT_DELETE_TITLE.format(name=account.name)
                if not await confirm(title, S.ACCOUNT_DELETE_TEXT, S.ACCOUNT_DELETE):
                    return
                await context.allow("accounts")
                await context.run(context.accounts.delete, account.id)
                context.sessions.forget()
                say(S.ACCOUNT_DELETED.format(name=account.name))
                await show()

            button(S.ACCOUNT_CLOSE if account.enabled else S.ACCOUNT_OPEN, close)
            button(S.ACCOUNT_DELETE, delete, icon="trash", kind="danger")


async def _ask_rules(account: Account, known: list[Collection]) -> KioskRules | None:
    rules = account.kiosk
    choices = {ANY: S.ACCOUNT_KIOSK_ONLY} | {one.id: one.name for one in known}
    with dialog(S.ACCOUNT_KIOSK_TITLE.format(name=account.name)) as made:
        kept = rules.collection_id or ANY
        chosen = ui.select(
            choices, value=kept if kept in choices else None, label=S.ACCOUNT_KIOSK_COLLECTION
        ).props("outlined dense options-dense")
        chosen.classes("wide")
        challenge = ui.checkbox(S.ACCOUNT_KIOSK_CHALLENGE, value=rules.challenge)
        text(S.ACCOUNT_KIOSK_CHALLENGE_TEXT, "soft small", tag="p")
        dialog_buttons(made, S.SAVE, lambda: True)
    if not await answer(made):
        return None
    return KioskRules(None if chosen.value == ANY else chosen.value, bool(challenge.value))
