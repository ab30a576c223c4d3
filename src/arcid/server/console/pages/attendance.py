"""A day of attendance: who is here, when everybody came and left, entries by hand."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from nicegui import ui

from arcid.apps.attendance import Attendance, Day, Presence
from arcid.apps.attendance.clocks import moment
from arcid.apps.attendance.sheets import bounds
from arcid.errors import InputError, UsageError
from arcid.gallery import Collection
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._attendance import (
    MOST_EVENTS,
    clock_time,
    day_of,
    hours,
    more_events,
    no_such_day,
    person_field,
    person_of,
    person_url,
    step_link,
    view_tabs,
)
from arcid.server.console.pages._collections import (
    chosen,
    first_collection,
    selector,
)
from arcid.server.console.pages._events import event_line, explainer
from arcid.server.console.pages.downloads import exports_card
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    chip,
    clock_field,
    element,
    link_button,
    say,
    table_head,
    text,
)

REFRESH_S = 5.0


async def attendance(context: ConsoleContext, collection: str | None = None, day: str = "") -> None:
    """Everybody's day."""
    try:
        chosen_day = day_of(day)
    except InputError as error:
        no_such_day(context, error)
        return
    current, known = await chosen(context, collection)
    with frame(context, S.ATTENDANCE, "/attendance", lead=S.ATTENDANCE_LEAD):
        if current is None:
            first_collection(context)
            return
        book = Attendance(context.gallery, current.name)
        _day_bar(context, current, known, chosen_day)
        counts = element("div", "board", aria_live="polite")
        with element("div", "columns"):
            with card(S.LONG_DAY.format(day=f"{chosen_day:%A}, {chosen_day.day} {chosen_day:%B}")):
                table = element("div", "table-box")
            with element("div", "column") as aside, card(S.EVENTS):
                listed = element("div", "event-list")
        seen: list[Any] = []

        async def show() -> None:
            sheet = await context.run(book.day, chosen_day)
            since, until = bounds(chosen_day, None)
            within = partial(book.events, since=since, until=until)
            events = await context.run(within, limit=MOST_EVENTS)
            unknown = [event for event in events if event.kind == "unknown"]
            if events.next is not None:  # there are more than are listed
                unknown = await context.run(within, kinds=["unknown"], limit=None)
            state = [sheet, [(e.id, e.corrections) for e in events], len(unknown)]
            if state == seen:
                return
            seen[:] = state
            counts.clear()
            with counts:
                _counts(sheet, len(unknown))
            table.clear()
            with table:
                _day_table(current, sheet)
            listed.clear()
            opener = explainer(context, book, show)
            with listed:
                if not events:
                    text(S.EVENTS_NONE, "soft", tag="p")
                for event in events:
                    event_line(event, opener(event))
                more_events(events)

        await show()
        with aside:
            if context.may("correct"):
                _by_hand(context, current, book, chosen_day, show)
            if context.may("export"):
                exports_card(current, day=chosen_day)
        if chosen_day == date.today():

            async def follow() -> None:
                if day_of(day) == chosen_day:
                    await show()
                else:
                    ui.navigate.reload()  # past midnight, and no day was asked for

            ui.timer(REFRESH_S, quietly(context, "attendance")(follow))


def _day_bar(
    context: ConsoleContext, current: Collection, known: list[Collection], day: date
) -> None:
    base = f"{ROOT}/attendance?collection={quote(current.name)}&day="
    with element("div", "toolbar"):
        view_tabs(current, "/attendance", day)
        with element("div", "stepper"):
            step_link(base + (day - timedelta(days=1)).isoformat(), "back", S.DAY_BEFORE)
            field = element("input", "date-field", type="date", aria_label=S.DAY)
            field.props["value"] = day.isoformat()
            script = f"(e) => {{ if (e.target.value) location.href = {base!r} + e.target.value; }}"
            field.on("change", js_handler=script)
            step_link(base + (day + timedelta(days=1)).isoformat(), "next", S.DAY_AFTER)
        if day != date.today():
            link_button(S.TODAY, base + date.today().isoformat())
        selector("/attendance", current, known)


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
                    with element("td"), element("a", href=person_url(current, row.person_id)):
                        text(row.name)
                    if not row.absent:
                        text(clock_time(row.first_in), "number", tag="td")
                        text(clock_time(row.last_out), "number", tag="td")
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


def _by_hand(
    context: ConsoleContext, current: Collection, book: Attendance, day: date, show: Any
) -> None:
    if not current.people:
        return
    with card(S.ADD_EVENT):
        person = person_field(context, current.name, S.CORRECT_PERSON).classes("wide")
        with element("div", "row"):
            kind = ui.select(S.ADD_EVENT_KINDS, value="arrival", label=S.ADD_EVENT_KIND).props(
                "outlined dense options-dense"
            )
            kind.classes("grow")
            clock = clock_field(S.CORRECT_TIME, f"{datetime.now():%H:%M}")
            clock.classes("grow")
        why = ui.input(S.CORRECT_NOTE).props("outlined dense maxlength=500").classes("wide")

        @action(context, "correct")
        async def add() -> None:
            person_id = await person_of(context, current.name, person)
            try:
                given = time.fromisoformat(clock.value or "")
            except ValueError:
                raise UsageError(S.CORRECT_TIME) from None
            at = moment(day, given)
            await context.run(
                book.add,
                kind.value,
                person_id,
                at,
                actor=context.account.name,
                note=why.value or "",
            )
            say(S.ADD_EVENT_DONE)
            await show()

        with element("div", "row end"):
            button(S.SAVE, add)
