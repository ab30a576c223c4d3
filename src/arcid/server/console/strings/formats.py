"""Numbers, spans and moments in words."""

from __future__ import annotations

from datetime import datetime

from arcid.apps.attendance import clocks


def count(n: int, one: str, many: str) -> str:
    """ "1 face" or "3 faces"."""
    return one if n == 1 else many.format(n=n)


def sentence(words: str) -> str:
    """With a capital and a full stop."""
    return f"{words[0].upper()}{words[1:]}."


def duration(seconds: float) -> str:
    """In the largest unit that fits."""
    for size, one, many in (
        (86400, "day", "days"),
        (3600, "hour", "hours"),
        (60, "minute", "minutes"),
    ):
        if seconds >= size * 1.5 or (size == 60 and seconds >= 60):
            n = round(seconds / size)
            return f"{n} {one if n == 1 else many}"
    n = max(1, round(seconds))
    return f"{n} {'second' if n == 1 else 'seconds'}"


def day(moment: datetime) -> str:
    """As on a calendar, where the service runs."""
    local = clocks.local(moment)
    return f"{local.day} {local:%b %Y}"


def moment(value: datetime) -> str:
    """Day and time."""
    return f"{day(value)}, {clocks.local(value):%H:%M}"


def percent(share: float) -> str:
    """0.973 → 97.3 %; never rounded up to certainty."""
    if share >= 0.9995:
        return "over 99.9 %"
    if share <= 0.0005:
        return "under 0.1 %"
    return f"{share:.1%}".replace("%", " %")


def rate(share: float) -> str:
    """1e-4 → 1 in 10,000."""
    return f"1 in {1 / share:,.0f}" if share < 0.02 else percent(share)


def bytes_(n: float) -> str:
    """In the unit that fits."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            return f"{n:,.0f} {unit}" if unit == "bytes" else f"{n:,.1f} {unit}"
        n /= 1024
    return ""
