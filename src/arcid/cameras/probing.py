"""Does a source give a picture? Asked before a camera is added, or where one is in trouble."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from arcid.addresses import AddressRefused
from arcid.cameras.book import checked_source
from arcid.cameras.runner import NOT_REACHED
from arcid.errors import ArcidError, Overloaded
from arcid.video import Source, open_source

WAIT_S = 10.0
AT_ONCE = 4  # each holds a thread for as long as it waits
_going = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of it."""

    reached: bool
    problem: str  # for people; empty where it was reached
    size: tuple[int, int] | None  # width, height in pixels
    seconds: float  # until the first picture, or until it was given up


def probe(source: str, wait_s: float = WAIT_S) -> Probe:
    """Open a source as a camera would and wait for one picture.

    Raises ``UsageError`` and ``AddressRefused`` for what no camera may have, and ``Overloaded``.
    """
    source = checked_source(source)
    if not _going.acquire(blocking=False):
        raise Overloaded(f"{AT_ONCE} sources are being tried; try again", retry_after_s=wait_s)
    began = time.monotonic()
    try:
        problem, size = _first_picture(source, wait_s)
    finally:
        _going.release()
    return Probe(size is not None, problem, size, time.monotonic() - began)


def _first_picture(source: str, wait_s: float) -> tuple[str, tuple[int, int] | None]:
    try:
        opened = open_source(source)
    except AddressRefused:
        raise
    except ArcidError as error:
        return error.message, None
    try:
        return _wait(opened, time.monotonic() + wait_s)
    except ArcidError as error:
        return error.message, None
    finally:
        opened.close()


def _wait(opened: Source, until: float) -> tuple[str, tuple[int, int] | None]:
    for frame in opened.frames(0.2):
        if frame is not None:
            return "", (frame.image.shape[1], frame.image.shape[0])
        lost = next((entry for entry in opened.health() if entry.kind in NOT_REACHED), None)
        if lost is not None:
            return lost.detail.partition("; connecting again")[0], None
        if time.monotonic() > until:
            return "no picture came in time", None
    return "it ended without a picture", None


__all__ = ["Probe", "probe"]
