"""Events as lines of a list, and the dialog that explains and corrects one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from nicegui import ui
from nicegui.element import Element

from arcid.apps.attendance import Attendance, Event
from arcid.apps.attendance.clocks import local, moment
from arcid.errors import UsageError
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._attendance import person_field, person_of
from arcid.server.console.ui.dialogs import dialog, open_dialog
from arcid.server.console.ui.widgets import (
    Tone,
    action,
    avatar,
    button,
    chip,
    clock_field,
    data_url,
    element,
    face,
    facts,
    link_button,
    say,
    text,
)

TONES: dict[str, Tone] = {"arrival": "good", "unknown": "warn", "review": "info", "spoof": "bad"}
Refresh = Callable[[], Awaitable[None]]


def event_line(
    event: Event,
    on_click: Callable[[], Any] | None = None,
    *,
    with_face: bool = False,
    face_url: str | None = None,
) -> Element:
    """One event; a button where it can be looked into. ``with_face``: the face that was seen, or
    initials where none is kept."""
    if on_click is None:
        made = element("div", "event-row")
    else:
        what = S.EVENT_OPEN.format(what=event.name or S.EVENT_KINDS[event.kind])
        made = element("button", "event-row", type="button", aria_label=what)
        made.on("click", on_click, args=[])
    with made:
        who = event.name or S.EVENT_KINDS[event.kind]
        if face_url is not None:
            face(face_url, S.LIVE_FACE.format(who=who), "small-face")
        elif with_face:
            avatar(event.name or "?", "small-face")
        element("span", f"event-dot {TONES.get(event.kind, 'plain')}", aria_hidden="true")
        with element("span", "event-lines"):
            kind = S.EVENT_KINDS[event.kind]
            struck = "struck" if event.voided else ""
            text(event.name or kind, f"person-name {struck}")
            at = f"{local(event.at):%H:%M:%S}"
            camera = event.camera or S.EVENT_BY_HAND
            words = S.EVENT_AT.format(time=at, camera=camera)
            text(f"{kind} · {words}" if event.name else words, "soft small")
        if event.flagged:
            chip(S.EVENT_FLAGGED, "bad")
        if event.corrections:
            chip(S.CORRECTED, "info")
    return made


def explainer(
    context: ConsoleContext, book: Attendance, refresh: Refresh
) -> Callable[[Event], Any]:
    """What opens the dialog about an event."""

    def opener(event: Event) -> Callable[[], Awaitable[None]]:
        @action(context, "attendance")
        async def show() -> None:
            await _dialog(context, book, event, refresh)

        return show

    return opener


async def _dialog(
    context: ConsoleContext, book: Attendance, event: Event, refresh: Refresh
) -> None:
    told = await context.run(book.explain, event.id)
    picture = await context.run(book.picture, event.id) if told["face_kept"] else None
    with dialog(event.name or S.EVENT_KINDS[event.kind]) as made:
        if picture is not None:
            context.looked("event.view", f"event:{event.id}", book.collection)
            face(data_url(picture), S.EVENT_FACE)
        for sentence in in_words(event, told):
            text(sentence, tag="p")
        if event.kind == "review" and context.may("review"):
            where = f"{ROOT}/review?collection={quote(book.collection)}"
            link_button(S.TOLD_DECIDE, where, icon="review", kind="primary")
        with element("details", "candidates"):
            text(S.EVENT_NUMBERS, tag="summary")
            facts(_grounds(event, told))
        for row in told["history"][1:]:
            when = datetime.fromisoformat(row["recorded_at"])
            words = f"{S.ACTION_NAMES[row['action']]} · {row['actor']} · {S.moment(when)}"
            with element("div", "row tight"):
                text(words, "soft small", tag="p")
                if context.may("correct") and row["id"] in event.corrections:
                    _undo(context, book, row["id"], words, made, refresh)
        if context.may("correct") and not event.voided and event.kind != "correction":
            _corrections(context, book, event, made, refresh)
        with element("div", "dialog-buttons"):
            button(S.CLOSE, made.close, kind="quiet")
    open_dialog(made)


def in_words(event: Event, told: dict[str, Any]) -> list[str]:
    """What happened, and on what grounds, as sentences without numbers of the field.

    ``told`` is what ``Attendance.explain`` says of the event. What was decided is left out where
    somebody has said otherwise since.
    """
    grounds, first = told["grounds"], told["history"][0]
    by_hand = not event.camera
    named = first["name"] if event.person_id is None else event.name
    name = named or S.TOLD_DELETED
    at = {"name": name, "camera": event.camera, "when": S.moment(event.at), "actor": event.actor}
    said = [(S.TOLD_BY_HAND if by_hand else S.TOLD)[event.kind].format(**at)]
    if by_hand and event.note:
        said.append(S.TOLD_NOTE.format(note=event.note))
    if (event.kind, event.person_id) != (first["kind"], first["person_id"]):
        return [*said, S.TOLD_VOIDED if event.voided else S.TOLD_CORRECTED]
    names = [
        told["candidate_names"][one["person_id"]]
        for one in grounds.get("candidates", ())
        if one["person_id"] in told["candidate_names"]
    ]
    if event.kind == "departure" and grounds.get("cause") in S.TOLD_CAUSES:
        said.append(S.TOLD_CAUSES[grounds["cause"]])
    if event.kind == "arrival" and grounds.get("probability") is not None:
        said.append(S.TOLD_LIKELY.format(likely=S.percent(grounds["probability"])))
        if grounds.get("target_fpir") is not None:
            said.append(S.TOLD_RATE.format(rate=S.rate(grounds["target_fpir"])))
    if event.kind == "unknown" and grounds.get("gallery_size") == 0:
        said.append(S.TOLD_EMPTY)
    elif event.kind == "unknown" and names:
        said.append(S.TOLD_NEAREST.format(name=names[0]))
    if event.kind == "review":
        said.append(S.TOLD_REVIEW.format(name=names[0]) if names else S.TOLD_REVIEW_GONE)
    if event.flagged:
        said.append(S.TOLD_FLAGGED)
    if event.voided:
        said.append(S.TOLD_VOIDED)
    return said


def _undo(
    context: ConsoleContext,
    book: Attendance,
    correction: str,
    words: str,
    made: ui.dialog,
    refresh: Refresh,
) -> None:
    @action(context, "correct")
    async def undo() -> None:
        await context.run(book.correct, correction, "void", actor=context.account.name)
        say(S.UNDONE)
        made.close()
        await refresh()

    button(S.UNDO, undo, kind="quiet", name=S.UNDO_NAME.format(what=words))


def _grounds(event: Event, told: dict[str, Any]) -> list[tuple[str, str]]:
    grounds = told["grounds"]
    rows = [(S.EVENT_WHEN, S.moment(event.at)), (S.EVENT_CAMERA, event.camera or S.EVENT_BY_HAND)]
    if event.actor:
        rows.append((S.EVENT_ACTOR, event.actor))
    if event.note:
        rows.append((S.EVENT_NOTE, event.note))
    if grounds.get("reason"):
        rows.append((S.EVENT_GROUNDS, str(grounds["reason"])))
    threshold = grounds.get("cosine_threshold")
    if grounds.get("cosine") is not None and threshold is not None:
        score = S.SCORE_TEXT.format(cosine=grounds["cosine"], threshold=threshold)
        rows.append((S.SCORE, score))
    if grounds.get("probability") is not None:
        rows.append((S.PROBABILITY, S.percent(grounds["probability"])))
    if grounds.get("model"):
        rows.append((S.EVENT_MODEL, f"{grounds['model']} · {str(grounds['contract_id'])[:12]}"))
    if grounds.get("calibration_id"):
        rows.append((S.EVENT_CALIBRATION, str(grounds["calibration_id"])))
    live = grounds.get("liveness")
    if live:
        answer = live.get("answer") or live.get("reason") or live.get("score")
        rows.append((S.EVENT_LIVENESS, f"{live['check']}: {answer}"))
    return rows


def _corrections(
    context: ConsoleContext,
    book: Attendance,
    event: Event,
    made: ui.dialog,
    refresh: Refresh,
) -> None:
    note = ui.input(S.CORRECT_NOTE).props("outlined dense maxlength=500").classes("wide")
    who = context.account.name

    async def done(message: str) -> None:
        say(message)
        made.close()
        await refresh()

    @action(context, "correct")
    async def void() -> None:
        await context.run(book.correct, event.id, "void", actor=who, note=note.value or "")
        await done(S.CORRECTED_DONE)

    @action(context, "correct")
    async def not_person() -> None:
        _, blocked = await context.run(
            book.not_this_person, event.id, actor=who, note=note.value or ""
        )
        name = event.name or ""
        await done(S.CORRECTED_BLOCKED.format(name=name) if blocked else S.CORRECTED_DONE)

    @action(context, "correct")
    async def reassign() -> None:
        person_id = await person_of(context, book.collection, person)
        await context.run(
            book.correct,
            event.id,
            "reassign",
            actor=who,
            note=note.value or "",
            person_id=person_id,
        )
        await done(S.CORRECTED_DONE)

    with element("div", "row"):
        button(S.CORRECT_VOID, void, icon="trash", kind="danger")
        if event.person_id is not None:
            button(S.CORRECT_NOT_PERSON, not_person, icon="cross")
    with element("div", "row"):
        person = person_field(context, book.collection, S.CORRECT_REASSIGN).classes("grow")
        button(S.SAVE, reassign)
    if event.kind in ("arrival", "departure"):
        _retime(context, book, event, done)


def _retime(
    context: ConsoleContext, book: Attendance, event: Event, done: Callable[[str], Awaitable[None]]
) -> None:
    shown = local(event.at)
    with element("div", "row"):
        clock = clock_field(S.CORRECT_RETIME, f"{shown:%H:%M}")
        clock.classes("grow")

        @action(context, "correct")
        async def retime() -> None:
            try:
                given = datetime.strptime(clock.value or "", "%H:%M").time()
            except ValueError:
                raise UsageError(S.CORRECT_TIME) from None
            at = moment(shown.date(), given, near=event.at)
            await context.run(book.correct, event.id, "retime", actor=context.account.name, at=at)
            await done(S.CORRECTED_DONE)

        button(S.SAVE, retime)
