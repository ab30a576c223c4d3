"""One request in work: how fast its body comes, and what was answered so far."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field

RECENTLY_S = 1.0


@dataclass(slots=True)
class Pace:
    """How fast a body comes, over the time that was spent waiting for it and no other."""

    window_s: float
    began: float = field(default_factory=time.monotonic)
    deadline: asyncio.Timeout | None = None
    waited_s: float = 0.0  # in this window, the wait in progress left out
    came_bytes: int = 0  # in this window
    last: float = field(default_factory=time.monotonic)  # when something came
    recent: float = field(default_factory=time.monotonic)  # about a second ago
    recent_bytes: int = 0  # since then
    cut: bool = False  # in favour of others

    def came(self, size: int, waited_s: float) -> None:
        """A piece of the body."""
        self.waited_s += waited_s
        self.came_bytes += size
        self.last = time.monotonic()
        if self.last - self.recent > RECENTLY_S:
            self.recent, self.recent_bytes = self.last, 0
        self.recent_bytes += size

    @property
    def bytes_per_s(self) -> float:
        """Of late; of one that has just begun nobody can tell, and it counts as fast."""
        now = time.monotonic()
        if now - self.began < RECENTLY_S:
            return math.inf
        if now - self.last > RECENTLY_S:
            return 0.0
        return self.recent_bytes / max(now - self.recent, RECENTLY_S)

    def cut_off(self) -> None:
        """End the wait at once."""
        self.cut = True
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time())


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and what has been answered so far."""

    request_id: str
    status: int = 0
    body_bytes: int = 0
    held_bytes: int = 0  # of these, counted as in work
    pace: Pace | None = None  # while the body is waited for
