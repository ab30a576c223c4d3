"""Doors for a guard: who is at which, let in or not and why, opened once by hand, locked down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from nicegui import ui

from arcid.apps.access import Answer, Chance, Door, Doors, DoorStatus, Opening, Passage, Passages
from arcid.apps.access.chance import chance
from arcid.errors import UsageError
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.dialogs import answer, ask, confirm, dialog, dialog_buttons
from arcid.server.console.ui.fresh import quietly
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    Tone,
    action,
    button,
    card,
    chip,
    element,
    empty,
    note,
    say,
    text,
)

REFRESH_S = 1.0
SHOWN = 8
NOW_S = 10.0  # an answer so old still tells who is there
TONES: dict[str, Tone] = {"opened": "good", "failed": "bad", "unknown": "warn"}


WORDS: dict[str, tuple[str, Tone]] = {
    "granted": (S.DOOR_GRANTED, "good"),
    "refused": (S.DOOR_REFUSED, "warn"),
    "alarm": (S.DOOR_ALARMED, "bad"),
}


@dataclass(frozen=True, slots=True)
class Board:
    """One door as it is shown."""

    door: Door
    status: DoorStatus
    chance: Chance | None  # None: there is no calibration
    passages: tuple[Passage, ...]
    there: Answer | None  # the newest answer, while it still tells who is at the door


async def doors(context: ConsoleContext) -> None:
    """A card a door."""
    with frame(context, S.DOORS, "/doors", lead=S.DOORS_LEAD):
        with element("div", "toolbar"):
            element("span", "grow")
            bar = element("div", "row")
        note(S.DOORS_FIRE, "info")
        grid = element("div", "visitor-grid wide-cards", aria_live="polite")
        shown: list[list[Board]] = []

        async def refresh() -> None:
            found = await context.run(_read, context)
            if shown == [found]:
                return
            shown[:] = [found]
            bar.clear()
            with bar:
                _all_doors(context, found, refresh)
            grid.clear()
            with grid:
                if not found:
                    with card(cls="span"):
                        empty("doors", S.DOORS_NONE, S.DOORS_NONE_TEXT)
                for board in found:
                    _card(context, board, refresh)

        await refresh()
        ui.timer(REFRESH_S, quietly(context, "doors")(refresh))


def _read(context: ConsoleContext) -> list[Board]:
    passages, known = Passages(context.gallery), Doors(context.gallery).all()
    doorman, calibration = context.doorman, context.services.calibration()
    for door in known:
        context.looked("door.view", f"door:{door.id}", door.collection)
    return [
        Board(
            door,
            status := doorman.status(door.id),
            chance(door, doorman.admitted(door.id), calibration),
            tuple(passages.find(door.collection, door=door.id, limit=SHOWN)[:SHOWN]),
            _there(status),
        )
        for door in known
    ]


def _there(status: DoorStatus) -> Answer | None:
    newest = next((one for one in status.lately if one.outcome != "alarm"), None)
    fresh = newest is not None and (datetime.now(UTC) - newest.now.at).total_seconds() <= NOW_S
    return newest if fresh else None


def _all_doors(
    context: ConsoleContext, found: list[Board], refresh: Callable[[], Awaitable[None]]
) -> None:
    if not found or not context.may("open_door"):
        return

    @action(context, "open_door")
    async def lock() -> None:
        why = await ask(S.DOORS_LOCK_TITLE, S.DOOR_WHY, hint=S.DOOR_LOCK_TEXT)
        if why is None:
            return
        await context.allow("open_door")
        await context.run(context.doorman.lock_down, None, why)
        say(S.DOORS_LOCKED)
        await refresh()

    @action(context, "open_door")
    async def lift() -> None:
        if not await confirm(S.DOORS_LIFT_TITLE, S.DOOR_LIFT_TEXT, S.DOOR_LIFT):
            return
        await context.allow("open_door")
        await context.run(context.doorman.lock_down, None, None)
        await refresh()

    if any(board.status.lockdown is not None for board in found):
        button(S.DOORS_LIFT, lift)
    button(S.DOORS_LOCK, lock, icon="lock", kind="danger")


def _card(context: ConsoleContext, board: Board, refresh: Callable[[], Awaitable[None]]) -> None:
    door, status = board.door, board.status
    with card(cls="visitor at-door"):
        text(door.name, tag="h2")
        with element("div", "row tight"):
            for label, tone in _chips(door, status):
                chip(label, tone)
        if status.problem:
            note(status.problem, "bad", role="alert")
        if status.alarm is not None:
            said = f"{S.moment(status.alarm.now.at)}: {status.alarm.words}"
            note(S.sentence(said), "bad", role="alert")
        if status.lockdown:
            note(S.DOOR_LOCKED_WHY.format(why=status.lockdown), "warn")
        _now(board.there)
        if board.chance is None:
            note(S.DOOR_NO_CALIBRATION, "warn")
        elif board.chance.support == "out_of_reach":
            note(S.sentence(board.chance.words), "warn")
        else:
            text(S.sentence(board.chance.words), "soft small", tag="p")
        if context.may("open_door"):
            _buttons(context, door, status, refresh)
        with element("div", "event-list"):
            for passage in board.passages:
                _line(passage)
            if not board.passages:
                text(S.DOOR_NO_PASSAGES, "soft", tag="p")


def _chips(door: Door, status: DoorStatus) -> list[tuple[str, Tone]]:
    found: list[tuple[str, Tone]] = []
    if not door.enabled:
        found.append((S.DOOR_OFF, "plain"))
    elif status.lockdown is not None:
        found.append((S.DOOR_LOCKED, "bad"))
    else:
        found.append((S.DOOR_READY, "good"))
    if status.contact_open is not None:
        open_ = status.contact_open
        found.append((S.DOOR_IS_OPEN, "warn") if open_ else (S.DOOR_IS_SHUT, "plain"))
    if status.offline_s is not None:
        found.append((S.DOOR_OFFLINE.format(age=S.duration(status.offline_s)), "warn"))
    if not status.here:
        found.append((S.DOOR_ELSEWHERE, "plain"))
    return found


def _now(there: Answer | None) -> None:
    """Who is there."""
    if there is None:
        text(S.DOOR_NOBODY, "soft door-now", tag="p")
        return
    with element("div", "door-now"):
        who = there.name or there.actor or S.DOOR_UNKNOWN
        with element("div", "row tight"):
            text(who, "person-name")
            chip(*WORDS[there.outcome])
            if there.duress:
                chip(S.DOOR_DURESS, "bad")
        text(there.words, tag="p")
        if rate := _rate(there):
            text(rate, "soft small", tag="p")


def _rate(found: Answer) -> str:
    decision = found.decision
    if decision is None or not decision.target_fpir:
        return ""
    said = S.DOOR_RATE.format(n=1 / decision.target_fpir)
    return f"{said} {S.DOOR_RATE_BEYOND}" if decision.extrapolated else said


def _line(passage: Passage) -> None:
    with element("div", "event-row"):
        word, _ = WORDS[passage.outcome]
        element("span", "event-dot " + ("good" if passage.granted else "bad"), aria_hidden="true")
        with element("span", "event-lines"):
            who = passage.name or passage.actor or S.DOOR_UNKNOWN
            said = word if passage.outcome == "alarm" else f"{who}, {word.lower()}"
            text(said, "person-name")
            text(passage.words, "small")
            text(S.moment(passage.at), "soft small")
            if passage.detail:
                text(passage.detail, "soft small")
        if passage.opening in TONES:
            chip(S.DOOR_OPENINGS[passage.opening], TONES[passage.opening])


def _buttons(
    context: ConsoleContext,
    door: Door,
    status: DoorStatus,
    refresh: Callable[[], Awaitable[None]],
) -> None:
    @action(context, "open_door")
    async def open_once() -> None:
        why = await _ask_why(door)
        if why is None:
            return
        if not why.strip():
            raise UsageError(S.DOOR_WHY_MISSING)
        account = await context.allow("open_door")
        opening = await context.run(context.doorman.open_by_hand, door.id, account.name, why)
        _tell(door, opening)
        await refresh()

    @action(context, "open_door")
    async def lock() -> None:
        title = S.DOOR_LOCK_TITLE.format(name=door.name)
        why = await ask(title, S.DOOR_WHY, hint=S.DOOR_LOCK_TEXT)
        if why is None:
            return
        await context.allow("open_door")
        await context.run(context.doorman.lock_down, door.id, why)
        await refresh()

    @action(context, "open_door")
    async def lift() -> None:
        title = S.DOOR_LIFT_TITLE.format(name=door.name)
        if not await confirm(title, S.DOOR_LIFT_TEXT, S.DOOR_LIFT):
            return
        await context.allow("open_door")
        await context.run(context.doorman.lock_down, door.id, None)
        await refresh()

    @action(context, "open_door")
    async def seen() -> None:
        await context.allow("open_door")
        await context.run(context.doorman.acknowledge, door.id)
        await refresh()

    with element("div", "row end"):
        if status.alarm is not None:
            button(S.DOOR_SEEN, seen, name=S.DOOR_SEEN_TITLE.format(name=door.name))
        if status.lockdown is None:
            button(S.DOOR_LOCK, lock, icon="lock", name=S.DOOR_LOCK_TITLE.format(name=door.name))
            if door.enabled:
                name = S.DOOR_OPEN_TITLE.format(name=door.name)
                button(S.DOOR_OPEN, open_once, kind="primary", name=name)
        else:
            button(S.DOOR_LIFT, lift, name=S.DOOR_LIFT_TITLE.format(name=door.name))


async def _ask_why(door: Door) -> str | None:
    with dialog(S.DOOR_OPEN_TITLE.format(name=door.name)) as made:
        field = ui.input(S.DOOR_WHY).props("outlined autofocus maxlength=200").classes("wide")
        text(S.DOOR_WHY_HINT, "soft small", tag="p")
        dialog_buttons(made, S.DOOR_OPEN, lambda: str(field.value or ""))
    found: str | None = await answer(made)
    return found


def _tell(door: Door, opening: Opening) -> None:
    if opening.state == "opened":
        say(S.DOOR_OPENED.format(name=door.name))
        return
    why = opening.detail or S.DOOR_NO_ANSWER
    say(S.DOOR_NOT_OPENED.format(name=door.name, why=why), "bad")
