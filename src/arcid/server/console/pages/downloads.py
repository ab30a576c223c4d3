"""Attendance as files: what there is to download, and the answer."""

from __future__ import annotations

import calendar
from datetime import date
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from arcid.apps.attendance import Attendance, export
from arcid.apps.attendance.export import MEDIA
from arcid.apps.attendance.sheets import bounds
from arcid.errors import ArcidError
from arcid.gallery import Collection
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._attendance import day_of, month_of
from arcid.server.console.ui.widgets import (
    card,
    element,
    link_button,
    text,
)
from arcid.server.errors import HttpError

KINDS = tuple(MEDIA)


def exports_card(current: Collection, *, day: date | None = None, month: str = "") -> None:
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


async def exported(request: Request, context: ConsoleContext) -> Response:
    """A day or a month, or its events, as a file."""
    asked = request.query_params
    kind, what = asked.get("kind", "csv"), asked.get("what", "sheet")
    if kind not in KINDS:
        raise HttpError(422, "usage_error", f"export as {', '.join(KINDS)}")
    try:
        book = await context.run(Attendance, context.gallery, asked.get("collection", ""))
        table, name = await context.run(_table, book, asked.get("day"), asked.get("month"), what)
        body = await context.run(book.exported, table, kind)
    except ArcidError as error:
        raise HttpError.of(error) from None
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return Response(body, media_type=MEDIA[kind], headers=headers)


def _table(
    book: Attendance, day: str | None, month: str | None, what: str
) -> tuple[export.Table, str]:
    first = month_of(month or "")
    if month is None:
        chosen_day = day_of(day or "")
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
