"""Who is enrolled twice: two faces at a time, by click or key, and every answer taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from nicegui import ui
from nicegui.element import Element

from arcid.apps.duplicates import VIEW, Answer, Duplicates, Pair, Verdict
from arcid.errors import NotFound, ReviewAnswered, SamePhotoConflict
from arcid.gallery import Collection
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import chosen, first_collection, selector
from arcid.server.console.pages._duplicate_runs import runs_card
from arcid.server.console.pages._duplicate_sides import figure, picture_of
from arcid.server.console.pages._unmerge import take_back
from arcid.server.console.pages.duplicates_export import exports_card
from arcid.server.console.ui.cases import (
    Answers,
    Choice,
    answer_buttons,
    answered_row,
    case_row,
    listed,
)
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    card,
    element,
    empty,
    facts,
    note,
    say,
    text,
)

REFRESH_S = 5.0
SHOWN = 50  # of those waiting
ANSWERED = 10  # newest, to be taken back
GROUPS, GROUPED = 20, 1000  # groups shown, of so many pairs at most
CHOICES: tuple[Choice[Verdict], ...] = (
    Choice("same", S.DUPLICATES_SAME, "S", "merge", S.DUPLICATES_SAME_NAME),
    Choice("different", S.DUPLICATES_DIFFERENT, "D", "cross", S.DUPLICATES_DIFFERENT_NAME),
    Choice("lookalike", S.DUPLICATES_LOOKALIKE, "L", "people", S.DUPLICATES_LOOKALIKE_NAME),
    Choice("unsure", S.DUPLICATES_UNSURE, "U", "unknowns", S.DUPLICATES_UNSURE_NAME),
)


async def duplicates(context: ConsoleContext, collection: str | None = None) -> None:
    """The most probable pair, the others that wait, what was answered, and searching anew."""
    current, known = await chosen(context, collection)
    with frame(context, S.DUPLICATES, "/duplicates", lead=S.DUPLICATES_LEAD):
        if current is None:
            first_collection(context)
            return
        context.looked(VIEW, "duplicates:list", current.name)
        with element("div", "toolbar"):
            selector("/duplicates", current, known)
        with element("div", "columns"):
            case = element("section", "card review-case", aria_live="polite")
            with element("div", "column"):
                follow = await runs_card(context, current, known)
                with card(S.DUPLICATES_WAITING):
                    waiting = element("div", "event-list")
                with card(S.DUPLICATES_ANSWERED):
                    answered = element("div", "event-list")
                with card(S.DUPLICATES_GROUPS):
                    groups = element("div", "event-list")
                exports_card(current)
        await Desk(context, current, case, waiting, answered, groups).open()
        follow()


class Desk:
    """One page's state: which pair is looked at, and what stands beside it."""

    def __init__(
        self,
        context: ConsoleContext,
        current: Collection,
        case: Element,
        waiting: Element,
        answered: Element,
        groups: Element,
    ) -> None:
        self._context, self._current = context, current
        self._case, self._waiting, self._answered = case, waiting, answered
        self._groups = groups
        self._shown: Pair | None = None
        self._keep: tuple[str, ui.radio | None] = "", None  # the pair, and whose name is kept
        self._open: list[Pair] = []
        self._listed: list[Any] = []

    async def open(self) -> None:
        """Show it, and keep it fresh."""
        await self._refresh()
        ui.timer(REFRESH_S, quietly(self._context, "duplicates")(self._refresh))

    async def _refresh(self) -> None:
        queue, name, run = Duplicates(self._context.gallery), self._current.name, self._context.run
        self._open = list(await run(queue.find, name, limit=SHOWN))
        done = list(await run(queue.answers, name, limit=ANSWERED))
        count = await run(queue.waiting, name)
        now = [self._open, done, count]
        if now == self._listed:
            return
        self._listed = now
        ids = {one.id: one for one in self._open}
        kept = ids.get(self._shown.id) if self._shown is not None else None
        if kept is None or kept != self._shown:  # else what was chosen and opened on it stays
            await self._show(kept or next(iter(self._open), None))
        self._list(done, count)
        made = await run(queue.groups, name) if count <= GROUPED else []
        self._groups.clear()
        with self._groups:
            words = S.DUPLICATES_GROUPS_TEXT if count <= GROUPED else S.DUPLICATES_GROUPS_MANY
            text(words, "soft small", tag="p")
            for group in made[:GROUPS]:
                names = ", ".join(side.name for side in group.people)
                with element("div", "event-row"), element("span", "event-lines"):
                    text(names, "person-name")
                    people = S.count(len(group.people), S.ONE_PERSON, S.MANY_PEOPLE)
                    text(people, "soft small")

    def _list(self, done: list[Answer], count: int) -> None:
        listed(self._waiting, self._open, S.DUPLICATES_NONE_SHORT, self._line)
        if count > len(self._open):
            with self._waiting:
                text(S.DUPLICATES_MORE.format(n=count), "soft small", tag="p")
        listed(self._answered, done, S.DUPLICATES_NOT_ANSWERED, self._done_line)

    def _line(self, one: Pair) -> None:
        @action(self._context, "duplicates")
        async def choose() -> None:
            await self._show(one)
            self._list(*self._listed[1:])

        current = self._shown is not None and one.id == self._shown.id
        case_row(choose, _both(one.a.name, one.b.name), _likely(one), current=current)

    def _done_line(self, one: Answer) -> None:
        names = _both(one.a_name, one.b_name)
        state = S.DUPLICATES_STATES[one.verdict]
        by = S.REVIEW_BY.format(name=one.actor)
        answered_row(names, f"{state} · {by}", self._undo(one), f"{names}, {state}")

    async def _show(self, one: Pair | None) -> None:
        self._shown = one
        if one is None:
            self._case.clear()
            with self._case:
                empty("duplicates", S.DUPLICATES_NONE, S.DUPLICATES_NONE_TEXT)
            return
        sides = (one.a, one.b)
        pictures = [await self._context.run(picture_of, self._context.gallery, s) for s in sides]
        self._context.looked(VIEW, f"pair:{one.id}", self._current.name)
        if self._shown is not one:
            return  # another was turned to meanwhile
        self._case.clear()
        with self._case:
            with element("div", "review-faces"):
                for side, picture in zip(sides, pictures, strict=True):
                    figure(self._current, side, picture)
            text(S.DUPLICATES_QUESTION, "answer-words", tag="h2")
            text(_likely(one), "soft", tag="p")
            keep = self._choose_name(one)
            with Answers(one.id):
                give = partial(self._answer, one, keep)
                answer_buttons(CHOICES, give, primary="same", a=one.a.name, b=one.b.name)
            with element("details", "candidates"):
                text(S.DUPLICATES_DETAILS, tag="summary")
                facts(
                    [
                        (S.DUPLICATES_COSINE, f"{one.cosine:.3f}"),
                        (S.DUPLICATES_FMR, S.DUPLICATES_FMR_TEXT.format(fmr=one.fmr)),
                        (S.DUPLICATES_TEMPLATES, str(one.templates)),
                    ]
                )

    def _choose_name(self, one: Pair) -> ui.radio | None:
        if one.a.collection != one.b.collection:
            note(S.DUPLICATES_ELSEWHERE)
            return None
        if one.same_photo:
            note(S.DUPLICATES_SAME_PHOTO, "warn")
            return None
        text(S.DUPLICATES_KEEP, "soft small", tag="p")
        fuller = max((one.a, one.b), key=lambda side: side.faces)
        names = {side.person_id: side.name for side in (one.a, one.b)}
        pair, before = self._keep
        value = before.value if pair == one.id and before is not None else None
        made = ui.radio(names, value=value if value in names else fuller.person_id)
        self._keep = one.id, made
        return made.props("inline")

    async def _answer(self, one: Pair, keep: ui.radio | None, verdict: Verdict) -> None:
        @action(self._context, "duplicates")
        async def give() -> None:
            try:
                done = await self._context.run(
                    Duplicates(self._context.gallery).answer,
                    self._current.name,
                    one.id,
                    verdict,
                    actor=self._context.account.name,
                    keep_id=keep.value if keep is not None and verdict == "same" else None,
                )
                if verdict == "same" and done.merge_id is None:
                    say(S.DUPLICATES_KEPT)
                else:
                    say(S.DUPLICATES_DONE[verdict].format(a=one.a.name, b=one.b.name))
            except (ReviewAnswered, NotFound, SamePhotoConflict) as error:
                say(error.message, "warn")
            await self._refresh()

        await give()

    def _undo(self, one: Answer) -> Callable[[], Awaitable[None]]:
        @action(self._context, "duplicates")
        async def undo() -> None:
            await take_back(self._context, self._current.name, one.id)
            await self._refresh()

        return undo


def _both(a: str | None, b: str | None) -> str:
    return S.DUPLICATES_BOTH.format(a=a or S.DUPLICATES_GONE, b=b or S.DUPLICATES_GONE)


def _likely(one: Pair) -> str:
    return S.LIKELY.format(probability=S.percent(one.probability))
