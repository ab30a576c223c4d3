"""Watchlists: made, looked at with their budgets, filled, ended and erased."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from nicegui import ui

from arcid.apps.watchlists import Line, Member, Terms, Watchlist, Watchlists
from arcid.apps.watchlists.budget import PRIOR_FACES_H
from arcid.errors import UsageError, WatchlistNotFound
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.dialogs import confirm
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    chip,
    element,
    empty,
    facts,
    say,
    table_head,
    text,
)


async def watchlists(context: ConsoleContext) -> None:
    """All lists, and a form for a new one."""
    found = [
        own for own in await context.run(Watchlists(context.gallery).find) if _mine(context, own)
    ]
    names = [c.name for c in await context.run(context.gallery.collections)]
    lead = S.WATCHLISTS_LEAD
    with frame(context, S.WATCHLISTS, "/watchlists", lead=lead), element("div", "columns"):
        with card(S.WATCHLISTS):
            if not found:
                empty("watchlists", S.WATCHLIST_NONE, S.WATCHLIST_NONE_TEXT)
            with element("div", "account-list"):
                for own in found:
                    _line(own)
        if names:
            with card(S.WATCHLIST_MAKE):
                _form(context, names)


def _mine(context: ConsoleContext, own: Watchlist) -> bool:
    return own.visible_to(context.account.name, context.account.role)


def _line(own: Watchlist) -> None:
    with element("div", "account"), element("div", "person-lines grow"):
        with element("a", "person-name", href=f"{ROOT}/watchlists/{own.id}"):
            text(own.name)
        text(own.terms.purpose, "soft small", tag="p")
        with element("span", "row tight"):
            chip(S.count(own.people, *S.WATCHLIST_ON_IT))
            if own.expired():
                chip(S.WATCHLIST_EXPIRED, "warn")
            else:
                chip(S.WATCHLIST_ENDS.format(day=S.day(own.terms.expires_at)))


def _form(context: ConsoleContext, names: list[str]) -> None:
    name = ui.input(S.WATCHLIST_NAME)
    collection = ui.select(names, value=names[0], label=S.COLLECTION)
    purpose = ui.input(S.WATCHLIST_PURPOSE)
    basis = ui.input(S.WATCHLIST_BASIS)
    owner = ui.input(S.WATCHLIST_OWNER, value=context.account.name)
    until = ui.input(S.WATCHLIST_UNTIL, placeholder=f"{date.today().year + 1}-06-30")
    budget = ui.number(S.WATCHLIST_BUDGET, value=0.05, min=0.001, max=100)
    four_eyes = ui.checkbox(S.WATCHLIST_FOUR_EYES)
    for field in (name, collection, purpose, basis, owner, until, budget):
        field.props("outlined dense options-dense").classes("wide")

    @action(context, "lists")
    async def make() -> None:
        bearable = float(budget.value or 0)
        terms = Terms(
            purpose=purpose.value or "",
            legal_basis=basis.value or "",
            owner=owner.value or "",
            expires_at=_day(until.value or ""),
            false_alerts_per_hour=bearable,
            reviews_per_hour=max(10 * bearable, 0.5),
            four_eyes=bool(four_eyes.value),
        )
        made = await context.run(
            Watchlists(context.gallery).create,
            name.value or "",
            collection.value,
            terms,
            actor=context.account.name,
        )
        ui.navigate.to(f"/watchlists/{made.id}")

    with element("div", "row end"):
        button(S.WATCHLIST_MAKE, make, kind="primary")


async def watchlist(context: ConsoleContext, list_id: str) -> None:
    """One list: what it is for, its budget at each camera, who is on it."""
    lists = Watchlists(context.gallery)
    try:
        own = await context.run(lists.get, list_id)
    except WatchlistNotFound:
        own = None
    if own is None or not _mine(context, own):
        with frame(context, S.WATCHLISTS, "/watchlists"):
            empty("watchlists", S.WATCHLIST_NONE, S.WATCHLIST_NONE_TEXT)
        return
    people = await context.run(lists.everybody, own.id)
    context.looked("list.view", f"list:{own.id}", own.collection)
    lead = own.terms.purpose
    with frame(context, own.name, "/watchlists", lead=lead), element("div", "columns"):
        with card(S.WATCHLIST_PEOPLE):
            if not people:
                text(S.WATCHLIST_NOBODY, "soft", tag="p")
            with element("div", "account-list"):
                for one in people:
                    _member(context, own, one)
            _adding(context, own)
        with element("div", "column"):
            _terms(context, own)
            await _budgets(context, own)


def _terms(context: ConsoleContext, own: Watchlist) -> None:
    terms = own.terms
    ends = S.WATCHLIST_EXPIRED if own.expired() else S.day(terms.expires_at)
    with card(S.WATCHLIST_TERMS):
        facts(
            [
                (S.WATCHLIST_BASIS, terms.legal_basis),
                (S.WATCHLIST_OWNER, terms.owner),
                (S.WATCHLIST_LAST_DAY, ends),
                (S.WATCHLIST_COLLECTION, own.collection),
                (
                    S.WATCHLIST_SEEN_BY,
                    ", ".join(dict.fromkeys((*terms.roles, "admin", *terms.accounts))),
                ),
                (S.WATCHLIST_CAMERAS, ", ".join(terms.cameras) or S.WATCHLIST_ALL),
                (S.WATCHLIST_BUDGET, f"{terms.false_alerts_per_hour:g}"),
                (S.WATCHLIST_FOUR_EYES, S.YES if terms.four_eyes else S.NO),
                (S.WATCHLIST_KEEP, S.WATCHLIST_DAYS.format(n=terms.keep_days)),
            ]
        )

        @action(context, "lists")
        async def expire() -> None:
            title = S.WATCHLIST_EXPIRE_TITLE.format(name=own.name)
            if await confirm(title, S.WATCHLIST_EXPIRE_TEXT, S.WATCHLIST_EXPIRE):
                await context.allow("lists")
                await _do(context, "expire", own)
                say(S.WATCHLIST_ENDED.format(name=own.name))
                ui.navigate.reload()

        @action(context, "lists")
        async def delete() -> None:
            title = S.WATCHLIST_DELETE_TITLE.format(name=own.name)
            text_ = S.WATCHLIST_DELETE_TEXT
            if await confirm(title, text_, S.WATCHLIST_DELETE, typed=own.name):
                await context.allow("lists")
                await _do(context, "delete", own)
                ui.navigate.to("/watchlists")

        with element("div", "row end"):
            if not own.expired():
                button(S.WATCHLIST_EXPIRE, expire, icon="clock")
            button(S.WATCHLIST_DELETE, delete, icon="trash", kind="danger")


async def _budgets(context: ConsoleContext, own: Watchlist) -> None:
    calibration = context.services.calibration()
    if calibration is None:
        return
    cameras = await context.run(lambda: [one.name for one in context.cameras.book.all()])
    mine: list[str | None] = [name for name in cameras if own.watches(name)]
    with card(S.WATCHLIST_BUDGETS):
        text(S.WATCHLIST_BUDGETS_TEXT.format(n=PRIOR_FACES_H), "soft small", tag="p")
        with element("div", "table-box"), element("table", "table"):
            table_head(S.WATCHLIST_COLUMNS)
            with element("tbody"):
                for camera in mine or [None]:
                    now = await context.run(
                        Watchlists(context.gallery).budget, own.id, camera, calibration
                    )
                    _row(camera, now.flow.faces_per_hour, now.alert)


def _row(camera: str | None, faces: float, line: Line) -> None:
    daily = S.WATCHLIST_INTERVAL.format(
        mid=24 * line.expected_per_hour, low=24 * line.expected_low, high=24 * line.expected_high
    )
    with element("tr"):
        text(camera or S.WATCHLIST_UNKNOWN_CAMERA, tag="td")
        text(f"{faces:.0f}", tag="td")
        with element("td"):
            text(S.WATCHLIST_COSINE.format(cosine=line.cosine_threshold))
            if line.support != "measured":
                chip(S.WATCHLIST_BEYOND, "warn")
        text(daily, tag="td")
        text(S.percent(line.missed), tag="td")


def _member(context: ConsoleContext, own: Watchlist, one: Member) -> None:
    @action(context, "lists")
    async def take_off() -> None:
        await _do(context, "remove", own, one.person_id)
        say(S.WATCHLIST_REMOVED.format(name=one.name))
        ui.navigate.reload()

    with element("div", "account"):
        with element("div", "person-lines grow"):
            text(one.name, "person-name")
            reason = S.WATCHLIST_BY.format(
                reason=one.reason or "–", name=one.added_by, day=S.day(one.added_at)
            )
            text(reason, "soft small")
        name = S.WATCHLIST_TAKE_OFF_NAME.format(name=one.name)
        button(S.WATCHLIST_TAKE_OFF, take_off, kind="quiet", name=name)


def _adding(context: ConsoleContext, own: Watchlist) -> None:
    who = ui.input(S.WATCHLIST_WHO)
    why = ui.input(S.WATCHLIST_REASON)
    for field in (who, why):
        field.props("outlined dense").classes("wide")

    @action(context, "lists")
    async def add() -> None:
        person = await context.run(
            context.gallery.person_called, own.collection, (who.value or "").strip()
        )
        await _do(context, "add", own, person.id, reason=why.value or "")
        say(S.WATCHLIST_ADDED.format(name=person.name))
        ui.navigate.reload()

    with element("div", "row end"):
        button(S.WATCHLIST_ADD, add, icon="add", kind="primary")


async def _do(context: ConsoleContext, what: str, own: Watchlist, *args: Any, **more: Any) -> None:
    change = getattr(Watchlists(context.gallery), what)
    await context.run(change, own.id, *args, actor=context.account.name, **more)


def _day(typed: str) -> datetime:
    """The end of a day, where the service runs."""
    try:
        return datetime.combine(date.fromisoformat(typed.strip()), time(23, 59)).astimezone()
    except ValueError:
        raise UsageError(S.WATCHLIST_DAY) from None
