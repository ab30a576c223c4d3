"""What the pages of attendance share: days and months of an address, links, clocks."""

from __future__ import annotations

from datetime import date, datetime
from urllib.parse import quote

from nicegui import ui

from arcid.apps.attendance.clocks import check_day
from arcid.errors import InputError, UsageError
from arcid.events import Event
from arcid.gallery import Collection, Page
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.icons import svg
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    element,
    html,
    link_button,
    note,
    text,
)

MOST_EVENTS = 300
OFFERED = 20  # names


def day_of(value: str) -> date:
    """Today where it is no date; raises ``InputError`` far away from it."""
    try:
        found = date.fromisoformat(value) if value else date.today()
    except ValueError:
        found = date.today()
    return check_day(found)


def month_of(value: str) -> date:
    """This month where it is none; raises ``InputError`` far away from it."""
    try:
        found = date.fromisoformat(f"{value}-01")
    except ValueError:
        found = date.today().replace(day=1)
    return check_day(found)


def no_such_day(context: ConsoleContext, error: InputError) -> None:
    with frame(context, S.ATTENDANCE, "/attendance"):
        note(error.message, "bad", role="alert")
        link_button(S.ATTENDANCE, f"{ROOT}/attendance", icon="back")


def more_events(listed: Page[Event]) -> None:
    """Below a list of the newest that is not all of them."""
    if listed.next is not None:
        text(S.EVENTS_MORE.format(n=len(listed)), "soft small", tag="p")


def step_link(href: str, icon: str, name: str) -> None:
    with element("a", "button", href=href, aria_label=name):
        html(svg(icon))


def person_url(current: Collection, person_id: str, month: str = "") -> str:
    where = f"{ROOT}/attendance/person/{person_id}?collection={quote(current.name)}"
    return f"{where}&month={month}" if month else where


def person_field(context: ConsoleContext, collection: str, label: str) -> ui.input:
    """A name to be typed, of whatever person of a collection; names like it are offered below."""
    offered = element("datalist")
    field = ui.input(label).props(f"outlined dense autocomplete=off list={offered.html_id}")

    @action(context, "correct")
    async def offer() -> None:
        typed = (field.value or "").strip()
        found = await context.run(
            context.gallery.people, collection, search=typed or None, limit=OFFERED
        )
        offered.clear()
        with offered:
            for person in found:
                element("option", value=person.name)

    field.props("debounce=250").on_value_change(offer).on("focus", offer, args=[])
    return field


async def person_of(context: ConsoleContext, collection: str, field: ui.input) -> str:
    """The id of who is named in the field; raises ``UsageError`` or ``PersonNotFound``."""
    typed = (field.value or "").strip()
    if not typed:
        raise UsageError(S.ADD_NAME_MISSING)
    return (await context.run(context.gallery.person_called, collection, typed)).id


def clock_time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%H:%M}"


def hours(seconds: float) -> str:
    """7 h 45."""
    minutes = round(seconds / 60)
    return S.HOURS.format(h=minutes // 60, m=minutes % 60)


def view_tabs(current: Collection, shown: str, day: date) -> None:
    """A day, a month, or how much happened when; ``shown``: the path of the one looked at."""
    where = f"?collection={quote(current.name)}"
    with element("nav", "tabs", aria_label=S.ATTENDANCE):
        for path, words, query in (
            ("/attendance", S.VIEW_DAY, f"&day={day.isoformat()}"),
            ("/attendance/month", S.VIEW_MONTH, f"&month={day:%Y-%m}"),
            ("/overview", S.OVERVIEW, ""),
        ):
            link = link_button(words, f"{ROOT}{path}{where}{query}")
            if path == shown:
                link.props('aria-current="page"')
