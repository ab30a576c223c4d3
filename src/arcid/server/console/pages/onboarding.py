"""People who identify themselves: cases that wait for a human, both faces side by side."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments
from starlette.requests import Request
from starlette.responses import Response

from arcid import paths
from arcid.apps.onboarding.cases import Cases, Verdict
from arcid.apps.onboarding.evidence import Signer
from arcid.apps.onboarding.records import DECIDED, NOT_CHECKED, WAITING, Check, Role, Rules, Session
from arcid.errors import ArcidError, FaceNotFound, OnboardingNotFound, ReviewAnswered
from arcid.gallery import Collection
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import chosen, first_collection, selector
from arcid.server.console.ui.cases import Answers, Choice, answer_buttons, case_row, listed
from arcid.server.console.ui.dialogs import answer, confirm, dialog, dialog_buttons
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    Tone,
    action,
    avatar,
    button,
    card,
    chip,
    element,
    empty,
    facts,
    link_button,
    say,
    text,
)
from arcid.server.errors import HttpError

REFRESH_S = 5.0
SHOWN = 50
TONES: dict[str, Tone] = {"accepted": "good", "rejected": "bad", "review": "warn"}
EFFECTS: dict[str, Tone] = {"pass": "good", "note": "info", "review": "warn", "reject": "bad"}
CHOICES: tuple[Choice[Verdict], ...] = (
    Choice("accepted", S.ONBOARDING_ACCEPT, "A", "check", S.ONBOARDING_ACCEPT_NAME),
    Choice("rejected", S.ONBOARDING_REJECT, "R", "cross", S.ONBOARDING_REJECT_NAME),
)


async def onboarding(context: ConsoleContext, collection: str | None = None) -> None:
    """The oldest case that waits, the others, sessions under way, and what was decided."""
    current, known = await chosen(context, collection)
    with frame(context, S.ONBOARDING, "/onboarding", lead=S.ONBOARDING_LEAD):
        if current is None:
            first_collection(context)
            return
        with element("div", "toolbar"):
            selector("/onboarding", current, known)
            button(S.ONBOARDING_NEW, partial(_begin, context, current), icon="add", kind="primary")
        with element("div", "columns"):
            case = element("section", "card review-case", aria_live="polite")
            with element("div", "column"):
                lists = []
                for title in (
                    S.ONBOARDING_WAITING, S.ONBOARDING_UNDER_WAY, S.ONBOARDING_DECIDED,
                ):  # fmt: skip
                    with card(title):
                        lists.append(element("div", "event-list"))
        await Desk(context, current, case, lists).open()


async def evidence(request: Request, context: ConsoleContext) -> Response:
    """The signed file of a case, to download."""
    session_id = request.url.path.rsplit("/", 1)[-1]
    try:
        data = await context.run(
            Cases(context.gallery).evidence, session_id, Signer(paths.home_dir())
        )
    except ArcidError as error:
        raise HttpError.of(error) from None
    name = f'attachment; filename="onboarding-{session_id[:12]}.json"'
    return Response(data, media_type="application/json", headers={"Content-Disposition": name})


class Desk:
    """One page's state: which case is looked at, and what stands beside it."""

    def __init__(
        self, context: ConsoleContext, current: Collection, case: Element, lists: list[Element]
    ) -> None:
        self._context, self._current, self._case, self._lists = context, current, case, lists
        self._cases = Cases(context.gallery)
        self._shown: Session | None = None
        self._listed: list[list[Session]] = []

    async def open(self) -> None:
        """Show it, and keep it fresh."""
        await self._refresh()
        ui.timer(REFRESH_S, quietly(self._context, "cases")(self._refresh))

    async def _refresh(self) -> None:
        name = self._current.name
        now: list[list[Session]] = [
            await self._context.run(partial(self._cases.queue, limit=SHOWN), name),
            *[list(await self._context.run(self._cases.find, name, states=states, limit=SHOWN))
              for states in (WAITING, ("accepted", "rejected"))],
        ]  # fmt: skip
        if now == self._listed:
            return
        self._listed = now
        here = {one.id: one for group in now for one in group}
        kept = here.get(self._shown.id) if self._shown is not None else None
        if kept is None or kept != self._shown:
            await self._show(kept or next(iter(now[0]), None))
        else:  # what was opened on it stays
            self._list()

    def _list(self) -> None:
        nothing = (
            S.ONBOARDING_NOBODY, S.ONBOARDING_NONE_UNDER_WAY, S.ONBOARDING_NONE_DECIDED,
        )  # fmt: skip
        for place, sessions, words in zip(self._lists, self._listed, nothing, strict=True):
            listed(place, sessions, words, self._line)

    def _line(self, one: Session) -> None:
        @action(self._context, "cases")
        async def choose() -> None:
            await self._show(one)

        words = [S.ONBOARDING_STATES[one.state], S.moment(one.created_at)]
        if one.decided and one.answers[-1].actor != "arcid":
            words.append(S.ONBOARDING_BY.format(name=one.answers[-1].actor))
        current = self._shown is not None and one.id == self._shown.id
        tone = TONES.get(one.state, "info")
        case_row(choose, _title(one), " · ".join(words), current=current, tone=tone)

    async def _show(self, one: Session | None) -> None:
        self._shown = one
        self._list()
        if one is None:
            self._case.clear()
            with self._case:
                empty("onboarding", S.ONBOARDING_EMPTY, S.ONBOARDING_EMPTY_TEXT)
            return
        seen = {role: await self._picture(one, role) for role in one.pictures}
        if self._shown is not one:
            return  # another was turned to meanwhile
        self._case.clear()
        with self._case:
            with element("div", "review-faces"):
                _figure(seen.get("document"), one.name, S.ONBOARDING_DOCUMENT)
                _figure(seen.get("selfie"), one.name, S.ONBOARDING_SELFIE)
            question = S.ONBOARDING_QUESTION.format(name=one.name)
            text(question if one.state == "review" else _title(one), "answer-words", tag="h2")
            chip(S.ONBOARDING_STATES[one.state], TONES.get(one.state, "plain"))
            if one.birth_date is not None:
                born = S.ONBOARDING_WHO.format(name=one.name, born=one.birth_date.isoformat())
                text(born, "soft", tag="p")
            for reason in one.reasons:
                text(S.ONBOARDING_REASONS.get(reason.code, reason.message), tag="p")
            self._buttons(one)
            if one.checks:
                with element("details", "candidates"):
                    text(S.ONBOARDING_DETAILS, tag="summary")
                    for check in one.checks:
                        _check(check)
                    things = "; ".join(NOT_CHECKED)
                    text(S.ONBOARDING_NOT_CHECKED.format(things=things), "soft small", tag="p")

    async def _picture(self, one: Session, role: Role) -> str | None:
        try:
            data = await self._context.run(self._cases.picture, one.id, role)
        except (FaceNotFound, OnboardingNotFound):
            return None
        return "data:image/jpeg;base64," + base64.b64encode(data).decode()

    def _buttons(self, one: Session) -> None:
        with Answers(f"{one.id} {one.state}"):
            waits = one.state == "review"
            others = [c for c in CHOICES if one.state in DECIDED and c.answer != one.state]
            first = "accepted" if waits else None
            give = partial(self._answer, one)
            answer_buttons(others, give, primary=first, keys=waits, name=one.name)
            standing = [a for a in one.answers if a.undone_at is None]
            if standing and standing[-1].actor != "arcid":
                button(S.UNDO, self._undo(one), kind="quiet")
            if one.decided:
                where = f"{ROOT}/evidence/{quote(one.id)}"
                link = link_button(S.ONBOARDING_EVIDENCE, where, icon="download")
                link.props["download"] = ""
            button(S.ONBOARDING_FORGET, self._forget(one), icon="trash", kind="quiet")

    async def _answer(self, one: Session, verdict: Verdict) -> None:
        @action(self._context, "cases")
        async def give() -> None:
            try:
                said = [a for a in one.answers if a.undone_at is None]
                if said[-1].actor != "arcid" and one.state != "review":
                    await self._context.run(
                        self._cases.undo, one.id, actor=self._context.account.name
                    )
                await self._context.run(
                    self._cases.answer, one.id, verdict, actor=self._context.account.name
                )
                say(S.ONBOARDING_DONE[verdict].format(name=one.name))
            except (ReviewAnswered, OnboardingNotFound) as error:
                say(error.message, "warn")
            await self._refresh()

        await give()

    def _undo(self, one: Session) -> Callable[[], Awaitable[None]]:
        @action(self._context, "cases")
        async def undo() -> None:
            await self._context.run(self._cases.undo, one.id, actor=self._context.account.name)
            say(S.ONBOARDING_UNDONE)
            await self._refresh()

        return undo

    def _forget(self, one: Session) -> Callable[[], Awaitable[None]]:
        @action(self._context, "cases")
        async def forget() -> None:
            if await confirm(_title(one), S.ONBOARDING_FORGET_TEXT, S.ONBOARDING_FORGET):
                await self._context.allow("cases")
                await self._context.run(self._cases.forget, one.id)
                say(S.ONBOARDING_FORGOTTEN)
                await self._refresh()

        return forget


async def _begin(context: ConsoleContext, current: Collection) -> None:
    @action(context, "cases")
    async def begin() -> None:
        with dialog(S.ONBOARDING_NEW) as made:
            text(S.ONBOARDING_NEW_TEXT, tag="p")
            field = ui.input(S.ONBOARDING_REFERENCE).props("outlined maxlength=200").classes("wide")
            text(S.ONBOARDING_REFERENCE_HINT, "soft small", tag="p")
            enrol = ui.checkbox(S.ONBOARDING_ENROL, value=False)
            dialog_buttons(made, S.ONBOARDING_BEGIN, lambda: (field.value or "", enrol.value))
        wanted: Any = await answer(made)
        if wanted is None:
            return
        await context.allow("cases")
        rules = Rules(enrol=bool(wanted[1]))
        _, token = await context.run(
            Cases(context.gallery).start, current.name, reference=str(wanted[0]), rules=rules
        )
        here = str(ui.context.client.request.base_url)
        await _told(link_of(here, context.services.settings.public_url, token))

    await begin()


def link_of(here: str, public: str | None, token: str) -> str:
    """What an applicant opens: at the public address where one is set that is not this machine's
    alone, else where the console is looked at."""
    base = here.split("/console")[0].rstrip("/")
    if public is not None and public.startswith("https:"):
        base = public + urlsplit(base).path
    return f"{base}/onboarding/#{token}"


async def _told(link: str) -> None:
    """The link, once."""
    with dialog(S.ONBOARDING_LINK) as made:
        text(S.ONBOARDING_NEW_TEXT, "soft", tag="p")
        field = ui.input(S.ONBOARDING_LINK, value=link).props("outlined readonly").classes("wide")
        with element("div", "dialog-buttons"):
            copy = "() => emit(arcid.copy(getHtmlElement(%d)))"
            button(S.ONBOARDING_COPY).on("click", _copied, js_handler=copy % field.id)
            button(S.CLOSE, lambda: made.submit(None), kind="primary")
    await answer(made)


def _copied(event: GenericEventArguments) -> None:
    if event.args:
        say(S.ONBOARDING_COPIED)
    else:
        say(S.ONBOARDING_NOT_COPIED, "warn")


def _title(one: Session) -> str:
    return one.name or one.reference or S.ONBOARDING_STATES[one.state]


def _figure(picture: str | None, name: str, caption: str) -> None:
    with element("figure", "review-face"):
        if picture is None:
            avatar(name or "?")
        else:
            element("img", "face portrait", src=picture, alt=caption)
        text(caption, "soft small", tag="figcaption")


def _check(check: Check) -> None:
    with element("div", "check-row"):
        with element("div"):
            text(S.ONBOARDING_CHECKS.get(check.code, check.code), tag="p")
            chip(S.ONBOARDING_EFFECTS[check.effect], EFFECTS[check.effect])
        text(S.sentence(check.message), "small")
    rows = [
        (words, S.percent(value) if name == "probability" else S.rate(value))
        for name, words in S.ONBOARDING_MEASURED.items()
        if (value := check.measured.get(name))
    ]
    if rows:
        facts(rows)


__all__ = ["evidence", "onboarding"]
