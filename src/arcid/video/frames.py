"""What every source hands out: frames with the source's own time, and how the source is doing."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from arcid.types import Image

log = logging.getLogger(__name__)

HealthKind = Literal[
    "opened",
    "lost",  # the connection broke or the device went away; opening again follows
    "stalled",  # connected, but nothing came for too long; opening again follows
    "recovered",  # frames come again
    "resized",
    "garbage",  # frames that could not be decoded were left out
    "clock_jump",
    "ended",
    "store_busy",  # the gallery takes no writes; they are kept and tried again
    "store_back",
    "observer_failed",  # one of those that observe the camera; the others go on
]
MIN_SIDE = 16


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source."""

    image: Image = field(repr=False)  # (H,W,3) uint8 RGB
    at: float  # seconds since 1970 UTC, by the source's clock
    ticks: float  # seconds that only ever grow, whatever the clock does
    index: int  # counts the frames handed out


@dataclass(frozen=True, slots=True)
class Health:
    """Something that happened to a source; ``detail`` is a sentence for people."""

    kind: HealthKind
    source: str
    at: float  # seconds since 1970 UTC
    detail: str


class Source(Protocol):
    """Where frames come from. One consumer; ``close`` may come from any thread."""

    name: str  # for people, logs and event keys; holds no credentials
    live: bool  # frames not taken in time are dropped

    def frames(self, idle_s: float = 1.0) -> Iterator[Frame | None]:
        """Frames until the end or ``close``; None when ``idle_s`` passed without one."""
        ...

    def health(self) -> list[Health]:
        """What happened since the last call, oldest first."""
        ...

    def close(self) -> None: ...


class HealthLog:
    """Collects ``Health`` from any thread and logs it."""

    def __init__(self, source: str, *, keep: int = 1000) -> None:
        self._source = source
        self._new: deque[Health] = deque(maxlen=keep)
        self._lock = threading.Lock()
        self._garbage = 0

    def report(self, kind: HealthKind, detail: str, at: float | None = None) -> None:
        entry = Health(kind, self._source, time.time() if at is None else at, detail)
        level = logging.INFO if kind in ("opened", "recovered", "ended") else logging.WARNING
        log.log(level, "source", extra={"kind": kind})
        with self._lock:
            self._new.append(entry)

    def garbage(self, why: str) -> None:
        """Report the first of a run of unusable frames and every hundredth after it."""
        self._garbage += 1
        if self._garbage % 100 == 1:
            self.report("garbage", f"{why}; frame left out ({self._garbage} so far)")

    def drain(self) -> list[Health]:
        with self._lock:
            found = list(self._new)
            self._new.clear()
        return found


class SizeWatch:
    """Reports a change of the picture's size once."""

    def __init__(self, health: HealthLog) -> None:
        self._health = health
        self._size: tuple[int, int] | None = None

    def see(self, image: Image) -> None:
        size = (image.shape[1], image.shape[0])
        if self._size is not None and size != self._size:
            old = "×".join(map(str, self._size))
            self._health.report("resized", f"frames changed from {old} to {size[0]}×{size[1]}")
        self._size = size


def usable(image: npt.NDArray[Any]) -> bool:
    """Whether a decoder's answer is a picture: (H,W,3) uint8 and not tiny."""
    pixels = image.ndim == 3 and image.shape[-1] == 3 and image.dtype == np.uint8
    return pixels and min(image.shape[:2]) >= MIN_SIDE
