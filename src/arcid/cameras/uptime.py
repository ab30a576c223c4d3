"""How much of the time a camera gave pictures, since this process began to watch it."""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta

FRESH_S = 5.0  # a picture younger than this is live
SPAN = timedelta(minutes=15)  # every zone's days begin with one
KEPT = 31 * 96  # spans: a month
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Uptime:
    """Written by a camera's thread, read by any."""

    def __init__(self, began: datetime) -> None:
        self.began = began  # UTC
        self._last: datetime | None = None
        self._live_s: defaultdict[int, float] = defaultdict(float)  # by span
        self._lock = threading.Lock()

    def picture(self, now: datetime) -> None:
        """One came; the time since the one before counts, where that is not too long."""
        gap_s = 0.0 if self._last is None else (now - self._last).total_seconds()
        self._last = now
        if not 0.0 < gap_s <= FRESH_S:
            return
        span = (now - _EPOCH) // SPAN
        with self._lock:
            self._live_s[span] += gap_s
            if len(self._live_s) > KEPT:
                del self._live_s[min(self._live_s)]

    def share(self, since: datetime, until: datetime, now: datetime) -> float | None:
        """Of what was watched of that time; both begin a quarter of an hour. None: nothing was."""
        watched_s = (min(until, now) - max(since, self.began)).total_seconds()
        if watched_s <= 0.0:
            return None
        first, end = ((at - _EPOCH) // SPAN for at in (since, until))
        with self._lock:
            live_s = sum(s for span, s in self._live_s.items() if first <= span < end)
        return min(1.0, live_s / watched_s)
