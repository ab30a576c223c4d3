"""Do two pictures show one person?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from arcid.decide import DEFAULT_FMR
from arcid.errors import ArcidError
from arcid.results import Face, Faces, Verification
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._answers import TONES, grounds
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.picking import face_choice
from arcid.server.console.ui.widgets import (
    PhotoDrop,
    action,
    card,
    data_url,
    element,
    face,
    note,
    text,
)

RATES = (0.01, 0.001, DEFAULT_FMR)
WORDS = {"match": S.COMPARE_MATCH, "no_match": S.COMPARE_NO_MATCH}


async def compare(context: ConsoleContext) -> None:
    """Two drop zones; the answer stands below as soon as both have a face."""
    with frame(context, S.COMPARE, "/compare", lead=S.COMPARE_LEAD):
        if context.services.calibration() is None:
            note(S.NO_CALIBRATION, "warn")
            return
        held: list[Face | None] = [None, None]
        with card():
            drops = element("div", "pair-drops")
            rate = ui.select(
                {value: S.COMPARE_RATE_OPTION.format(n=1 / value) for value in RATES},
                value=DEFAULT_FMR,
                label=S.COMPARE_RATE,
            ).props("outlined dense options-dense")
            rate.classes("rate-choice")
            answer = element("div", "answers", aria_live="polite")

        @action(context, "search")
        async def judge() -> None:
            first, second = held
            if first is None or second is None:
                answer.clear()  # it was about another picture
                return
            found = await context.run(
                partial(
                    context.services.pipeline.verify_faces, first, second, fmr=float(rate.value)
                )
            )
            context.compared(found)
            answer.clear()
            with answer:
                _answer(found)

        rate.on_value_change(judge)
        with drops:
            for index in (0, 1):
                _side(context, held, index, judge)


def _side(
    context: ConsoleContext,
    held: list[Face | None],
    index: int,
    judge: Callable[[], Awaitable[None]],
) -> None:
    label = (S.COMPARE_FIRST, S.COMPARE_SECOND)[index]
    with element("div", "pair-side"):

        async def arrived(photo_id: str, file: str) -> None:
            @action(context, "search")
            async def look() -> None:
                photo = context.photo(photo_id)
                state.clear()
                held[index] = None
                await judge()
                try:
                    found = await context.one_face(photo)
                except ArcidError as error:
                    with state:
                        note(error.message, "bad", role="alert")
                    return
                if isinstance(found, Faces):
                    with state:
                        face_choice(found, file, partial(taken, file))
                else:
                    await taken(file, found)

            await look()

        async def taken(file: str, found: Face) -> None:
            held[index] = found
            state.clear()
            with state:
                _reasons(file, found)
                await judge()

        PhotoDrop(label, arrived, max_bytes=context.services.settings.max_upload_bytes, paste=False)
        state = element("div", "side-state", aria_live="polite")


def _reasons(file: str, found: Face) -> None:
    with element("div", "tray-item"):
        face(data_url(found.crop), S.FACE_FROM.format(file=file), "small-face")
        with element("div", "tray-lines"):
            text(file, "file-name")
            for reason in found.quality.reasons if found.quality else ():
                text(reason.message, "reason", tag="p")


def _answer(found: Verification) -> None:
    decision = found.decision
    with element("article", f"answer {TONES[decision.outcome]}"):
        with element("div", "answer-faces"):
            for one, which in zip((found.a, found.b), S.COMPARE_WHICH, strict=True):
                face(data_url(one.crop), S.COMPARE_FACE.format(which=which))
        with element("div", "answer-lines"):
            text(WORDS[decision.outcome], "answer-words", tag="h2")
            grounds(decision)
