"""Attendance: a day's board, a month, one person's calendar, corrections, export."""

from __future__ import annotations

import calendar
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request
from starlette.responses import Response

from arcid.apps.attendance import Attendance, Day, Presence, export
from arcid.apps.attendance.clocks import check_day, moment
from arcid.apps.attendance.export import MEDIA
from arcid.apps.attendance.sheets import MonthRow, bounds
from arcid.errors import ArcidError, InputError, UsageError
from arcid.gallery import Collection
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import (
    chosen,
    chosen_person,
    first_collection,
    selector,
)
from arcid.server.console.pages._events import event_line, explainer
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    chip,
    clock_field,
    element,
    link_button,
    note,
    quietly,
    say,
    table_head,
    text,
)
from arcid.server.errors import HttpError

KINDS = tuple(MEDIA)
REFRESH_S = 5.0
MOST_EVENTS = 300


async def attendance(visit: ConsoleContext, collection: str | None = None, day: str = "") -> None:
    """Everybody's day."""
    try:
        chosen_day = _day(day)
    except InputError as error:
        _no_such_day(visit, error)
        return
    current, known = await chosen(visit, collection)
    with frame(visit, S.ATTENDANCE, "/attendance", lead=S.ATTENDANCE_LEAD):
        if current is None:
            first_collection(visit)
            return
        book = Attendance(visit.gallery, current.name)
        _day_bar(visit, current, known, chosen_day)
        counts = element("div", "board", aria_live="polite")
        with element("div", "columns"):
            with card(S.LONG_DAY.format(day=f"{chosen_day:%A}, {chosen_day.day} {chosen_day:%B}")):
                table = element("div", "table-box")
            with element("div", "column") as aside, card(S.EVENTS):
                listed = element("div", "event-list")
        seen: list[Any] = []

        async def show() -> None:
            sheet = await visit.run(book.day, chosen_day)
            since, until = bounds(chosen_day, None)
            events = await visit.run(book.events, since=since, until=until, limit=MOST_EVENTS)
            state = [sheet, [(e.id, e.corrections) for e in events]]
            if state == seen:
                return
            seen[:] = state
            counts.clear()
            with counts:
                _counts(sheet, sum(event.kind == "unknown" for event in events))
            table.clear()
            with table:
                _day_table(current, sheet)
            listed.clear()
            opener = explainer(visit, book, show)
            with listed:
                if not events:
                    text(S.EVENTS_NONE, "soft", tag="p")
                for event in events:
                    event_line(event, opener(event))

        await show()
        with aside:
            if visit.may("correct"):
                await _by_hand(visit, current, book, chosen_day, show)
            if visit.may("export"):
                _exports(current, day=chosen_day)
        if chosen_day == date.today():
            ui.timer(REFRESH_S, quietly(visit, "attendance")(show))


def _day(value: str) -> date:
    """Today where it is no date; raises ``InputError`` far away from it."""
    try:
        found = date.fromisoformat(value) if value else date.today()
    except ValueError:
        found = date.today()
    return check_day(found)


def _no_such_day(visit: ConsoleContext, error: InputError) -> None:
    with frame(visit, S.ATTENDANCE, "/attendance"):
        note(error.message, "bad", role="alert")
        link_button(S.ATTENDANCE, f"{ROOT}/attendance", icon="back")


def _day_bar(
    visit: ConsoleContext, current: Collection, known: list[Collection], day: date
) -> None:
    base = f"{ROOT}/attendance?collection={quote(current.name)}&day="
    with element("div", "toolbar"):
        with element("nav", "tabs", aria_label=S.ATTENDANCE):
            link_button(S.VIEW_DAY, base + day.isoformat()).props('aria-current="page"')
            month = f"{ROOT}/attendance/month?collection={quote(current.name)}"
            link_button(S.VIEW_MONTH, f"{month}&month={day:%Y-%m}")
        with element("div", "stepper"):
            _step(base + (day - timedelta(days=1)).isoformat(), "back", S.DAY_BEFORE)
            field = element("input", "date-field", type="date", aria_label=S.DAY)
            field.props["value"] = day.isoformat()
            script = f"(e) => {{ if (e.target.value) location.href = {base!r} + e.target.value; }}"
            field.on("change", js_handler=script)
            _step(base + (day + timedelta(days=1)).isoformat(), "next", S.DAY_AFTER)
        if day != date.today():
            link_button(S.TODAY, base + date.today().isoformat())
        selector("/attendance", current, known)


def _step(href: str, icon: str, name: str) -> None:
    from arcid.server.console.ui.icons import svg
    from arcid.server.console.ui.widgets import html

    with element("a", "button", href=href, aria_label=name):
        html(svg(icon))


def _counts(sheet: Day, unknown: int) -> None:
    here = sum(row.still_there for row in sheet.rows)
    seen = sum(not row.absent for row in sheet.rows)
    for number, name in (
        (here, S.BOARD_PRESENT),
        (seen - here, S.BOARD_SEEN),
        (len(sheet.rows) - seen, S.BOARD_ABSENT),
        (unknown, S.BOARD_UNKNOWN),
    ):
        with element("div", "count"):
            text(str(number), tag="strong")
            text(name, "soft small")


def _day_table(current: Collection, sheet: Day) -> None:
    if not sheet.rows:
        text(S.NOTHING_ENROLLED, "soft", tag="p")
        return
    rows = sorted(sheet.rows, key=lambda row: (row.absent, row.name.casefold()))
    with element("table"):
        table_head(S.DAY_HEAD)
        with element("tbody"):
            for row in rows:
                with element("tr"):
                    with element("td"), element("a", href=_person_url(current, row.person_id)):
                        text(row.name)
                    if not row.absent:
                        text(_clock(row.first_in), "number", tag="td")
                        text(_clock(row.last_out), "number", tag="td")
                        text(hours(row.seconds), "number", tag="td")
                    with element("td", colspan="4" if row.absent else "1"):
                        _state(row)


def _state(row: Presence) -> None:
    if row.still_there:
        chip(S.STILL_HERE, "good")
    elif row.absent:
        chip(S.ABSENT)
    elif row.incomplete:
        chip(S.INCOMPLETE, "warn")


def _person_url(current: Collection, person_id: str, month: str = "") -> str:
    where = f"{ROOT}/attendance/person/{person_id}?collection={quote(current.name)}"
    return f"{where}&month={month}" if month else where


def _clock(at: datetime | None) -> str:
    return "" if at is None else f"{at:%H:%M}"


def hours(seconds: float) -> str:
    """7 h 45."""
    minutes = round(seconds / 60)
    return S.HOURS.format(h=minutes // 60, m=minutes % 60)


async def _by_hand(
    visit: ConsoleContext, current: Collection, book: Attendance, day: date, show: Any
) -> None:
    people = await visit.run(visit.gallery.people, current.name, limit=1000)
    if not people:
        return
    with card(S.ADD_EVENT):
        person = ui.select(
            {p.id: p.name for p in people}, label=S.CORRECT_PERSON, with_input=True
        ).props("outlined dense options-dense")
        person.classes("wide")
        with element("div", "row"):
            kind = ui.select(S.ADD_EVENT_KINDS, value="arrival", label=S.ADD_EVENT_KIND).props(
                "outlined dense options-dense"
            )
            kind.classes("grow")
            clock = clock_field(S.CORRECT_TIME, f"{datetime.now():%H:%M}")
            clock.classes("grow")
        why = ui.input(S.CORRECT_NOTE).props("outlined dense maxlength=500").classes("wide")

        @action(visit, "correct")
        async def add() -> None:
            if not person.value:
                raise UsageError(S.ADD_NAME_MISSING)
            try:
                given = time.fromisoformat(clock.value or "")
            except ValueError:
                raise UsageError(S.CORRECT_TIME) from None
            at = moment(day, given)
            await visit.run(
                book.add,
                kind.value,
                person.value,
                at,
                actor=visit.account.name,
                note=why.value or "",
            )
            say(S.ADD_EVENT_DONE)
            await show()

        with element("div", "row end"):
            button(S.SAVE, add)


def _exports(current: Collection, *, day: date | None = None, month: str = "") -> None:
    where = f"{ROOT}/export?collection={quote(current.name)}&"
    span = f"day={day.isoformat()}" if day else f"month={month}"
    with card(S.EXPORT):
        for what, name in (("sheet", S.VIEW_DAY if day else S.VIEW_MONTH), ("events", S.EVENTS)):
            with element("div", "row"):
                text(name, "soft export-name")
                for kind in KINDS:
                    link = link_button(kind.upper(), f"{where}{span}&what={what}&kind={kind}")
                    link.props["download"] = ""
                    link.props["aria-label"] = f"{name}: {S.EXPORT_NAME.format(kind=kind.upper())}"


async def attendance_month(
    visit: ConsoleContext, collection: str | None = None, month: str = ""
) -> None:
    """Everybody's month."""
    try:
        first = _month(month)
    except InputError as error:
        _no_such_day(visit, error)
        return
    current, known = await chosen(visit, collection)
    with frame(visit, S.ATTENDANCE, "/attendance", lead=S.ATTENDANCE_LEAD):
        if current is None:
            first_collection(visit)
            return
        base = f"{ROOT}/attendance/month?collection={quote(current.name)}&month="
        with element("div", "toolbar"):
            with element("nav", "tabs", aria_label=S.ATTENDANCE):
                link_button(S.VIEW_DAY, f"{ROOT}/attendance?collection={quote(current.name)}")
                link_button(S.VIEW_MONTH, base + f"{first:%Y-%m}").props('aria-current="page"')
            _month_steps(base, first)
            selector("/attendance/month", current, known)
        book = Attendance(visit.gallery, current.name)
        sheet = await visit.run(book.month, first.year, first.month)
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
        if visit.may("export"):
            _exports(current, month=f"{first:%Y-%m}")


def _month(value: str) -> date:
    """This month where it is none; raises ``InputError`` far away from it."""
    try:
        found = date.fromisoformat(f"{value}-01")
    except ValueError:
        found = date.today().replace(day=1)
    return check_day(found)


def _month_steps(base: str, first: date) -> None:
    before, after = first - timedelta(days=1), first + timedelta(days=32)
    with element("div", "stepper"):
        _step(f"{base}{before:%Y-%m}", "back", S.MONTH_BEFORE)
        text(f"{first:%B %Y}", "person-name")
        _step(f"{base}{after:%Y-%m}", "next", S.MONTH_AFTER)


def _month_row(current: Collection, row: MonthRow, month: str) -> None:
    with element("tr"):
        with element("td"), element("a", href=_person_url(current, row.person_id, month)):
            text(row.name)
        for day in row.days:
            if day is None or day.absent:
                text("" if day is None else "·", "soft", tag="td")
            else:
                text(f"{day.seconds / 3600:.1f}", "there", tag="td")
        text(hours(row.hours * 3600), tag="td")


async def attendance_person(
    visit: ConsoleContext, person_id: str, collection: str | None = None, month: str = ""
) -> None:
    """One person's month as a calendar, with the events behind it."""
    try:
        first = _month(month)
    except InputError as error:
        _no_such_day(visit, error)
        return
    found = await chosen_person(visit, collection, person_id)
    if found is None:
        with frame(visit, S.PEOPLE_NOT_FOUND, "/attendance"):
            link_button(S.ATTENDANCE, f"{ROOT}/attendance", icon="back")
        return
    current, person = found
    lead = S.ATTENDANCE_PERSON_LEAD.format(month=f"{first:%B %Y}")
    with frame(visit, person.name, "/attendance", lead=lead):
        with element("div", "toolbar"):
            link_button(S.ATTENDANCE, f"{ROOT}/attendance", icon="back", kind="quiet")
            _month_steps(_person_url(current, person.id) + "&month=", first)
        book = Attendance(visit.gallery, current.name)
        with element("div", "columns"):
            with card():
                grid = element("div")
            with card(S.EVENTS):
                listed = element("div", "event-list")

        async def show() -> None:
            sheet = await visit.run(book.month, first.year, first.month)
            row = next((r for r in sheet.rows if r.person_id == person.id), None)
            grid.clear()
            with grid:
                if row is not None:
                    _calendar(current, row, sheet.days)
            since, until = bounds(sheet.days[0], None)[0], bounds(sheet.days[-1], None)[1]
            events = await visit.run(
                book.events, since=since, until=until, person_id=person.id, limit=MOST_EVENTS
            )
            listed.clear()
            opener = explainer(visit, book, show)
            with listed:
                if not events:
                    text(S.LIVE_EVENTS_NONE, "soft", tag="p")
                told = ""
                for event in events:
                    if S.day(event.at) != told:
                        told = S.day(event.at)
                        text(told, "event-day soft small", tag="p")
                    event_line(event, opener(event))

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
                    text(_clock(entry.first_in), tag="b")
                    text(_clock(entry.last_out))


async def exported(request: Request, visit: ConsoleContext) -> Response:
    """A day or a month, or its events, as a file."""
    asked = request.query_params
    kind, what = asked.get("kind", "csv"), asked.get("what", "sheet")
    if kind not in KINDS:
        raise HttpError(422, "usage_error", f"export as {', '.join(KINDS)}")
    try:
        book = await visit.run(Attendance, visit.gallery, asked.get("collection", ""))
        table, name = await visit.run(_table, book, asked.get("day"), asked.get("month"), what)
        body = await visit.run(export.written, table, kind)
    except ArcidError as error:
        raise HttpError.of(error) from None
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return Response(body, media_type=MEDIA[kind], headers=headers)


def _table(
    book: Attendance, day: str | None, month: str | None, what: str
) -> tuple[export.Table, str]:
    first = _month(month or "")
    if month is None:
        chosen_day = _day(day or "")
        since, until = bounds(chosen_day, None)
        name = f"attendance-{chosen_day.isoformat()}"
    else:
        last = calendar.monthrange(first.year, first.month)[1]
        since, until = bounds(first, None)[0], bounds(first.replace(day=last), None)[1]
        name = f"attendance-{first:%Y-%m}"
    if what == "events":
        events = book.events(since=since, until=until, limit=None)
        return export.events_table(events), f"events-{name.partition('-')[2]}"
    if month is None:
        return export.day_table(book.day(chosen_day)), name
    return export.month_table(book.month(first.year, first.month)), name
