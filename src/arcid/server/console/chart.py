"""Line charts as inline SVG; colours come from the style sheet, so they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 430, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 46


class Line(NamedTuple):
    """One curve; ``role`` is its class in the style sheet."""

    label: str
    role: str
    points: Sequence[tuple[float, float]]


def lines(
    title: str,
    curves: Sequence[Line],
    x_label: str,
    x_range: tuple[float, float],
    *,
    lowest: float | None = None,
    mark: tuple[float, str] | None = None,
) -> str:
    """A chart of shares 0–1 over x; ``lowest`` given: a logarithmic scale from there up."""

    def across(x: float) -> float:
        low, high = x_range
        share = (min(max(x, low), high) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        share = y
        if lowest is not None:
            share = 1 - math.log10(max(y, lowest)) / math.log10(lowest)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    for value, label in _shares(lowest):
        y = up(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for tick in range(math.ceil(x_range[0] * 2.5), math.floor(x_range[1] * 2.5) + 1):
        x = across(tick / 2.5)
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
            f"{tick / 2.5:.1f}</text>"
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 4}" text-anchor="middle" '
        f'class="axis">{escape(x_label)}</text>'
    )
    if mark is not None:
        x = across(mark[0])
        parts.append(f'<path class="mark" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        beside = TOP + 0.42 * (HEIGHT - TOP - BOTTOM)
        parts.append(
            f'<text x="{x + 6:.1f}" y="{beside:.1f}" class="mark">{escape(mark[1])}</text>'
        )
    for curve in curves:
        inside = [p for p in curve.points if x_range[0] <= p[0] <= x_range[1]]
        if lowest is not None:
            inside = [p for p in inside if p[1] >= lowest]
        if inside:
            path = "L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in inside)
            parts.append(f'<path class="curve {curve.role}" d="M{path}"/>')
    parts.append("</svg>")
    legend = "".join(
        f'<span><i class="{curve.role}"></i>{escape(curve.label)}</span>' for curve in curves
    )
    return f'<div class="chart-box">{"".join(parts)}<p class="legend">{legend}</p></div>'


def _shares(lowest: float | None) -> list[tuple[float, str]]:
    if lowest is None:
        return [(step / 4, f"{step * 25} %") for step in range(5)]
    decades = range(round(-math.log10(lowest)) + 1)
    names = {0: "100 %", 1: "10 %", 2: "1 %", 3: "0.1 %"}
    return [(10.0**-d, names.get(d, f"1e-{d}")) for d in decades]
