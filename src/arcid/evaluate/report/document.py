"""What a report is made of, whatever writes it down: cards, figures, tables, pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arcid.evaluate.metrics import Rate

Pictures = Callable[[str], bytes | None]  # photo name → encoded picture, None where there is none

NOTHING = "There are too few comparisons to state any of these."


@dataclass(frozen=True)
class Card:
    """One number to see first."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A plot, what it says in words, and its numbers."""

    title: str
    svg: str
    caption: str
    table: Table | None = None


@dataclass(frozen=True)
class PicturePair:
    """Two photos to look at side by side; names as in the data set."""

    first: str
    second: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pairs of pictures under one heading."""

    title: str
    note: str
    pairs: Sequence[PicturePair]


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    lede: str
    cards: Sequence[Card] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    galleries: Sequence[Gallery] = ()
    warnings: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)  # provenance
    failed: Sequence[tuple[str, str]] = ()  # (photo, why)
    failed_by_reason: Mapping[str, int] = field(default_factory=dict)  # error code → photos


def share(value: float | None) -> str:
    """A fraction in per cent, with the digits it deserves; small ones as 1.2e-5."""
    if value is None or not math.isfinite(value):
        return "–"
    if value in (0, 1):
        return f"{100 * value:.0f} %"
    if abs(value) < 1e-4:
        return f"{value:.1e}".replace("e-0", "e-")
    if abs(value) < 1e-2 or 0.999 < value < 1:
        return f"{100 * value:.3f} %"
    return f"{100 * value:.2f} %"


def interval(low: float, high: float) -> str:
    return f"{share(low)} – {share(high)}"


def rate(found: Rate | Mapping[str, Any]) -> tuple[str, str, str]:
    """(value, 95 % interval, count of trials) in words; takes a ``Rate`` or its dict."""
    data = found.to_dict() if isinstance(found, Rate) else found
    return (
        share(data["value"]),
        interval(data["low"], data["high"]),
        f"{data['count']:,} of {data['trials']:,}",
    )


_SUPPORT = {
    "weak": " · weak: its threshold rests on 3 to 30 errors",
    "unsupported": " · not supported: its threshold rests on fewer than 3 errors",
}


def rate_card(label: str, found: Rate | Mapping[str, Any]) -> Card:
    value, between, counts = rate(found)
    support = found.support if isinstance(found, Rate) else found.get("support", "measured")
    return Card(label, value, f"{between} · {counts}{_SUPPORT.get(support, '')}")


def number(value: float | None, digits: int = 3) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}"


def cosine(value: float) -> str:
    return "failed" if value == -math.inf else f"{value:.3f}"
