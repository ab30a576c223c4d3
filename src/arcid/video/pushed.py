"""Frames that somebody pushes: a browser's camera over a WebSocket, or another program."""

from __future__ import annotations

import time
from collections.abc import Iterator

from arcid.errors import ImageUnreadable
from arcid.image import ImageLimits
from arcid.types import Image
from arcid.video.captures import LIMITS, decode
from arcid.video.frames import Frame, Health, HealthLog, usable
from arcid.video.live import STALL_S, Clock, Newest

MAX_BYTES = 4 * 2**20
TRUSTED_S = 5.0  # a sender's clock may differ by this much


class PushedFrames:
    """``push`` from any thread, ``frames`` from one; the newest frame wins."""

    live = True

    def __init__(
        self,
        name: str,
        *,
        stall_s: float = STALL_S,
        max_pixels: int = LIMITS.max_pixels,
        wall: Clock = time.time,
        steady: Clock = time.monotonic,
    ) -> None:
        self.name = name
        self._stall_s = stall_s
        self._limits = ImageLimits(max_bytes=MAX_BYTES, max_pixels=max_pixels)
        self._wall, self._steady = wall, steady
        self._health = HealthLog(name)
        self._newest = Newest(self._health, wall, steady)
        self._silent = False
        self._distrusted = False
        self._since = steady()

    @property
    def dropped(self) -> int:
        return self._newest.dropped

    def push(self, picture: bytes | Image, at: float | None = None) -> None:
        """A JPEG or PNG, or (H,W,3) uint8 RGB. ``at``: seconds since 1970 by the sender's clock,
        believed while it is within ``TRUSTED_S`` of ours.

        Raises ``ImageUnreadable`` for what is no picture; the source goes on.
        """
        image = picture if not isinstance(picture, bytes) else None
        if isinstance(picture, bytes) and len(picture) <= MAX_BYTES:
            image = decode(picture, self._limits)
        if image is None or not usable(image):
            self._health.garbage("a pushed frame is no picture")
            raise ImageUnreadable(
                f"a pushed frame must be a JPEG or PNG of at most {MAX_BYTES // 2**20} MiB and "
                f"{self._limits.max_pixels:,} pixels, or RGB pixels; it was left out"
            )
        if at is not None and not abs(at - self._wall()) <= TRUSTED_S:  # NaN is not
            if not self._distrusted:
                off = at - self._wall()
                self._health.report(
                    "clock_jump", f"the sender's clock is off by {off:+.1f} s; ours is used"
                )
            self._distrusted = True
            at = None
        if self._silent:
            self._silent = False
            self._health.report("recovered", "frames come again")
        self._newest.put(image, at)

    def frames(self, idle_s: float = 1.0) -> Iterator[Frame | None]:
        while True:
            frame = self._newest.take(idle_s)
            if self._newest.closed:
                return
            last = self._newest.last_ticks
            quiet = self._steady() - (self._since if last is None else last)
            if frame is None and quiet > self._stall_s and not self._silent:
                self._silent = True
                self._health.report("stalled", f"nothing was pushed for {quiet:.1f} s")
            yield frame

    def health(self) -> list[Health]:
        return self._health.drain()

    def close(self) -> None:
        self._newest.close()
