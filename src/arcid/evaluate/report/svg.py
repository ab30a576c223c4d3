"""A small SVG writer: axes (linear, log, normal-deviate), lines, bands, bars, marks.

Plots are strings to stand inside an HTML page, whose style sheet gives every role its colour in
light and in dark (``html.STYLE``). A plot carries its title and description for screen readers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

Role = Literal["genuine", "impostor", "neutral", "third", "fourth"]
WIDTH, HEIGHT = 420, 290
LEFT, RIGHT, TOP, BOTTOM = 68, 14, 12, 44
CHARACTER = 6.3  # mean width of a letter at the plots' size
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Axis:
    """A scale with its ticks; values beyond ``low`` … ``high`` are cut off."""

    label: str
    low: float
    high: float
    kind: Literal["linear", "log", "probit"] = "linear"
    ticks: tuple[tuple[float, str], ...] = ()

    def place(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Values as shares 0–1 of the axis, cut off at its ends."""
        v = np.clip(np.asarray(values, np.float64), self.low, self.high)
        low, high = self._map(np.array([self.low, self.high]))
        return np.asarray((self._map(v) - low) / (high - low), np.float64)

    def _map(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self.kind == "log":
            return np.log10(values)
        if self.kind == "probit":
            flat = [_NORMAL.inv_cdf(float(v)) for v in values.ravel()]
            return np.array(flat).reshape(values.shape)
        return values


def linear(label: str, low: float, high: float, *, share: bool = False) -> Axis:
    """About six round ticks; ``share`` writes them in per cent."""
    if not high > low:
        high = low + 1.0
    step = _round_step((high - low) / 6)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    values = [round((first + i) * step, 10) for i in range(count)]
    scale, unit = (100.0, " %") if share else (1.0, "")
    digits = next(d for d in range(12) if abs(round(step * scale, d) - step * scale) < 1e-9)
    return Axis(
        label, low, high, "linear", tuple((v, f"{v * scale:.{digits}f}{unit}") for v in values)
    )


def logarithmic(label: str, low: float, high: float, *, rate: bool = True) -> Axis:
    """A tick a decade; ``rate`` writes them as shares (1 %, 0.1 %, 1e-4), else as counts."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, math.ceil((last - first + 1) / 7))
    values = [10.0**e for e in range(first, last + 1, every)]
    if len(values) < 3:  # 1, 2 and 5 of each decade
        near = [m * 10.0**e for e in range(first - 1, last + 1) for m in (1, 2, 5)]
        values = [v for v in near if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
    write = rate_tick if rate else count_tick
    return Axis(label, low, high, "log", tuple((v, write(v)) for v in values))


def signed(label: str, low: float, high: float) -> Axis:
    """For differences: zero in the middle, in per cent."""
    reach = max(abs(low), abs(high), 1e-4) * 1.1
    return linear(label, -reach, reach, share=True)


def probit(label: str, low: float, high: float) -> Axis:
    """Normal-deviate scale of DET plots, between two rates inside 0–1."""
    wanted = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
    ticks = tuple((v, rate_tick(v)) for v in wanted if low <= v <= high)
    return Axis(label, low, high, "probit", ticks)


def rate_tick(value: float) -> str:
    """1 %, 0.1 %, 1e-4 …"""
    if value < 9.99e-4:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value * 100:g} %"


def count_tick(value: float) -> str:
    """1, 10, 1 K, 1 M."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " K")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _round_step(rough: float) -> float:
    base = 10.0 ** math.floor(math.log10(rough))
    return next(base * m for m in (1, 2, 2.5, 5, 10) if base * m >= rough * 0.999)


@dataclass
class Plot:
    """Collects marks in the order they are drawn; ``svg()`` writes them."""

    title: str
    description: str
    x: Axis
    y: Axis
    _marks: list[str] = field(default_factory=list)
    _over: list[str] = field(default_factory=list)
    _legend: list[tuple[str, str, str]] = field(default_factory=list)
    _labels: list[tuple[float, str]] = field(default_factory=list)

    def line(
        self,
        xs: npt.ArrayLike,
        ys: npt.ArrayLike,
        role: Role,
        name: str = "",
        *,
        dashed: bool = False,
        step: bool = False,
    ) -> None:
        """A line through the finite points; ``step`` holds each value until the next."""
        px, py = self._at(xs, ys)
        if step and len(px):
            px, py = np.repeat(px, 2)[1:], np.repeat(py, 2)[:-1]
        extra = " dash" if dashed else ""
        if len(px):
            self._marks.append(f'<path class="line {role}{extra}" d="{_path(px, py)}"/>')
        if name:
            self._legend.append((role, extra, name))

    def band(self, xs: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, role: Role) -> None:
        """A shaded interval about a line."""
        x, lo, hi = (np.asarray(v, np.float64) for v in (xs, low, high))
        good = np.isfinite(x) & np.isfinite(lo) & np.isfinite(hi)
        if good.sum() < 2:
            return
        px, top = self._at(x[good], hi[good])
        _, bottom = self._at(x[good], lo[good])
        outline = _path(np.append(px, px[::-1]), np.append(top, bottom[::-1]))
        self._marks.append(f'<path class="band {role}" d="{outline}Z"/>')

    def area(
        self, edges: npt.ArrayLike, heights: npt.ArrayLike, role: Role, name: str = ""
    ) -> None:
        """A histogram: N+1 edges, N heights, drawn as one filled outline."""
        e, h = np.asarray(edges, np.float64), np.asarray(heights, np.float64)
        xs, ys = np.repeat(e, 2)[1:-1], np.repeat(h, 2)
        px, py = self._at(xs, ys)
        ground = self._y(np.array([self.y.low]))[0]
        body = _path(
            np.concatenate([px[:1], px, px[-1:]]), np.concatenate([[ground], py, [ground]])
        )
        self._marks.append(f'<path class="area {role}" d="{body}Z"/>')
        self._marks.append(f'<path class="line {role}" d="{_path(px, py)}"/>')
        if name:
            self._legend.append((role, " block", name))

    def point(
        self,
        x: float,
        y: float,
        role: Role,
        *,
        low: float | None = None,
        high: float | None = None,
        along: Literal["x", "y"] = "y",
        note: str = "",
    ) -> None:
        """A dot with an optional interval whisker and a tooltip."""
        (px,), (py,) = self._at([x], [y])
        parts = []
        if low is not None and high is not None:
            pair: tuple[Iterable[float], Iterable[float]]
            pair = ([low, high], [y, y]) if along == "x" else ([x, x], [low, high])
            wx, wy = self._at(*pair)
            parts.append(f'<path class="line {role}" d="{_path(wx, wy)}"/>')
        tip = f"<title>{escape(note)}</title>" if note else ""
        parts.append(
            f'<circle class="dot {role}" cx="{px:.1f}" cy="{py:.1f}" r="3.5">{tip}</circle>'
        )
        self._over += parts

    def vertical(self, x: float, label: str) -> None:
        """A threshold: a dashed line over the whole height with its label at the top."""
        if self.x.low <= x <= self.x.high:
            self._labels.append((float(x), label))

    def diagonal(self) -> None:
        """Where both axes are equal."""
        low, high = max(self.x.low, self.y.low), min(self.x.high, self.y.high)
        px, py = self._at([low, high], [low, high])
        self._marks.append(f'<path class="guide" d="{_path(px, py)}"/>')

    def svg(self) -> str:
        """The plot as an ``<svg>`` element."""
        legend, top = self._draw_legend()
        shift = top - TOP
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT + shift:.0f}" role="img" '
            f'aria-label="{escape(self.title)}: {escape(self.description)}">',
            f"<title>{escape(self.title)}</title><desc>{escape(self.description)}</desc>",
            legend,
            f'<g transform="translate(0 {shift:.0f})">',
            self._draw_axes(),
            *self._marks,
            self._draw_verticals(),
            *self._over,
            "</g></svg>",
        ]
        return "".join(parts)

    def _x(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return LEFT + self.x.place(values) * (WIDTH - LEFT - RIGHT)

    def _y(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return HEIGHT - BOTTOM - self.y.place(values) * (HEIGHT - TOP - BOTTOM)

    def _at(
        self, xs: npt.ArrayLike, ys: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        x, y = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
        good = np.isfinite(x) & np.isfinite(y)
        return self._x(x[good]), self._y(y[good])

    def _draw_axes(self) -> str:
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        parts = []
        for value, label in self.x.ticks:
            at = self._x([value])[0]
            parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{bottom}"/>')
            parts.append(_text(at, bottom + 16, label, "middle"))
        for value, label in self.y.ticks:
            at = self._y([value])[0]
            parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{right}"/>')
            parts.append(_text(LEFT - 6, at + 4, label, "end"))
        parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
        middle = (LEFT + right) / 2
        parts.append(_text(middle, HEIGHT - 6, self.x.label, "middle", "name"))
        parts.append(
            f'<text class="name" text-anchor="middle" transform="translate(11 '
            f'{(TOP + bottom) / 2:.0f}) rotate(-90)">{escape(self.y.label)}</text>'
        )
        return "".join(parts)

    def _draw_legend(self) -> tuple[str, float]:
        parts: list[str] = []
        x, y = float(LEFT), 14.0
        for role, extra, name in self._legend:
            width = 24 + CHARACTER * len(name)
            if x > LEFT and x + width > WIDTH:
                x, y = float(LEFT), y + 18
            if extra == " block":
                parts.append(
                    f'<rect class="swatch {role}" x="{x}" y="{y - 9}" width="14" height="10"/>'
                )
            else:
                parts.append(f'<path class="line {role}{extra}" d="M{x} {y - 4}h14"/>')
            parts.append(_text(x + 19, y, name, "start"))
            x += width + 10
        return "".join(parts), y + TOP if self._legend else float(TOP)

    def _draw_verticals(self) -> str:
        parts = []
        taken: list[tuple[float, float, int]] = []
        for x, label in sorted(self._labels):
            at = float(self._x([x])[0])
            width = CHARACTER * len(label)
            left = at + 4 if at + 4 + width < WIDTH else at - 4 - width
            row = next(
                r
                for r in range(len(self._labels) + 1)
                if all(
                    r != other or left > end + 4 or left + width < start - 4
                    for start, end, other in taken
                )
            )
            taken.append((left, left + width, row))
            parts.append(f'<path class="mark" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
            parts.append(_text(left, TOP + 11 + 14 * row, label, "start", "halo"))
        return "".join(parts)


def forest(
    title: str,
    description: str,
    rows: Sequence[tuple[str, float, float, float, str]],
    label: str,
    *,
    role: Role = "impostor",
    axis: Callable[[str, float, float], Axis] | None = None,
) -> str:
    """One line a row: name, value, low, high and a tooltip; for rates of groups side by side."""
    finite = [v for _, value, low, high, _ in rows for v in (value, low, high) if math.isfinite(v)]
    if axis is None:
        positive = [v for v in finite if v > 0]
        top = max(positive, default=1.0)
        floor = min(positive, default=top / 10) / 2
        scale = logarithmic(label, floor, min(top * 2, 1.0) if top < 1 else top * 2)
    else:
        scale = axis(label, min(finite, default=0.0), max(finite, default=1.0))
    longest = min(150.0, max((7.5 * len(name) for name, *_ in rows), default=40) + 12)
    line, head = 24, 8
    height = head + line * len(rows) + 40
    width = WIDTH - longest - 16

    def at(value: float) -> float:
        return float(longest + scale.place(max(value, scale.low)) * width)

    bottom = head + line * len(rows)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}: '
        f'{escape(description)}"><title>{escape(title)}</title><desc>{escape(description)}</desc>'
    ]
    for value, text in scale.ticks:
        parts.append(f'<path class="grid" d="M{at(value):.1f} {head}V{bottom}"/>')
        parts.append(_text(at(value), bottom + 15, text, "middle"))
    for i, (name, value, low, high, note) in enumerate(rows):
        y = head + line * (i + 0.5)
        parts.append(_text(longest - 8, y + 4, name[:22], "end"))
        if not math.isfinite(value):
            parts.append(_text(longest + 6, y + 4, note or "too few to state", "start"))
            continue
        if math.isfinite(low) and math.isfinite(high):
            parts.append(f'<path class="line {role}" d="M{at(low):.1f} {y}H{at(high):.1f}"/>')
        parts.append(
            f'<circle class="dot {role}" cx="{at(value):.1f}" cy="{y}" r="4">'
            f"<title>{escape(note)}</title></circle>"
        )
    if scale.low < 0 < scale.high:
        parts.append(f'<path class="mark" d="M{at(0.0):.1f} {head}V{bottom}"/>')
    parts.append(f'<path class="axis" d="M{longest:.0f} {bottom}H{WIDTH - 16}"/>')
    parts.append(_text((longest + WIDTH - 16) / 2, height - 6, label, "middle", "name"))
    return "".join([*parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _path(xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]) -> str:
    points = np.round(np.stack([xs, ys], axis=1), 1)
    if len(points) > 2:  # points that do not move the pen
        moved = np.append(True, np.any(points[1:] != points[:-1], axis=1))
        points = points[moved]
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
