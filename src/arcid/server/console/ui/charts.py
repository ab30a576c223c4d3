"""Charts of counts over time. Drawn as SVG, so that text follows the theme by CSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nicegui import ui

#: Three to one against the cards of both themes, and apart from one another without red and green.
COLOURS = ("#2f80d0", "#c77700", "#8f63d2", "#0f8f8a", "#d0483b")


class Chart:
    """Counts as stacked bars, or shares as lines; ``first``: of the colours."""

    def __init__(self, name: str, first: int, *, shares: bool) -> None:
        self._colours, self._shares = COLOURS[first:], shares
        self._chart = ui.echart({}, renderer="svg").classes("chart")
        self._chart.props["role"] = "img"
        self._chart.props["aria-label"] = name

    def visible(self, yes: bool) -> None:
        """Whether there is anything to draw."""
        self._chart.set_visibility(yes)

    def show(self, labels: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> None:
        """``labels``: of the spans; ``series``: by name, None where nothing is known."""
        kind = {"type": "line", "connectNulls": False, "symbolSize": 7} if self._shares else {
            "type": "bar", "stack": "all", "barMaxWidth": 28,
        }  # fmt: skip
        scale = {"max": 100, "axisLabel": {"formatter": "{value} %"}} if self._shares else {
            "minInterval": 1,
        }  # fmt: skip
        self._chart.options.clear()
        self._chart.options.update(
            {
                "animation": False,
                "color": list(self._colours),
                "grid": {"left": 8, "right": 8, "top": 40, "bottom": 4, "containLabel": True},
                "legend": {"top": 0, "left": 0, "icon": "roundRect"},
                "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
                "xAxis": {"type": "category", "data": list(labels),
                          "axisTick": {"show": False}, "axisLabel": {"hideOverlap": True}},
                "yAxis": {"type": "value", **scale,
                          "splitLine": {"lineStyle": {"color": "#8a94a640"}}},
                "series": [
                    {"name": name, "data": list(values), **kind}
                    for name, values in series.items()
                ],
            }
        )  # fmt: skip
        self._chart.update()


def bars(name: str, *, first: int = 0) -> Chart:
    """For counts; ``name`` is what a screen reader calls it."""
    return Chart(name, first, shares=False)


def lines(name: str) -> Chart:
    """For shares, in per cent."""
    return Chart(name, 0, shares=True)
