"""A webcam that is not there ends the command that watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arcid.video import Health

TRIES = 3  # to open one that never gave a frame; streams are tried for ever


class Webcam:
    """Told what becomes of a source; raises ``SourceUnreadable`` where it is a webcam that cannot
    be opened. ``instead``: what else the command takes, in words."""

    def __init__(self, source: str, name: str, instead: str) -> None:
        self._webcam, self._name, self._instead = source.isdecimal(), name, instead
        self._failures = 0

    def see(self, health: Iterable[Health], frames: int) -> None:
        from arcid.errors import SourceUnreadable

        self._failures += sum(entry.kind == "lost" for entry in health)
        if self._webcam and self._failures >= TRIES and not frames:
            raise SourceUnreadable(
                f"{self._name} cannot be opened: is it plugged in, and does no other program use "
                f"it? {self._instead}"
            )
