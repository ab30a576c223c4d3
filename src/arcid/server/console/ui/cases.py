"""Pages on which a human decides one case after another: lists, faces, answers by click or key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from nicegui.element import Element

from arcid.server.console import strings as S
from arcid.server.console.ui.widgets import Tone, avatar, button, element, face, text

T = TypeVar("T")
V = TypeVar("V", bound=str)


class Choice(NamedTuple, Generic[V]):
    """One answer: its button, its key, and what a screen reader calls it."""

    answer: V
    label: str
    key: str
    icon: str
    told: str  # with the names of those who are asked about


def listed(board: Element, found: Sequence[T], none: str, line: Callable[[T], None]) -> None:
    """A list drawn anew; ``none`` is said where it is empty."""
    board.clear()
    with board:
        if not found:
            text(none, "soft", tag="p")
        for one in found:
            line(one)


def case_row(
    choose: Callable[[], Awaitable[None]],
    title: str,
    words: str,
    *,
    current: bool,
    tone: Tone = "info",
) -> None:
    """A case to be chosen; ``current``: it is the one looked at."""
    row = element("button", "event-row", type="button")
    if current:
        row.props('aria-current="true"')
    row.on("click", choose, args=[])
    with row:
        element("span", f"event-dot {tone}", aria_hidden="true")
        with element("span", "event-lines"):
            text(title, "person-name")
            text(words, "soft small")


def answered_row(title: str, words: str, undo: Callable[[], Any] | None, what: str) -> None:
    """A case that was answered, and the button that takes ``what`` back."""
    with element("div", "event-row"):
        with element("span", "event-lines"):
            text(title, "person-name")
            text(words, "soft small")
        if undo is not None:
            button(S.UNDO, undo, kind="quiet", name=S.UNDO_NAME.format(what=what))


def figure(picture: str | None, name: str, caption: str) -> None:
    """A face with its caption; where no picture is kept, the name's first letters."""
    with element("figure", "review-face"):
        if picture is None:
            avatar(name)
        else:
            face(picture, caption)
        text(caption, "soft small", tag="figcaption")


class Answers(Element, component="static/answers.js"):
    """The buttons of a case, which go inside: each is pressed by its key, too.

    ``about`` names what is looked at: while it stays the same, a button may be pressed at once.
    """

    def __init__(self, about: str) -> None:
        super().__init__()
        self.props["about"] = about


def answer_buttons(
    choices: Iterable[Choice[V]],
    give: Callable[[V], Any],
    *,
    primary: str | None,
    keys: bool = True,
    **names: str,
) -> None:
    """A button for each answer; ``primary`` is the one that stands out, ``names`` fill ``told``."""
    for choice in choices:
        made = button(
            choice.label,
            partial(give, choice.answer),
            icon=choice.icon,
            kind="primary" if choice.answer == primary else "plain",
            name=choice.told.format(**names),
        )
        if keys:
            made.props["data-key"] = choice.key.casefold()
            with made:
                text(choice.key, "key", tag="kbd", aria_hidden="true")
