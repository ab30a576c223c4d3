"""People who walk past a camera: photographs in front of a wall, as frames with times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from arcid.types import Image
from arcid.video import Frame, Health

WALL = (360, 640)  # height, width
GREY = 150
FPS = 4.0
SECONDS = 2.25  # somebody is in view
STEP_PX = 6  # from frame to frame


@dataclass(frozen=True, slots=True)
class Passing:
    """Somebody passes, from then on."""

    at: datetime
    head: Image = field(repr=False)


def pictures(head: Image) -> Iterator[Image]:
    """(360,640,3) uint8 RGB: a head that passes."""
    for step in range(round(SECONDS * FPS)):
        yield scene(head, 180 + STEP_PX * step)


def scene(head: Image | None, left: int = 0) -> Image:
    """(360,640,3): the wall, with a head in front of it."""
    wall = np.full((*WALL, 3), GREY, np.uint8)
    if head is not None:
        height, width = head.shape[0], min(head.shape[1], WALL[1] - left)
        wall[60 : 60 + height, left : left + width] = head[:, :width]
    return wall


class Recording:
    """What a camera recorded while people passed."""

    live = False

    def __init__(self, name: str, passings: Iterable[Passing]) -> None:
        self.name = name
        self._passings = sorted(passings, key=lambda passing: passing.at)
        self._closed = False

    def frames(self, idle_s: float = 1.0) -> Iterator[Frame | None]:
        index, begun = 0, self._passings[0].at.timestamp() if self._passings else 0.0
        for passing in self._passings:
            for step, picture in enumerate(pictures(passing.head)):
                if self._closed:
                    return
                at = passing.at.timestamp() + step / FPS
                yield Frame(picture, at, at - begun, index)
                index += 1

    def health(self) -> list[Health]:
        return []

    def close(self) -> None:
        self._closed = True
