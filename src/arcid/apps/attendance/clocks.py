"""A time of day on a date, as read off a clock, also on days on which clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo

from arcid.errors import InputError
from arcid.events.records import FIRST_YEAR, LAST_YEAR


def check_day(day: date) -> date:
    """Raises ``InputError`` outside the years that sheets and events are read of."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise InputError(f"days lie between the years {FIRST_YEAR} and {LAST_YEAR}, not in "
                         f"{day.year:04d}")  # fmt: skip
    return day


def local(at: datetime, zone: tzinfo | None = None) -> datetime:
    """A time as a clock of ``zone`` shows it, by default this machine's.

    At the ends of the calendar, where that cannot be written, as it is.
    """
    try:
        return at.astimezone(zone)
    except OverflowError:
        return at


def moment(
    day: date, clock: time, zone: tzinfo | None = None, *, near: datetime | None = None
) -> datetime:
    """When a clock showed that on a day, UTC; ``zone`` defaults to this machine's.

    A time that was there twice, as clocks went back, is the one closer to ``near``, else the first.
    Raises ``InputError`` for one that was not there, as clocks went forward.
    """
    check_day(day)
    wall = datetime.combine(day, clock.replace(tzinfo=None, fold=0))
    readings = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    shown = [at for at in readings if at.astimezone(zone).replace(tzinfo=None, fold=0) == wall]
    if not shown:
        raise InputError(
            f"there was no {clock:%H:%M} on {day.isoformat()}: clocks went forward over it; "
            "give a time before or after"
        )
    return min(shown, key=lambda at: 0.0 if near is None else abs((at - near).total_seconds()))
