"""A month of attendance: everybody's, and one person's as a calendar."""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from urllib.parse import quote

from nicegui import ui

from arcid.apps.attendance import Attendance
from arcid.apps.attendance.sheets import MonthRow, bounds
from arcid.errors import InputError
from arcid.gallery import Collection
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._attendance import (
    MOST_EVENTS,
    clock_time,
    hours,
    month_of,
    more_events,
    no_such_day,
    person_url,
    step_link,
    view_tabs,
)
from arcid.server.console.pages._collections import (
    chosen,
    chosen_person,
    first_collection,
    selector,
)
from arcid.server.console.pages._events import event_line, explainer
from arcid.server.console.pages.downloads import exports_card
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    card,
    element,
    link_button,
    table_head,
    text,
)


async def month(context: ConsoleContext, collection: str | None = None, month: str = "") -> None:
    """Everybody's month."""
    try:
        first = month_of(month)
    except InputError as error:
        no_such_day(context, error)
        return
    current, known = await chosen(context, collection)
    with frame(context, S.ATTENDANCE, "/attendance", lead=S.ATTENDANCE_LEAD):
        if current is None:
            first_collection(context)
            return
        base = f"{ROOT}/attendance/month?collection={quote(current.name)}&month="
        with element("div", "toolbar"):
            view_tabs(current, "/attendance/month", _day_in(first))
            _month_steps(base, first)
            selector("/attendance/month", current, known)
        book = Attendance(context.gallery, current.name)
        sheet = await context.run(book.month, first.year, first.month)
        with (
            card(f"{first:%B %Y}"),
            element("div", "table-box") as box,
            element("table", "month-table"),
        ):
            table_head([S.DAY_HEAD[0], *(str(day.day) for day in sheet.days), S.DAY_HEAD[3]])
            with element("tbody"):
                for row in sheet.rows:
                    _month_row(current, row, f"{first:%Y-%m}")
        if date.today() in sheet.days:  # a phone shows ten days: those before today
            script = f"arcid.reveal(getHtmlElement({box.id}), {date.today().day})"
            ui.timer(0.1, lambda: ui.run_javascript(script), once=True)
        if context.may("export"):
            exports_card(current, month=f"{first:%Y-%m}")


def _day_in(first: date) -> date:
    """Today where it is in that month, else its first day."""
    today = date.today()
    return today if today.replace(day=1) == first else first


def _month_steps(base: str, first: date) -> None:
    before, after = first - timedelta(days=1), first + timedelta(days=32)
    with element("div", "stepper"):
        step_link(f"{base}{before:%Y-%m}", "back", S.MONTH_BEFORE)
        text(f"{first:%B %Y}", "person-name")
        step_link(f"{base}{after:%Y-%m}", "next", S.MONTH_AFTER)


def _month_row(current: Collection, row: MonthRow, month: str) -> None:
    with element("tr"):
        with element("td"), element("a", href=person_url(current, row.person_id, month)):
            text(row.name)
        for day in row.days:
            if day is None or day.absent:
                text("" if day is None else "·", "soft", tag="td")
            else:
                text(f"{day.seconds / 3600:.1f}", "there", tag="td")
        text(hours(row.hours * 3600), tag="td")


async def person(
    context: ConsoleContext, person_id: str, collection: str | None = None, month: str = ""
) -> None:
    """One person's month as a calendar, with the events behind it."""
    try:
        first = month_of(month)
    except InputError as error:
        no_such_day(context, error)
        return
    found = await chosen_person(context, collection, person_id)
    if found is None:
        with frame(context, S.PEOPLE_NOT_FOUND, "/attendance"):
            link_button(S.ATTENDANCE, f"{ROOT}/attendance", icon="back")
        return
    current, person = found
    lead = S.ATTENDANCE_PERSON_LEAD.format(month=f"{first:%B %Y}")
    with frame(context, person.name, "/attendance", lead=lead):
        with element("div", "toolbar"):
            link_button(S.ATTENDANCE, f"{ROOT}/attendance", icon="back", kind="quiet")
            _month_steps(person_url(current, person.id) + "&month=", first)
        book = Attendance(context.gallery, current.name)
        with element("div", "columns"):
            with card():
                grid = element("div")
            with card(S.EVENTS):
                listed = element("div", "event-list")

        async def show() -> None:
            sheet = await context.run(book.month, first.year, first.month)
            row = next((r for r in sheet.rows if r.person_id == person.id), None)
            grid.clear()
            with grid:
                if row is not None:
                    _calendar(current, row, sheet.days)
            since, until = bounds(sheet.days[0], None)[0], bounds(sheet.days[-1], None)[1]
            events = await context.run(
                book.events, since=since, until=until, person_id=person.id, limit=MOST_EVENTS
            )
            listed.clear()
            opener = explainer(context, book, show)
            with listed:
                if not events:
                    text(S.LIVE_EVENTS_NONE, "soft", tag="p")
                told = ""
                for event in events:
                    if S.day(event.at) != told:
                        told = S.day(event.at)
                        text(told, "event-day soft small", tag="p")
                    event_line(event, opener(event))
                more_events(events)

        await show()


def _calendar(current: Collection, row: MonthRow, days: tuple[date, ...]) -> None:
    total = S.PERSON_HOURS.format(
        days=S.count(row.days_present, S.ONE_DAY, S.MANY_DAYS), hours=hours(row.hours * 3600)
    )
    text(total, "person-name", tag="p")
    with element("div", "calendar"):
        for name in S.WEEKDAYS:
            text(name, "weekday")
        for _ in range(calendar.weekday(days[0].year, days[0].month, 1)):
            element("span")
        for day, entry in zip(days, row.days, strict=True):
            there = entry is not None and not entry.absent
            today = " today" if day == date.today() else ""
            where = f"{ROOT}/attendance?collection={quote(current.name)}&day={day.isoformat()}"
            with element("a", f"cell{' there' if there else ''}{today}", href=where):
                text(str(day.day), "soft")
                if there and entry is not None:
                    text(clock_time(entry.first_in), tag="b")
                    text(clock_time(entry.last_out))
