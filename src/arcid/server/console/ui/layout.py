"""The frame around every page: navigation, theme, who is signed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from nicegui import ui
from nicegui.element import Element

from arcid.server.console import strings as S
from arcid.server.console.auth.roles import Permission
from arcid.server.console.auth.session import Visit, quietly
from arcid.server.console.ui.icons import LOGO, svg
from arcid.server.console.ui.widgets import ROOT as ROOT
from arcid.server.console.ui.widgets import element, html, set_text, text

HEAD = (
    f'<link rel="stylesheet" href="{ROOT}/static/console.css">'
    f'<script src="{ROOT}/static/console.js"></script>'
)


COUNT_S = 10.0  # how often what waits is counted


class Entry(NamedTuple):
    """One line of the navigation."""

    path: str
    permission: Permission
    icon: str
    label: str


NAVIGATION: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        S.NAV_DAY,
        (
            Entry("/live", "live", "live", S.NAV_LIVE),
            Entry("/attendance", "attendance", "attendance", S.NAV_ATTENDANCE),
            Entry("/review", "review", "review", S.NAV_REVIEW),
            Entry("/unknowns", "unknowns", "unknowns", S.NAV_UNKNOWNS),
            Entry("/kiosk", "kiosk", "kiosk", S.NAV_KIOSK),
        ),
    ),
    (
        S.NAV_FACES,
        (
            Entry("/people", "people", "people", S.NAV_PEOPLE),
            Entry("/collections", "enrol", "collections", S.NAV_COLLECTIONS),
            Entry("/search", "search", "search", S.NAV_SEARCH),
            Entry("/compare", "search", "compare", S.NAV_COMPARE),
        ),
    ),
    (
        S.NAV_SERVICE,
        (
            Entry("/cameras", "cameras", "cameras", S.NAV_CAMERAS),
            Entry("/models", "models", "models", S.NAV_MODELS),
            Entry("/system", "system", "system", S.NAV_SYSTEM),
            Entry("/accounts", "accounts", "accounts", S.NAV_ACCOUNTS),
        ),
    ),
)
TABS = (
    "/live",
    "/attendance",
    "/people",
    "/search",
)  # the bar at the bottom of a phone; the rest is in More


@contextmanager
def frame(visit: Visit, title: str, current: str, *, lead: str = "") -> Iterator[None]:
    """Everything around a page's own content; ``current`` is its path in the navigation."""
    ui.add_head_html(HEAD)
    ui.page_title(f"{title} · arcid")
    only_main()
    groups = [
        (name, shown)
        for name, entries in NAVIGATION
        if (shown := [entry for entry in entries if visit.may(entry.permission)])
    ]
    waiting = None
    with element("a", "skip-link", href="#main"):
        html(S.SKIP)
    with element("div", "shell"):
        with element("nav", "rail", id="menu", aria_label=S.NAV_LABEL):
            with element("a", "brand", href=f"{ROOT}/"):
                html(LOGO + f"<span>{S.PRODUCT}</span>", tag="span", cls="brand-mark")
            for name, entries in groups:
                text(name, "rail-group")
                for entry in entries:
                    link = _link(entry, current)
                    if entry.path == "/review":
                        with link:
                            waiting = text("", "rail-count")
            _account(visit)
        element("div", "rail-shade").on("click", js_handler="() => arcid.menu(false)")
        with element("main", "page", id="main", tabindex="-1"):
            with element("header", "page-head"):
                text(title, tag="h1")
                if lead:
                    text(lead, "soft lead", tag="p")
            yield
        _tab_bar(groups, current)
    if waiting is not None:  # last: a timer makes NiceGUI answer with what is there by then
        _count_waiting(visit, waiting)


def _count_waiting(visit: Visit, shown: ui.html) -> None:
    """How many doubtful faces wait, kept fresh."""

    async def count() -> None:
        waiting = await visit.run(visit.gallery.reviews.waiting)
        shown.set_visibility(waiting > 0)
        set_text(shown, str(waiting))
        shown.props["aria-label"] = S.NAV_REVIEW_COUNT.format(n=waiting)

    ui.timer(COUNT_S, quietly(visit, "review")(count))


def only_main() -> None:
    """Quasar's page calls itself the main landmark; ours is the one."""
    slot = ui.context.client.content.parent_slot
    if slot is not None:
        slot.parent.props["role"] = "presentation"


def _link(entry: Entry, current: str) -> Element:
    link = element("a", "rail-link", href=ROOT + entry.path)
    if entry.path == current:
        link.props('aria-current="page"')
    with link:
        html(svg(entry.icon), tag="span", cls="rail-icon")
        text(entry.label)
    return link


def _tab_bar(groups: list[tuple[str, list[Entry]]], current: str) -> None:
    tabs = [entry for _, entries in groups for entry in entries if entry.path in TABS]
    with element("nav", "tab-bar", aria_label=S.NAV_SHORT_LABEL):
        for entry in tabs:
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


def _account(visit: Visit) -> None:
    with element("div", "rail-foot"):
        with element("button", "rail-link", type="button").on(
            "click", js_handler="() => arcid.turn()"
        ):
            html(svg("moon"), tag="span", cls="rail-icon")
            text(S.THEME)
        form = element("form", method="post", action=f"{ROOT}/sign-out")
        with form, element("button", "rail-link", type="submit"):
            html(svg("out"), tag="span", cls="rail-icon")
            text(S.SIGN_OUT)
        who = {"href": f"{ROOT}/sessions", "title": S.SESSIONS_OWN} if visit.may("home") else {}
        with element("a" if who else "p", "rail-who", **who):
            text(visit.account.name, "rail-name")
            text(S.ROLE_NAMES[visit.account.role], "soft")
