"""How many events were written when: counted by the hour or by the day, for a chart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from arcid.apps.attendance.clocks import local

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Trend:
    """Counts of the spans up to now; the last one is still going on."""

    starts: tuple[datetime, ...]  # of each span, in the zone, oldest first
    hourly: bool  # else a calendar day each
    counts: dict[str, tuple[int, ...]]  # by what was counted, one a span


def starts_of(days: int, now: datetime, zone: tzinfo | None = None) -> tuple[datetime, ...]:
    """When they begin: of one day its 24 hours, of more their days; ``zone``: this machine's."""
    here = local(now, zone)
    if days == 1:
        past = timedelta(minutes=here.minute, seconds=here.second, microseconds=here.microsecond)
        hour = now.astimezone(UTC) - past
        return tuple(local(hour - HOUR * back, zone) for back in range(23, -1, -1))
    midnight = datetime.combine(here.date(), datetime.min.time(), zone)
    return tuple(local(midnight - timedelta(days=back), zone) for back in range(days - 1, -1, -1))


def trend(
    moments: Iterable[tuple[str, datetime]],
    kinds: Sequence[str],
    *,
    days: int,
    now: datetime,
    zone: tzinfo | None = None,
) -> Trend:
    """Count (kind, when) of ``kinds`` over the last ``days`` days; others are left out."""
    starts = starts_of(days, now, zone)
    counts = {kind: [0] * len(starts) for kind in kinds}
    by_day = {start.date(): index for index, start in enumerate(starts)}
    for kind, at in moments:
        if kind not in counts or at > now:
            continue
        if days == 1:
            index: int | None = (at - starts[0]) // HOUR
        else:
            index = by_day.get(local(at, zone).date())
        if index is not None and 0 <= index < len(starts):
            counts[kind][index] += 1
    return Trend(starts, days == 1, {kind: tuple(row) for kind, row in counts.items()})
