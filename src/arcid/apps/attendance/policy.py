"""What a camera is to do: rates, times, what is kept, and what liveness means."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from arcid import decide
from arcid.apps.watching import LivenessMode, Looking
from arcid.calibration import Calibration
from arcid.errors import RateUnsupported, UsageError
from arcid.track import TrackSettings

Keep = Literal["nothing", "vector", "crop"]
RATES = (1e-3, 3e-3, decide.DEFAULT_FPIR)  # strictest first: a false name is worse than none
_TARGET = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Looking):
    """Settings of one camera; times in seconds. Raises ``UsageError`` for values without meaning.

    ``fpir``: how often a stranger's track may be given a name; None takes the strictest of
    ``RATES`` that the calibration supports for the gallery's size, which every event states.
    ``place``: cameras of one place see the same comings and goings; by default the camera's name.
    ``unsupported``: ``review`` leaves to a human (``events.Reviews``) what the calibration
    cannot decide on at that rate. ``keep``: what stays of a face behind an event, for "not this
    person", for telling unknown visitors apart, and (crops) for showing them; erase with
    ``Attendance.forget_faces``.
    ``liveness``: ``flag`` records suspected attacks beside arrivals, ``require`` in their place.
    """

    fpir: float | None = None
    unsupported: decide.Unsupported = "review"
    place: str | None = None
    cooldown_s: float = 300.0
    unknown_after_s: float = 1.5  # a face is an unknown visitor when followed for so long
    visitor_fmr: float = 1e-3  # at which two sightings count as one unknown visitor
    switch_ratio: float = 100.0  # so many times likelier must another name be to replace one
    touch_s: float = 5.0  # how often "last seen" is written
    keep: Keep = "vector"
    liveness: LivenessMode = "off"
    targets: tuple[str, ...] = ()  # outboxes that every event is put in

    def __post_init__(self) -> None:
        Looking.__post_init__(self)
        if not 0 < (self.fpir or 0.5) < 1 or not 0 < self.visitor_fmr < 1:
            raise UsageError("fpir and visitor_fmr must lie between 0 and 1")
        for name in ("cooldown_s", "unknown_after_s", "touch_s"):
            if not 0 <= getattr(self, name) < 1e9:
                raise UsageError(f"{name} must be a number of seconds from 0 up")
        if self.touch_s >= self.cooldown_s:
            raise UsageError(
                f"touch_s ({self.touch_s:g}) must be below cooldown_s ({self.cooldown_s:g}), or "
                "people who stay would seem to leave"
            )
        if not self.switch_ratio >= 1:
            raise UsageError("switch_ratio must be at least 1")
        if self.keep not in ("nothing", "vector", "crop"):
            raise UsageError(f"keep {self.keep!r} is unknown; use nothing, vector or crop")
        if self.liveness not in ("off", "flag", "require"):
            raise UsageError(f"liveness {self.liveness!r} is unknown; use off, flag or require")
        for target in self.targets:
            if not _TARGET.fullmatch(target):
                raise UsageError(
                    f"an outbox's name has up to 64 letters, digits, dots or dashes, not {target!r}"
                )

    def rate(self, calibration: Calibration, size: int) -> float:
        """The false positive identification rate decided at in a gallery of so many templates."""
        if self.fpir is not None:
            return self.fpir
        for rate in RATES:
            try:
                calibration.threshold_at_fpir(rate, max(size, 1))
            except RateUnsupported:
                continue
            break
        return rate

    def for_photos_apart(self) -> Policy:
        """The same for photos that show different moments: a single look decides."""
        return replace(
            self, tracking=TrackSettings(first_looks=1), unknown_after_s=0.0, min_frames=1
        )
