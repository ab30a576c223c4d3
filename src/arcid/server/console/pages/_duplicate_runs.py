"""The search for people enrolled twice: begun, watched, stopped and gone on with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from arcid.apps.duplicates import FALSE_PAIRS, Run, Runs
from arcid.gallery import Collection
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.widgets import action, button, card, element, note, say, text

REFRESH_S = 1.0


async def runs_card(
    context: ConsoleContext, current: Collection, known: list[Collection]
) -> Callable[[], object]:
    """The newest run as it is now, and what another one needs; the answer keeps it fresh, and is
    called last: a timer makes NiceGUI answer with what is there by then."""
    with card(S.DUPLICATES_RUN):
        if context.services.calibration() is None:
            note(S.NO_CALIBRATION, "warn")
            return lambda: None
        newest = element("div", "column")
        card_ = _Card(context, current, newest)
        _form(context, current, known, card_.refresh)
    await card_.refresh()
    return lambda: ui.timer(REFRESH_S, quietly(context, "duplicates")(card_.refresh))


class _Card:
    """What is shown of the newest run."""

    def __init__(self, context: ConsoleContext, current: Collection, place: ui.element) -> None:
        self._context, self._current, self._place = context, current, place
        self._shown: object = self

    async def refresh(self) -> None:
        runs = Runs(self._context.gallery)
        found = await self._context.run(runs.find, self._current.name, limit=1)
        run = next(iter(found), None)
        now = None if run is None else (run.id, run.state, run.silent, run.done, run.pairs)
        if now == self._shown:
            return
        self._shown = now
        self._place.clear()
        with self._place:
            if run is None:
                text(S.DUPLICATES_NEVER, "soft", tag="p")
            else:
                self._show(run)

    def _show(self, run: Run) -> None:
        state = S.DUPLICATES_RUN_STATES["silent" if run.silent else run.state]
        pairs = S.count(run.pairs, S.ONE_PAIR, S.MANY_PAIRS)
        words = S.DUPLICATES_PROGRESS.format(state=state, share=run.share, pairs=pairs)
        text(words, "person-name", tag="p", role="status")
        if run.state in ("waiting", "running"):
            element("progress", "wide", max="1", value=f"{run.share:.3f}", aria_label=state)
        text(run.promise.capitalize() + ".", "soft small", tag="p")
        if run.problem:
            note(run.problem, "bad")
        with element("div", "row"):
            if run.state in ("waiting", "running") and not run.silent:
                button(S.DUPLICATES_STOP, self._doing(Runs.stop, run))
            elif run.state != "done":
                button(S.DUPLICATES_GO_ON, self._doing(Runs.go_on, run))

    def _doing(
        self, call: Callable[[Runs, str, str], Run], run: Run
    ) -> Callable[..., Awaitable[None]]:
        @action(self._context, "duplicates")
        async def do() -> None:
            runs = Runs(self._context.gallery)
            await self._context.run(call, runs, self._current.name, run.id)
            self._context.services.duplicates.wake()
            await self.refresh()

        return do


def _form(
    context: ConsoleContext,
    current: Collection,
    known: list[Collection],
    begun: Callable[[], Awaitable[None]],
) -> None:
    false_pairs = ui.number(S.DUPLICATES_FALSE, value=FALSE_PAIRS, min=0)
    false_pairs.props("outlined dense").classes("wide")
    others = {"": S.DUPLICATES_WITHIN} | {c.name: c.name for c in known if c.id != current.id}
    other = ui.select(others, value="", label=S.DUPLICATES_WITH)
    other.props("outlined dense options-dense").classes("wide")
    other.set_visibility(len(others) > 1)
    since = ui.checkbox(S.DUPLICATES_SINCE).style("flex-wrap: nowrap")
    beyond = ui.checkbox(S.DUPLICATES_EXTRAPOLATE).style("flex-wrap: nowrap")

    @action(context, "duplicates")
    async def begin() -> None:
        await context.run(
            Runs(context.gallery).begin,
            current.name,
            context.services.pipeline.calibration,
            other=other.value or None,
            since_last=bool(since.value),
            false_pairs=float(false_pairs.value or 0),
            allow_extrapolation=bool(beyond.value),
            actor=context.account.name,
        )
        context.services.duplicates.wake()
        say(S.DUPLICATES_BEGUN)
        await begun()

    with element("div", "row end"):
        button(S.DUPLICATES_BEGIN, begin, kind="primary", icon="duplicates")
