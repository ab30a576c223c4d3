"""Which face of a photo with several is meant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from arcid.results import Face, Faces
from arcid.server.console import strings as S
from arcid.server.console.ui.widgets import data_url, element, face, text

MOST = 24


def face_choice(found: Faces, file: str, choose: Callable[[Face], Awaitable[None]]) -> None:
    """A button a face, from left to right, the largest where there are very many."""
    largest = sorted(found, key=lambda one: -_width(one))[:MOST]
    words = S.PICK_MOST if len(found) > MOST else S.PICK_FACE
    text(words.format(faces=len(found), shown=MOST), "reason", tag="p")
    with element("div", "face-choice", role="group", aria_label=S.PICK_FROM.format(file=file)):
        for number, one in enumerate(sorted(largest, key=_left), 1):
            made = element("button", type="button")
            made.props["aria-label"] = S.PICK_NUMBER.format(n=number)
            made.on("click", partial(choose, one), args=[])
            with made:
                face(data_url(one.crop), "", "small-face")


def _left(one: Face) -> float:
    return one.box[0] if one.box is not None else 0.0


def _width(one: Face) -> float:
    return one.box[2] - one.box[0] if one.box is not None else 0.0
