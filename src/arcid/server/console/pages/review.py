"""Doubtful faces that wait for a human: one at a time, by click or key, and taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from nicegui import ui
from nicegui.element import Element

from arcid.errors import EventNotFound, ReviewAnswered
from arcid.events import Candidate, Events, Review, Reviews, Verdict
from arcid.gallery import Collection, Gallery, Page
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import chosen, first_collection, selector
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
    action,
    card,
    data_url,
    element,
    empty,
    facts,
    link_button,
    say,
    text,
)

REFRESH_S = 5.0
SHOWN = 50  # of those waiting
ANSWERED = 10  # newest, to be taken back

CHOICES: tuple[Choice[Verdict], ...] = (
    Choice("yes", S.REVIEW_YES, "Y", "check", S.REVIEW_YES_NAME),
    Choice("not_person", S.REVIEW_NOT_PERSON, "N", "cross", S.REVIEW_NOT_PERSON_NAME),
    Choice("no", S.REVIEW_NO, "U", "unknowns", S.REVIEW_NO_NAME),
)


async def review(context: ConsoleContext, collection: str | None = None) -> None:
    """The newest doubtful face, the others that wait, and what was answered."""
    current, known = await chosen(context, collection)
    with frame(context, S.REVIEW, "/review", lead=S.REVIEW_LEAD):
        if current is None:
            first_collection(context)
            return
        with element("div", "toolbar"):
            selector("/review", current, known)
            others = element("div", "row")
        with element("div", "columns"):
            case = element("section", "card review-case", aria_live="polite")
            with element("div", "column"):
                with card(S.REVIEW_WAITING):
                    waiting = element("div", "event-list")
                with card(S.REVIEW_ANSWERED):
                    answered = element("div", "event-list")
        await Desk(context, current, known, case, waiting, answered, others).open()


class Desk:
    """One page's state: which case is looked at, and what stands beside it."""

    def __init__(
        self,
        context: ConsoleContext,
        current: Collection,
        known: list[Collection],
        case: Element,
        waiting: Element,
        answered: Element,
        others: Element,
    ) -> None:
        self._context, self._current, self._known = context, current, known
        self._case, self._waiting, self._answered, self._others = case, waiting, answered, others
        self._shown: Review | None = None
        self._listed: list[Any] = []
        self._open: Page[Review] = Page([], None)

    async def open(self) -> None:
        """Show it, and keep it fresh."""
        await self._refresh()
        ui.timer(REFRESH_S, quietly(self._context, "review")(self._refresh))

    async def _refresh(self) -> None:
        queue, name = Reviews(self._context.gallery), self._current.name
        self._open = await self._context.run(queue.find, name, limit=SHOWN)
        done = await self._context.run(
            queue.find, name, states=("yes", "no", "withdrawn"), limit=ANSWERED
        )
        elsewhere = [
            (other.name, await self._context.run(queue.waiting, other.name))
            for other in self._known
            if other.name != name
        ]
        now = [self._open, done, elsewhere]
        if now == self._listed:
            return
        self._listed = now
        self._others.clear()
        with self._others:
            for other, count in elsewhere:
                if count:
                    where = f"{ROOT}/review?collection={quote(other)}"
                    link_button(S.REVIEW_ELSEWHERE.format(n=count, collection=other), where)
        ids = {one.id: one for one in self._open}
        kept = ids.get(self._shown.id) if self._shown is not None else None
        if kept is None or kept != self._shown:  # else what was opened on it stays
            await self._show(kept or next(iter(self._open), None))
        self._list(done)

    def _list(self, done: list[Review]) -> None:
        listed(self._waiting, self._open, S.REVIEW_NONE_SHORT, self._line)
        if self._open.next is not None:
            with self._waiting:
                text(S.EVENTS_MORE.format(n=len(self._open)), "soft small", tag="p")
        listed(self._answered, done, S.REVIEW_NOT_ANSWERED, self._done_line)

    def _line(self, one: Review) -> None:
        @action(self._context, "review")
        async def choose() -> None:
            await self._show(one)
            self._list(self._listed[1])

        names = S.REVIEW_OR.join(c.name for c in one.open_candidates)
        current = self._shown is not None and one.id == self._shown.id
        case_row(choose, S.REVIEW_PERHAPS.format(names=names), _when(one), current=current)

    def _done_line(self, one: Review) -> None:
        standing = one.answer_id is not None and one.state != "withdrawn"
        by = S.REVIEW_BY.format(name=one.actor or "")
        undo = self._undo(one) if standing else None
        what = f"{_answer(one)}, {_when(one)}"
        answered_row(_answer(one), f"{_when(one)} · {by}", undo, what)

    async def _show(self, one: Review | None) -> None:
        self._shown = one
        if one is None:
            self._case.clear()
            with self._case:
                empty("review", S.REVIEW_NONE, S.REVIEW_NONE_TEXT)
            return
        asked = next(iter(one.open_candidates), None)
        probe, enrolled = await self._context.run(
            _pictures, self._context.gallery, self._current, one, asked
        )
        self._context.looked("review.view", f"event:{one.id}", self._current.name)
        if self._shown is not one:
            return  # another was turned to meanwhile
        self._case.clear()
        with self._case:
            with element("div", "review-faces"):
                figure(probe, "?", S.REVIEW_SEEN)
                if asked is not None:
                    figure(enrolled, asked.name, S.REVIEW_ENROLLED.format(name=asked.name))
            name = "" if asked is None else asked.name
            text(S.REVIEW_QUESTION.format(name=name), "answer-words", tag="h2")
            text(_when(one), "soft", tag="p")
            if len(one.open_candidates) > 1:
                more = ", ".join(c.name for c in one.open_candidates[1:])
                text(S.REVIEW_NEXT.format(names=more), "soft small", tag="p")
            with Answers(f"{one.id} {asked and asked.person_id}"):
                give = partial(self._answer, one, asked)
                answer_buttons(CHOICES, give, primary="yes", name=name)
            with element("details", "candidates"):
                text(S.REVIEW_DETAILS, tag="summary")
                facts(_grounds(one))

    async def _answer(self, one: Review, asked: Candidate | None, verdict: Verdict) -> None:
        @action(self._context, "review")
        async def give() -> None:
            person = None if verdict == "no" or asked is None else asked.person_id
            try:
                done = await self._context.run(
                    Reviews(self._context.gallery).answer,
                    self._current.name,
                    one.id,
                    verdict,
                    actor=self._context.account.name,
                    person_id=person,
                )
                say(_said(done, asked, verdict))
            except (ReviewAnswered, EventNotFound) as error:
                say(error.message, "warn")
            await self._refresh()

        await give()

    def _undo(self, one: Review) -> Callable[[], Awaitable[None]]:
        @action(self._context, "review")
        async def undo() -> None:
            try:
                await self._context.run(
                    Reviews(self._context.gallery).undo,
                    self._current.name,
                    one.id,
                    actor=self._context.account.name,
                    answer_id=one.answer_id,
                )
                say(S.REVIEW_UNDONE)
            except (ReviewAnswered, EventNotFound) as error:
                say(error.message, "warn")
            await self._refresh()

        return undo


def _pictures(
    gallery: Gallery, collection: Collection, one: Review, asked: Candidate | None
) -> tuple[str | None, str | None]:
    """The face in doubt and the one enrolled that is nearest, where pictures are kept."""
    trace = Events(gallery).trace(collection.name, one.id)
    probe = None if trace is None or trace.crop is None else data_url(trace.crop)
    enrolled = None
    if asked is not None:
        enrolled = enrolled_face(gallery, collection, asked.person_id, asked.face_id)
    return probe, None if enrolled is None else data_url(enrolled)


def _when(one: Review) -> str:
    camera = one.event.camera or S.EVENT_BY_HAND
    return S.EVENT_AT.format(time=S.moment(one.event.at), camera=camera)


def _answer(one: Review) -> str:
    if one.state == "yes":
        return one.name or S.REVIEW_DELETED
    return S.REVIEW_STATES[one.state]


def _said(done: Review, asked: Candidate | None, verdict: Verdict) -> str:
    name = "" if asked is None else asked.name
    if verdict == "yes":
        return S.REVIEW_YES_DONE.format(name=name)
    return S.REVIEW_NO_DONE if done.state == "no" else S.REVIEW_NOT_DONE.format(name=name)


def _grounds(one: Review) -> list[tuple[str, str]]:
    rows = [(c.name, S.REVIEW_COSINE.format(cosine=c.cosine)) for c in one.candidates]
    if reason := one.event.grounds.get("reason"):
        rows.insert(0, (S.REVIEW_WHY, str(reason)))
    return rows
