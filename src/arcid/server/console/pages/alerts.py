"""Alerts of watchlists: both faces, a human's answer by click or key, and taking it back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from nicegui import ui
from nicegui.element import Element

from arcid.apps.watchlists import OPEN, Alert, Alerts, Verb, Watchlists
from arcid.errors import AlertAnswered, AlertNotFound, SecondPersonNeeded
from arcid.gallery import Gallery
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._enrolled import enrolled_face
from arcid.server.console.ui.cases import (
    Answers,
    Choice,
    answer_buttons,
    answered_row,
    case_row,
    figure,
    listed,
)
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    Tone,
    action,
    button,
    card,
    data_url,
    element,
    empty,
    facts,
    note,
    say,
    text,
)

REFRESH_S = 2.0
RECENT = timedelta(minutes=2)  # an alert so old may have come while the page loaded again
SHOWN, ANSWERED = 50, 10
CHOICES: tuple[Choice[Verb], ...] = (
    Choice("acknowledge", S.ALERT_ACKNOWLEDGE, "A", "clock", S.ALERT_ACKNOWLEDGE_NAME),
    Choice("confirm", S.ALERT_CONFIRM, "Y", "check", S.ALERT_CONFIRM_NAME),
    Choice("dismiss", S.ALERT_DISMISS, "N", "cross", S.ALERT_DISMISS_NAME),
    Choice("escalate", S.ALERT_ESCALATE, "E", "warn", S.ALERT_ESCALATE_NAME),
)
ALARMS = (
    ("sound", S.ALERT_SOUND, S.ALERT_SOUND_NAME),
    ("notify", S.ALERT_NOTIFY, S.ALERT_NOTIFY_NAME),
)


async def alerts(context: ConsoleContext) -> None:
    """The newest alert, the others that wait, silent reviews, and what was answered."""
    with frame(context, S.ALERTS, "/alerts", lead=S.ALERTS_LEAD):
        with element("div", "toolbar"):
            for kind, label, name in ALARMS:
                switch = button(label, name=name)
                switch.props["data-alarm"] = kind
                switch.on("click", js_handler=f"() => alarm.turn('{kind}')")
        asleep = note(S.ALERT_ASLEEP, "warn")
        asleep.props["data-asleep"] = asleep.props["hidden"] = True
        ui.run_javascript("alarm.wake(); alarm.paint()")
        with element("div", "columns"):
            case = element("section", "card review-case", aria_live="polite")
            with element("div", "column"):
                with card(S.ALERTS_WAITING):
                    waiting = element("div", "event-list")
                with card(S.ALERTS_SILENT):
                    text(S.ALERTS_SILENT_TEXT, "soft small", tag="p")
                    silent = element("div", "event-list")
                with card(S.ALERTS_ANSWERED):
                    answered = element("div", "event-list")
        await Desk(context, case, waiting, silent, answered).open()


class Desk:
    """One page's state: which alert is looked at, and what stands beside it."""

    def __init__(
        self,
        context: ConsoleContext,
        case: Element,
        waiting: Element,
        silent: Element,
        answered: Element,
    ) -> None:
        self._context, self._case = context, case
        self._waiting, self._silent, self._answered = waiting, silent, answered
        self._alerts = Alerts(context.gallery)
        self._shown: Alert | None = None
        self._listed: list[Any] | None = None
        self._known: set[str] | None = None  # alerts that rang before

    async def open(self) -> None:
        """Show it, and keep it fresh."""
        await self._refresh()
        ui.timer(REFRESH_S, quietly(self._context, "alerts")(self._refresh))

    async def _refresh(self) -> None:
        account = self._context.account
        lists = await self._context.run(Watchlists(self._context.gallery).find)
        mine = [own.id for own in lists if own.visible_to(account.name, account.role)]
        find = partial(self._alerts.find, lists=mine)
        run = self._context.run
        loud = await run(find, states=OPEN, levels=["alert"], limit=SHOWN)
        quiet = await run(find, states=OPEN, levels=["review"], limit=SHOWN)
        done = await run(find, states=["confirmed", "dismissed"], limit=ANSWERED)
        for list_id, collection in {(o.list_id, o.collection) for o in (*loud, *quiet, *done)}:
            self._context.looked("alert.list", f"list:{list_id}", collection)
        self._ring(loud)
        now = [bool(mine), loud, quiet, done]
        if now == self._listed:
            return
        self._listed = now
        ids = {one.id: one for one in (*loud, *quiet)}
        kept = None if self._shown is None else ids.get(self._shown.id)
        if kept is None or kept != self._shown:  # else what was opened on it stays
            await self._show(kept or next(iter(ids.values()), None), some=bool(mine))
        self._list()

    def _ring(self, loud: list[Alert]) -> None:
        """Sound and notification of what is new, where this browser was asked for them; on a page
        that was just opened, of what nobody has answered in the last minutes."""
        if self._known is None:
            since = datetime.now(UTC) - RECENT
            fresh = [one for one in loud if one.state == "new" and one.raised_at >= since]
        else:
            fresh = [one for one in loud if one.id not in self._known]
        self._known = {one.id for one in loud}
        if fresh:
            title = json.dumps(S.ALERT_RING.format(list=fresh[0].list_name))
            words = json.dumps(S.ALERT_RING_TEXT.format(camera=fresh[0].camera))
            ui.run_javascript(f"alarm.ring({title}, {words})")

    def _list(self) -> None:
        _, loud, quiet, done = self._listed or [False, [], [], []]
        for place, found in ((self._waiting, loud), (self._silent, quiet)):
            listed(place, found, S.ALERTS_NONE_SHORT, self._line)
            if found and found.next is not None:
                with place:
                    text(S.EVENTS_MORE.format(n=len(found)), "soft small", tag="p")
        listed(self._answered, done, S.ALERTS_NOT_ANSWERED, self._done_line)

    def _line(self, one: Alert) -> None:
        @action(self._context, "alerts")
        async def choose() -> None:
            await self._show(one)
            self._list()

        current = self._shown is not None and one.id == self._shown.id
        words = f"{_where(one)} · {_state(one)}"
        title = S.ALERT_LINE.format(name=one.name)
        tone: Tone = "bad" if one.state == "new" else "info"
        case_row(choose, title, words, current=current, tone=tone)

    def _done_line(self, one: Alert) -> None:
        words = f"{_where(one)} · {_state(one)}"
        answered_row(one.name, words, self._undo(one), f"{one.name}, {_where(one)}")

    async def _show(self, one: Alert | None, *, some: bool = True) -> None:
        self._shown = one
        if one is None:
            self._case.clear()
            with self._case:
                if some:
                    empty("alerts", S.ALERTS_NONE, S.ALERTS_NONE_TEXT)
                else:
                    empty("alerts", S.ALERTS_NO_LIST, S.ALERTS_NO_LIST_TEXT)
            return
        seen, enrolled = await self._context.run(_pictures, self._context.gallery, one)
        self._context.looked("alert.view", f"alert:{one.id}", one.collection)
        if self._shown is not one:
            return  # another was turned to meanwhile
        self._case.clear()
        with self._case:
            with element("div", "review-faces"):
                figure(seen, "?", S.ALERT_SEEN)
                figure(enrolled, one.name, S.ALERT_ENROLLED.format(name=one.name))
            text(S.ALERT_QUESTION.format(name=one.name), "answer-words", tag="h2")
            text(_where(one), "soft", tag="p")
            if one.waits_for_second:
                note(S.ALERT_SECOND.format(name=one.confirmed_by[0]), "warn")
            with Answers(one.id):
                give = partial(self._answer, one)
                answer_buttons(CHOICES, give, primary="confirm", name=one.name)
            with element("details", "candidates"):
                text(S.ALERT_DETAILS, tag="summary")
                facts(_grounds(one))

    async def _answer(self, one: Alert, verb: Verb) -> None:
        @action(self._context, "alerts")
        async def give() -> None:
            try:
                done = await self._context.run(
                    self._alerts.answer, one.id, verb, actor=self._context.account.name
                )
                first = verb == "confirm" and done.waits_for_second
                words = S.ALERT_FIRST if first else S.ALERT_DONE[verb].format(name=one.name)
                say(words)
            except (AlertAnswered, AlertNotFound, SecondPersonNeeded) as error:
                say(error.message, "warn")
            await self._refresh()

        await give()

    def _undo(self, one: Alert) -> Callable[[], Awaitable[None]]:
        @action(self._context, "alerts")
        async def undo() -> None:
            await self._context.run(self._alerts.undo, one.id, actor=self._context.account.name)
            say(S.ALERT_UNDONE)
            await self._refresh()

        return undo


def _pictures(gallery: Gallery, one: Alert) -> tuple[str | None, str | None]:
    """The face that was seen and the enrolled one, where pictures are kept."""
    trace = Alerts(gallery).face(one.id)
    seen = None if trace is None or trace.crop is None else data_url(trace.crop)
    collection = gallery.collection(one.collection)
    nearest = one.to_dict()["face_id"]
    enrolled = enrolled_face(gallery, collection, one.person_id, nearest)
    return seen, None if enrolled is None else data_url(enrolled)


def _where(one: Alert) -> str:
    return S.ALERT_WHERE.format(list=one.list_name, camera=one.camera, time=S.moment(one.at))


def _state(one: Alert) -> str:
    last = next((step for step in reversed(one.steps) if step.undone_by is None), None)
    state = S.ALERT_STATES[one.state]
    return state if last is None else S.ALERT_BY.format(state=state, name=last.who)


def _grounds(one: Alert) -> list[tuple[str, str]]:
    rows = [
        (S.ALERT_LATENCY, S.ALERT_LATENCY_S.format(s=one.latency_ms / 1000)),
        (S.ALERT_SIGHTINGS, S.count(one.sightings, S.ALERT_ONCE, S.ALERT_TIMES)),
    ]
    if reason := one.grounds.get("reason"):
        rows.insert(0, (S.ALERT_WHY, str(reason)))
    return rows
