"""Daily and monthly sheets: first in, last out, hours, absent. Made from events as they read now.

An arrival opens a stay at its place and the next departure there closes it; a departure entered by
hand closes all. Overlapping stays count once, and a stay across midnight counts on both days.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from arcid.apps.attendance.clocks import check_day, local
from arcid.errors import InputError
from arcid.events import Event, Events, Stay
from arcid.events.records import FIRST_YEAR, LAST_YEAR
from arcid.gallery import Gallery

LOOK_BACK = timedelta(days=1)  # a stay may have begun the day before; longer ones are asked for
WORKDAYS = (0, 1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Presence:
    """One person's day."""

    person_id: str
    name: str
    first_in: datetime | None  # in the sheet's zone; None: absent
    last_out: datetime | None  # None also while still there
    seconds: float
    still_there: bool = False
    incomplete: bool = False  # an arrival without departure: counted until last seen

    @property
    def absent(self) -> bool:
        return self.first_in is None

    @property
    def hours(self) -> float:
        return round(self.seconds / 3600, 4)


@dataclass(frozen=True, slots=True)
class Day:
    """Everybody on one day, by name."""

    collection: str
    day: date
    rows: tuple[Presence, ...]


@dataclass(frozen=True, slots=True)
class MonthRow:
    """One person's month; ``days`` has one entry a day, None for days still to come."""

    person_id: str
    name: str
    days: tuple[Presence | None, ...]
    workdays_absent: int

    @property
    def days_present(self) -> int:
        return sum(day is not None and not day.absent for day in self.days)

    @property
    def hours(self) -> float:
        return round(sum(day.seconds for day in self.days if day is not None) / 3600, 4)


@dataclass(frozen=True, slots=True)
class Month:
    collection: str
    days: tuple[date, ...]
    rows: tuple[MonthRow, ...]


Span = tuple[datetime, datetime, bool, bool]  # from, until, still there, incomplete


def day_sheet(
    gallery: Gallery,
    collection: str,
    day: date,
    *,
    zone: tzinfo | None = None,
    now: datetime | None = None,
) -> Day:
    """See ``Attendance.day``."""
    people = _people(gallery, collection)
    spans = _spans(gallery, collection, [day], zone, now)
    rows = [_presence(key, name, spans.get(key, ()), day, zone) for key, name in people]
    return Day(collection, day, tuple(rows))


def month_sheet(
    gallery: Gallery,
    collection: str,
    year: int,
    month: int,
    *,
    zone: tzinfo | None = None,
    now: datetime | None = None,
) -> Month:
    """See ``Attendance.month``."""
    if not (FIRST_YEAR <= year <= LAST_YEAR and 1 <= month <= 12):
        raise InputError(f"{year}-{month} is no month; years run from {FIRST_YEAR} to {LAST_YEAR}")
    days = [date(year, month, d + 1) for d in range(calendar.monthrange(year, month)[1])]
    today = local(now or datetime.now(UTC), zone).date()
    people = _people(gallery, collection)
    spans = _spans(gallery, collection, days, zone, now)
    rows = []
    for key, name in people:
        entries = [
            None if day > today else _presence(key, name, spans.get(key, ()), day, zone)
            for day in days
        ]
        absent = sum(e is not None and e.absent and d.weekday() in WORKDAYS
                     for d, e in zip(days, entries, strict=True))  # fmt: skip
        rows.append(MonthRow(key, name, tuple(entries), absent))
    return Month(collection, tuple(days), tuple(rows))


def bounds(day: date, zone: tzinfo | None) -> tuple[datetime, datetime]:
    """Midnight to midnight of a day, UTC; summer time makes some days 23 or 25 hours long.

    Raises ``InputError`` outside the years 1970 to 9998.
    """
    check_day(day)
    edges = [datetime.combine(d, time(), zone) for d in (day, day + timedelta(days=1))]
    return edges[0].astimezone(UTC), edges[1].astimezone(UTC)


def _spans(
    gallery: Gallery,
    collection: str,
    days: Sequence[date],
    zone: tzinfo | None,
    now: datetime | None,
) -> dict[str, list[Span]]:
    """Stays by person that may touch the days, oldest first."""
    start, end = bounds(days[0], zone)[0], bounds(days[-1], zone)[1]
    usual = start - LOOK_BACK, end + LOOK_BACK
    reach: dict[str | None, tuple[datetime, datetime]] = {}  # of those with longer stays
    for stay in Events(gallery).longer(collection, LOOK_BACK, start, end):
        low, high = reach.get(stay.person_id, usual)
        after = stay.last_seen_at + timedelta(microseconds=1)
        reach[stay.person_id] = min(low, stay.arrived_at), max(high, after)
    found = Events(gallery).find(
        collection,
        since=min(low for low, _ in [usual, *reach.values()]),
        until=max(high for _, high in [usual, *reach.values()]),
        kinds=("arrival", "departure"),
        limit=None,
    )
    unfinished: dict[str, list[Stay]] = {}
    for stay in Events(gallery).unfinished(collection):
        unfinished.setdefault(stay.person_id, []).append(stay)
    by_person: dict[str, list[Event]] = {}
    for event in sorted(found, key=lambda e: (e.at, e.kind)):
        low, high = reach.get(event.person_id, usual)
        if event.person_id is not None and low <= event.at < high:
            by_person.setdefault(event.person_id, []).append(event)
    moment = now or datetime.now(UTC)
    return {key: _pair(own, unfinished.get(key, ()), moment) for key, own in by_person.items()}


def _pair(events: Sequence[Event], unfinished: Sequence[Stay], now: datetime) -> list[Span]:
    """``unfinished``: the person's, longest ago first; they were there when those were last seen,
    and still are where they have not come again since."""
    last_seen = unfinished[-1].last_seen_at if unfinished else None
    spans: list[Span] = []
    begun: dict[str, datetime] = {}
    for event in events:
        if event.kind == "arrival":
            at = begun.setdefault(event.place, event.at)
            left = [v.last_seen_at for v in unfinished
                    if v.place == event.place and at <= v.last_seen_at < event.at]  # fmt: skip
            if left:
                spans.append((at, left[-1], False, False))
                begun[event.place] = event.at
        elif not event.place:
            spans += [(at, event.at, False, False) for at in begun.values()]
            if not begun:
                spans.append((event.at, event.at, False, True))
            begun = {}
        else:
            place = event.place if event.place in begun else ""
            at = begun.pop(place) if place in begun else _came(event)
            spans.append((at, event.at, False, False))
    for at in begun.values():
        if last_seen is not None and last_seen >= at:
            recent = now - last_seen < LOOK_BACK
            spans.append((at, max(last_seen, at), recent, not recent))
        else:
            spans.append((at, at, False, True))
    return sorted(spans)


def _came(departure: Event) -> datetime:
    """When the stay that a departure ends began, where another one had ended in between."""
    stay = departure.grounds.get("visit") or {}
    began = stay.get("arrived_at_us")
    if began is None:
        return departure.at
    return min(datetime.fromtimestamp(began / 1e6, UTC), departure.at)


def _presence(
    person_id: str, name: str, spans: Sequence[Span], day: date, zone: tzinfo | None
) -> Presence:
    start, end = bounds(day, zone)
    inside = [
        (max(begin, start), min(until, end), still and until < end, incomplete)
        for begin, until, still, incomplete in spans
        if begin < end and (until > start or begin >= start)
    ]
    if not inside:
        return Presence(person_id, name, None, None, 0.0)
    seconds, reached = 0.0, start
    for begin, until, _, _ in inside:
        seconds += max((until - max(begin, reached)).total_seconds(), 0.0)
        reached = max(reached, until)
    still = any(flag for _, _, flag, _ in inside)
    return Presence(
        person_id,
        name,
        local(inside[0][0], zone),
        None if still else local(max(until for _, until, _, _ in inside), zone),
        seconds,
        still,
        any(flag for _, _, _, flag in inside),
    )


def _people(gallery: Gallery, collection: str) -> list[tuple[str, str]]:
    return [(person.id, person.name) for person in gallery.everybody(collection)]
