"""How much happened when, and what waits: arrivals, unknowns, doubts, alerts, cameras."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

from nicegui import ui

from arcid.apps.attendance import Attendance
from arcid.apps.attendance.trends import Trend, starts_of, trend
from arcid.apps.watchlists import OPEN, Alerts, Watchlists
from arcid.cameras.book import Camera
from arcid.cameras.runner import Status
from arcid.events import Reviews
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._attendance import view_tabs
from arcid.server.console.pages._collections import chosen, first_collection, selector
from arcid.server.console.ui.charts import bars, lines
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    Tone,
    card,
    chip,
    element,
    link_button,
    note,
    table_head,
    text,
)

REFRESH_S = 30.0
MOST = 20_000  # events that are counted
MOST_ALERTS = 1000
SEEN, DOUBTS = ("arrival", "unknown"), ("review", "spoof", "alert")
TONES: dict[str, Tone] = {"live": "good", "trouble": "bad", "starting": "info"}


class Watched(NamedTuple):
    """A camera of the collection."""

    name: str
    status: Status
    share: float | None  # of the time, since this process watches it, that it was live
    shares: tuple[float | None, ...]  # of each span


@dataclass(frozen=True, slots=True)
class Look:
    """All that the page shows."""

    trend: Trend
    cut: bool  # there are more events than were counted
    tiles: tuple[tuple[int, str], ...]
    cameras: tuple[Watched, ...]


async def overview(context: ConsoleContext, collection: str | None = None, days: int = 7) -> None:
    """Charts of a collection, drawn anew every half minute."""
    period = days if days in S.OVERVIEW_PERIODS else 7
    current, known = await chosen(context, collection)
    with frame(context, S.OVERVIEW, "/attendance", lead=S.OVERVIEW_LEAD):
        if current is None:
            first_collection(context)
            return
        base = f"{ROOT}/overview?collection={quote(current.name)}&days="
        with element("div", "toolbar"):
            view_tabs(current, "/overview", date.today())
            with element("nav", "tabs", aria_label=S.OVERVIEW_PERIOD):
                for value, words in S.OVERVIEW_PERIODS.items():
                    link = link_button(words, f"{base}{value}")
                    if value == period:
                        link.props('aria-current="page"')
            selector("/overview", current, known)
        tiles = element("div", "board few", aria_live="polite")
        with element("div", "columns even"):
            with card(S.OVERVIEW_SEEN):
                seen = bars(S.OVERVIEW_SEEN)
            with card(S.OVERVIEW_DOUBTS):
                doubts = bars(S.OVERVIEW_DOUBTS, first=len(SEEN))
        with element("div", "columns even"):
            with card(S.OVERVIEW_CAMERAS):
                live = lines(S.OVERVIEW_LIVE)
                cameras = element("div")
            with card(), element("details", "candidates"):
                text(S.OVERVIEW_TABLE, tag="summary")
                table = element("div", "table-box")
        shown: list[Any] = []

        async def show() -> None:
            look = await context.run(_look, context, current.name, period)
            if shown == [look]:
                return
            shown[:] = [look]
            series = {kind: look.trend.counts[kind] for kind in look.trend.counts}
            labels = [_label(start, look.trend.hourly) for start in look.trend.starts]
            for chart, kinds in ((seen, SEEN), (doubts, DOUBTS)):
                chart.show(labels, {S.OVERVIEW_SERIES[k]: series[k] for k in kinds if k in series})
            known_of = [one for one in look.cameras if one.share is not None]
            live.visible(bool(known_of))
            live.show(labels, {one.name: list(map(_per_cent, one.shares)) for one in known_of})
            for place, draw in ((tiles, _tiles), (cameras, _cameras), (table, _table)):
                place.clear()
                with place:
                    draw(look)

        await show()
        ui.timer(REFRESH_S, quietly(context, "attendance")(show))


def _look(context: ConsoleContext, collection: str, days: int) -> Look:
    now = datetime.now(UTC)
    book = Attendance(context.gallery, collection)
    kinds = [k for k in (*SEEN, *DOUBTS) if k != "alert"]
    first = starts_of(days, now)[0]
    events = book.events(since=first, kinds=kinds, limit=MOST)
    moments = [(event.kind, event.at) for event in events]
    tiles = [(len({stay.person_id for stay in book.present()}), S.OVERVIEW_PRESENT)]
    if context.may("review"):
        tiles.append((Reviews(context.gallery).waiting(collection), S.OVERVIEW_WAITING))
    if context.may("alerts"):
        kinds.append("alert")
        alerts = _alerts(context)
        moments += [("alert", at) for _, at in alerts]
        tiles.append((sum(state in OPEN for state, _ in alerts), S.OVERVIEW_ALERTS))
    found = trend(moments, kinds, days=days, now=now)
    own = [one for one in context.cameras.book.all() if one.collection == collection]
    cameras = tuple(_watched(context, one, found, now) for one in own)
    return Look(found, events.next is not None, tuple(tiles), cameras)


def _watched(context: ConsoleContext, camera: Camera, spans: Trend, now: datetime) -> Watched:
    status, uptime = context.cameras.status(camera.id), context.cameras.uptime(camera.id)
    step = timedelta(hours=1) if spans.hourly else timedelta(days=1)
    ends = (*spans.starts[1:], spans.starts[-1] + step)
    if uptime is None:
        return Watched(camera.name, status, None, (None,) * len(ends))
    shares = (uptime.share(a, b, now) for a, b in zip(spans.starts, ends, strict=True))
    return Watched(camera.name, status, uptime.share(spans.starts[0], ends[-1], now), tuple(shares))


def _per_cent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _alerts(context: ConsoleContext) -> list[tuple[str, datetime]]:
    """State and time of the newest, of lists that the account may see: a list of any collection
    may watch the cameras of this one."""
    account = context.account
    mine = [own.id for own in Watchlists(context.gallery).find()
            if own.visible_to(account.name, account.role)]  # fmt: skip
    found = Alerts(context.gallery).find(lists=mine, levels=["alert"], limit=MOST_ALERTS)
    return [(one.state, one.at) for one in found]


def _label(start: datetime, hourly: bool) -> str:
    return f"{start:%H}:00" if hourly else f"{start.day} {start:%b}"


def _tiles(look: Look) -> None:
    for number, words in look.tiles:
        with element("div", "count"):
            text(str(number), tag="strong")
            text(words, "soft small")
    if look.cut:
        with element("div", "span"):
            note(S.OVERVIEW_CUT.format(n=f"{MOST:,}"), "warn")


def _cameras(look: Look) -> None:
    if not look.cameras:
        text(S.OVERVIEW_NO_CAMERAS, "soft", tag="p")
        return
    text(S.OVERVIEW_CAMERAS_TEXT, "soft small", tag="p")
    for name, status, share, _ in look.cameras:
        with element("div", "event-row"):
            with element("span", "event-lines"):
                text(name, "person-name")
                if status.since is not None:
                    words = S.OVERVIEW_STATE_SINCE.format(moment=S.moment(status.since))
                    text(words, "soft small")
                if share is not None:
                    text(S.OVERVIEW_SHARE.format(share=S.percent(share)), "soft small")
            chip(S.CAMERA_STATES[status.state], TONES.get(status.state, "plain"))


def _table(look: Look) -> None:
    counts = look.trend.counts
    with element("table"):
        table_head([S.OVERVIEW_WHEN, *(S.OVERVIEW_SERIES[kind] for kind in counts)])
        with element("tbody"):
            for index in range(len(look.trend.starts) - 1, -1, -1):
                with element("tr"):
                    text(_label(look.trend.starts[index], look.trend.hourly), "number", tag="td")
                    for row in counts.values():
                        text(str(row[index]), "number", tag="td")
