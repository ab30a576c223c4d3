"""Live sources: a reader thread keeps the newest frame and holds on to the connection.

A slow consumer misses frames and never builds a queue. A connection that breaks is opened again
after a pause that doubles from half a second to half a minute; one that stays open and falls silent
is given up after ``stall_s`` and opened anew by another thread, because a read that hangs cannot
be called back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from arcid.types import Image
from arcid.video.captures import Capture, CaptureLost
from arcid.video.frames import Frame, Health, HealthLog, SizeWatch, usable

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STALL_S = 5.0
GARBAGE_LIMIT = 100  # undecodable frames in a row before a connection is given up
CLOCK_STEP_S = 1.0  # the clock may be corrected by less unnoticed
Clock = Callable[[], float]


class Newest:
    """A slot for one frame, newest wins, with the stamps and checks all live sources share."""

    def __init__(self, health: HealthLog, wall: Clock, steady: Clock) -> None:
        self._condition = threading.Condition()
        self._health = health
        self._wall, self._steady = wall, steady
        self._sizes = SizeWatch(health)
        self._frame: Frame | None = None
        self._offset: float | None = None
        self._index = 0
        self.dropped = 0
        self.last_ticks: float | None = None
        self.closed = False

    def put(self, image: Image, at: float | None = None) -> None:
        """``at``: by the source's clock; the receiver's where it has none."""
        with self._condition:
            ticks = self._steady()
            at = self._check_clock(self._wall() if at is None else at, ticks)
            self._sizes.see(image)
            self.dropped += self._frame is not None
            self._frame = Frame(image, at, ticks, self._index)
            self._index += 1
            self.last_ticks = ticks
            self._condition.notify_all()

    def take(self, wait_s: float) -> Frame | None:
        with self._condition:
            self._condition.wait_for(lambda: self._frame is not None or self.closed, wait_s)
            frame, self._frame = self._frame, None
            return frame

    def close(self) -> None:
        with self._condition:
            self.closed = True
            self._condition.notify_all()

    def _check_clock(self, at: float, ticks: float) -> float:
        offset = at - ticks
        if self._offset is not None and abs(offset - self._offset) > CLOCK_STEP_S:
            moved = offset - self._offset
            self._health.report("clock_jump", f"the clock moved by {moved:+.1f} s", at)
        self._offset = offset
        return at


class LiveSource:
    """Frames of whatever ``open_capture`` connects to, for as long as nobody calls ``close``."""

    live = True

    def __init__(
        self,
        name: str,
        open_capture: Callable[[], Capture],
        *,
        stall_s: float = STALL_S,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
        wall: Clock = time.time,
        steady: Clock = time.monotonic,
    ) -> None:
        self.name = name
        self._open = open_capture
        self._stall_s = stall_s
        self._pauses = (first_pause_s, longest_pause_s)
        self._health = HealthLog(name)
        self._newest = Newest(self._health, wall, steady)
        self._steady = steady
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._generation = 0  # a reader of an older one has been given up
        self._progress = steady()  # when the connection last did something
        self._down = False

    @property
    def dropped(self) -> int:
        """Frames that were replaced by newer ones before anybody took them."""
        return self._newest.dropped

    def frames(self, idle_s: float = 1.0) -> Iterator[Frame | None]:
        self._start_reader()
        while not self._stop.is_set():
            frame = self._newest.take(min(idle_s, self._stall_s))
            if self._stop.is_set():
                return
            if frame is None:
                self._check_stall()
            yield frame

    def health(self) -> list[Health]:
        return self._health.drain()

    def close(self) -> None:
        self._stop.set()
        self._newest.close()

    def _start_reader(self) -> None:
        with self._lock:
            self._generation += 1
            self._progress = self._steady()
            args = (self._generation,)
        threading.Thread(target=self._run, args=args, name="arcid-live", daemon=True).start()

    def _check_stall(self) -> None:
        silent = self._steady() - self._progress
        if silent <= self._stall_s:
            return
        self._down = True
        self._health.report("stalled", f"nothing came for {silent:.1f} s; connecting again")
        self._start_reader()

    def _current(self, generation: int) -> bool:
        return generation == self._generation and not self._stop.is_set()

    def _run(self, generation: int) -> None:
        pause, longest = self._pauses
        while self._current(generation):
            before = self._newest.last_ticks
            try:
                capture = self._open()
            except CaptureLost as lost:
                why = lost.message
            else:
                try:
                    self._health.report("opened", "connected")
                    why = self._read(capture, generation)
                finally:
                    capture.release()
            if not self._current(generation):
                return
            if self._newest.last_ticks != before:
                pause = self._pauses[0]
            self._down = True
            self._health.report("lost", f"{why}; connecting again in {pause:.1f} s")
            self._progress = self._steady() + pause
            self._stop.wait(pause)
            pause = min(pause * 2, longest)

    def _read(self, capture: Capture, generation: int) -> str:
        """Read until the connection is over; returns why."""
        spoilt = 0
        while self._current(generation):
            try:
                image = capture.read()
            except CaptureLost as lost:
                return lost.message
            if not self._current(generation):
                return "given up"
            self._progress = self._steady()
            if image is None or not usable(image):
                spoilt += 1
                self._health.garbage("a frame cannot be decoded")
                if spoilt >= GARBAGE_LIMIT:
                    return f"{spoilt} frames in a row cannot be decoded"
                continue
            spoilt = 0
            if self._down:
                self._down = False
                self._health.report("recovered", "frames come again")
            self._newest.put(image)
        return "closed"
