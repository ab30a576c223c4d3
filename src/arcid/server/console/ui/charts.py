"""Charts of counts over time. Drawn as SVG, so that text follows the theme by CSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nicegui import ui

#: Three to one against the cards of both themes, and apart from one another without red and green.
COLOURS = ("#2f80d0", "#c77700", "#8f63d2", "#0f8f8a", "#d0483b")


class Bars:
    """Bars a span, stacked; ``first``: with which of the colours they begin."""

    def __init__(self, name: str, first: int) -> None:
        self._colours = COLOURS[first:]
        self._chart = ui.echart({}, renderer="svg").classes("chart")
        self._chart.props["role"] = "img"
        self._chart.props["aria-label"] = name

    def show(self, labels: Sequence[str], series: Mapping[str, Sequence[int]]) -> None:
        """``labels``: of the spans; ``series``: counts by name."""
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
                "yAxis": {"type": "value", "minInterval": 1,
                          "splitLine": {"lineStyle": {"color": "#8a94a640"}}},
                "series": [
                    {"name": name, "type": "bar", "stack": "all", "barMaxWidth": 28,
                     "data": list(counts)}
                    for name, counts in series.items()
                ],
            }
        )  # fmt: skip
        self._chart.update()


def bars(name: str, *, first: int = 0) -> Bars:
    """An empty chart; ``name`` is what a screen reader calls it."""
    return Bars(name, first)
