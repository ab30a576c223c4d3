"""Ctrl-C and SIGTERM end a run after its step, with a checkpoint; a second one ends it at once."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

_LOG = logging.getLogger(__name__)


class Interrupt:
    """``asked`` turns True at the first signal. Outside the main thread it hears nothing."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        _LOG.warning("stopping after this step; ask again to stop at once")


__all__ = ["Interrupt"]
