"""The frame around every page: navigation, theme, who is signed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import groupby

from nicegui import ui
from nicegui.element import Element

from arcid.apps.watchlists import Alerts, Watchlists
from arcid.events import Reviews
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.registry import PAGES, Page
from arcid.server.console.ui.fresh import Old, quietly
from arcid.server.console.ui.icons import LOGO, svg
from arcid.server.console.ui.widgets import element, html, set_text, text

HEAD = (
    f'<link rel="stylesheet" href="{ROOT}/static/console.css">'
    f'<script src="{ROOT}/static/console.js"></script>'
)


TABS = 4  # at the bottom of a phone, beside More
COUNT_S = 10.0  # how often what waits is counted
MANY = 100  # that wait are not counted


@contextmanager
def frame(context: ConsoleContext, title: str, current: str, *, lead: str = "") -> Iterator[None]:
    """Everything around a page's own content; ``current`` is its path in the navigation."""
    ui.add_head_html(HEAD)
    ui.page_title(f"{title} · arcid")
    only_main()
    entries = [page for page in PAGES if page.group and context.may(page.permission)]
    counts: list[tuple[Page, ui.html, Count]] = []
    with element("a", "skip-link", href="#main"):
        html(S.SKIP)
    with element("div", "shell"):
        with element("nav", "rail", id="menu", aria_label=S.NAV_LABEL):
            with element("a", "brand", href=f"{ROOT}/"):
                html(LOGO + f"<span>{S.PRODUCT}</span>", tag="span", cls="brand-mark")
            for group, members in groupby(entries, key=lambda page: page.group):
                text(group, "rail-group")
                for entry in members:
                    link = _link(entry, current)
                    if entry.path in WAITING:
                        shown, count = WAITING[entry.path]
                        with link:
                            counts.append((entry, text("", shown), count))
            _account(context)
        element("div", "rail-shade").on("click", js_handler="() => arcid.menu(false)")
        with element("main", "page", id="main", tabindex="-1"):
            with element("header", "page-head"):
                text(title, tag="h1")
                if lead:
                    text(lead, "soft lead", tag="p")
                _zone()
            Old()
            yield
        _tab_bar(entries, current)
    for entry, number, count in counts:  # last: a timer answers with what is there by then
        _keep_count(context, entry, number, count)


def _zone() -> None:
    """Whose clock the page's times are of, where the browser's shows another."""
    now = datetime.now().astimezone()
    offset = now.utcoffset() or timedelta()
    words = S.TIMES_OF.format(zone=now.isoformat(timespec="minutes")[16:])
    said = text(words, "soft small", tag="p", data_offset=f"{offset.total_seconds() / 60:.0f}")
    said.props["hidden"] = True
    ui.run_javascript("arcid.zone()")


def _doubtful(context: ConsoleContext) -> int:
    return Reviews(context.gallery).waiting()


def _alerts(context: ConsoleContext) -> int:
    """New ones, of the lists that the account may see."""
    account, lists = context.account, Watchlists(context.gallery).find()
    mine = [own.id for own in lists if own.visible_to(account.name, account.role)]
    found = Alerts(context.gallery).find(lists=mine, states=["new"], levels=["alert"], limit=MANY)
    return len(found)


Count = Callable[[ConsoleContext], int]
WAITING: dict[str, tuple[str, Count]] = {  # class of the number, what is counted
    "/review": ("rail-count", _doubtful),
    "/alerts": ("rail-count-alerts", _alerts),
}


def _keep_count(context: ConsoleContext, entry: Page, shown: ui.html, count: Count) -> None:
    """How many wait, kept fresh."""

    async def read() -> None:
        waiting = await context.run(count, context)
        number = str(waiting) if waiting < MANY else f"{MANY - 1}+"
        shown.set_visibility(waiting > 0)
        set_text(shown, number)
        shown.props["aria-label"] = S.NAV_WAITING.format(n=number)

    ui.timer(COUNT_S, quietly(context, entry.permission)(read))


def only_main() -> None:
    """Quasar's page calls itself the main landmark; ours is the one."""
    slot = ui.context.client.content.parent_slot
    if slot is not None:
        slot.parent.props["role"] = "presentation"


def _link(entry: Page, current: str) -> Element:
    link = element("a", "rail-link", href=ROOT + entry.path)
    if entry.path == current:
        link.props('aria-current="page"')
    with link:
        html(svg(entry.icon), tag="span", cls="rail-icon")
        text(entry.label)
    return link


def _tab_bar(entries: list[Page], current: str) -> None:
    with element("nav", "tab-bar", aria_label=S.NAV_SHORT_LABEL):
        for entry in [entry for entry in entries if entry.tab][:TABS]:
            _link(entry, current)
        more = element(
            "button",
            "rail-link",
            id="menu-button",
            type="button",
            aria_controls="menu",
            aria_expanded="false",
        ).on("click", js_handler="() => arcid.menu(true)")
        with more:
            html(svg("more"), tag="span", cls="rail-icon")
            text(S.NAV_MORE)


def _account(context: ConsoleContext) -> None:
    with element("div", "rail-foot"):
        who = {"href": f"{ROOT}/sessions", "title": S.SESSIONS_OWN} if context.may("home") else {}
        with element("a" if who else "p", "rail-who", **who):
            text(context.account.name, "rail-name")
            text(S.ROLE_NAMES[context.account.role], "soft")
        with element("button", "rail-tool", type="button", title=S.THEME).on(
            "click", js_handler="() => arcid.turn()"
        ):
            _icon("moon", S.THEME)
        form = element("form", method="post", action=f"{ROOT}/sign-out")
        with form, element("button", "rail-tool", type="submit", title=S.SIGN_OUT):
            _icon("out", S.SIGN_OUT)


def _icon(name: str, words: str) -> None:
    html(svg(name), tag="span", cls="rail-icon")
    text(words, "visually-hidden")
