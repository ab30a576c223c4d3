"""Who is signed in where: everybody ends their own sessions, admins any."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.auth.opened import OpenSession, session_id
from arcid.server.console.auth.roles import Permission
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    chip,
    element,
    link_button,
    say,
    text,
)

Show = Callable[[], Awaitable[None]]


async def sessions(context: ConsoleContext) -> None:
    """One's own."""
    with frame(context, S.SESSIONS_OWN, "/sessions", lead=S.SESSIONS_OWN_LEAD):
        if context.account.issuer is None:
            with element("div", "columns"):
                _second(context)
                await _passkeys(context)
        else:
            with card(S.SECOND_FACTOR):
                told = S.SECOND_FACTOR_ELSEWHERE.format(issuer=context.account.issuer)
                text(told, "soft", tag="p")
        await session_card(context, S.SESSIONS_OWN_OPEN, "home", own=True)


def _second(context: ConsoleContext) -> None:
    """What one has beside the password; it is changed on pages that ask for the password."""
    own = context.account.factors
    with card(S.SECOND_FACTOR):
        kept = S.SECOND_FACTOR_APP if own.app else S.SECOND_FACTOR_PASSKEYS
        told = kept.format(n=own.recovery_left) if own else S.SECOND_FACTOR_NONE
        text(told, "soft", tag="p")
        with element("div", "row"):
            again = S.SECOND_FACTOR_CHANGE if own.app else S.APP_ADD
            link_button(
                again, f"{ROOT}/two-step?next=/sessions", kind="plain" if own else "primary"
            )
            if own:
                link_button(S.CODES_RENEW, f"{ROOT}/two-step/codes")
                link_button(S.SECOND_REMOVE, f"{ROOT}/two-step/remove")


async def _passkeys(context: ConsoleContext) -> None:
    found = await context.run(context.accounts.passkeys.of, context.account.id)
    with card(S.PASSKEYS):
        with element("div", "account-list"):
            for one in found:
                with element("div", "account"):
                    with element("div", "person-lines grow"):
                        with element("span", "row tight"):
                            text(one.name, "person-name")
                            if one.synced:
                                chip(S.PASSKEY_SYNCED)
                        used = S.moment(one.used_at) if one.used_at else S.NEVER
                        made = S.moment(one.created_at)
                        text(S.PASSKEY_USED.format(made=made, used=used), "soft small")
                    link_button(
                        S.PASSKEY_REMOVE,
                        f"{ROOT}/two-step/passkey/remove?id={one.id}",
                        name=S.PASSKEY_REMOVE_NAME.format(name=one.name),
                    )
        if not found:
            text(S.PASSKEYS_NONE, "soft", tag="p")
        with element("div", "row"):
            link_button(S.PASSKEY_ADD, f"{ROOT}/two-step/passkey?next=/sessions")


async def session_card(
    context: ConsoleContext, title: str, permission: Permission, *, own: bool = False
) -> Show:
    """All sessions, or one's own, each with a button that ends it; what shows them anew."""
    owner = context.account.id if own else None
    store = context.accounts
    board = card(title)
    listed = element("div", "account-list")
    listed.move(board)

    def row(session: OpenSession) -> None:
        this = session.id == session_id(context.session.token)

        @action(context, permission)
        async def end() -> None:
            await context.run(store.sessions.end, session.id, owner)
            context.sessions.forget()
            if this:
                ui.navigate.reload()
            else:
                say(S.SESSION_ENDED)
                await show()

        since = S.moment(session.started_at)
        with element("div", "account"):
            with element("div", "person-lines grow"):
                with element("span", "row tight"):
                    text(session.account.name, "person-name")
                    if this:
                        chip(S.SESSION_THIS)
                line = S.SESSION_SINCE.format(
                    since=since, seen=S.moment(session.seen_at), ends=S.moment(session.ends_at)
                )
                text(line, "soft small")
                where = S.SESSION_FROM.format(address=session.address) if session.address else ""
                if place := " ".join(filter(None, (session.browser, where))):
                    text(place, "soft small")
            name = S.SESSION_END_NAME.format(name=session.account.name, since=since)
            button(S.SESSION_END, end, name=name)

    async def show() -> None:
        found = await context.run(store.sessions.all, owner)
        listed.clear()
        with listed:
            for session in found:
                row(session)
            if not found:
                text(S.SESSIONS_NONE, "soft", tag="p")
            if own and len(found) > 1:
                with element("div", "row end"):
                    button(S.SESSIONS_END_OTHERS, end_others)

    @action(context, permission)
    async def end_others() -> None:
        account, this = context.account.id, context.session.token
        ended = await context.run(store.sessions.end_all, account, but=this)
        say(S.SESSIONS_ENDED.format(n=ended))
        await show()

    await show()
    return show
