"""A command as a process: the signals that end it, and standard streams that may end before it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

NOWHERE = Path(os.devnull)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Being asked to end is like an interrupt: what is open is written and closed first. Losing
    the terminal is being asked to end, unless that is ignored (``nohup``)."""

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # closing is under way
        raise KeyboardInterrupt

    def hang_up(*_: object) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # shell and kernel may both say it
        signal.raise_signal(signal.SIGTERM)  # to whoever listens: a service, a training

    try:
        before = {signal.SIGTERM: signal.signal(signal.SIGTERM, stop)}
    except ValueError:  # not the main thread: whoever runs it stops it
        yield
        return
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_streams() -> None:
    """Standard streams, where they were closed lead nowhere; file names need not be valid text."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, NOWHERE.open(mode))
        stream = getattr(sys, name)
        if mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def drop(stream: TextIO) -> None:
    """Lead a stream that cannot be written nowhere, with what it still holds: the interpreter
    writes that at its end, and exits with 120 where it cannot."""
    with NOWHERE.open("wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
