"""What every output is given, and how it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from arcid.types import instant


@dataclass(frozen=True, slots=True)
class Pulse:
    """One opening, to be carried out now or never."""

    opening: str  # id, never used twice
    door_id: str
    door: str
    seconds: float  # how long the door is to be unlocked
    at: datetime  # UTC
    lasts_s: float = 5.0  # whoever gets it later than that ignores it

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "opening": self.opening,
            "door_id": self.door_id,
            "door": self.door,
            "seconds": self.seconds,
            "issued_at": instant(self.at),
            "expires_at": instant(self.at + timedelta(seconds=self.lasts_s)),
        }


#: What an output hears of its door: ("contact", whether it is open; None: not known any more),
#: ("exit", None), and of Home Assistant ("lock" | "unlock", an id of the command's own).
Hear = Callable[[str, Any], None]


def deaf(what: str, value: Any) -> None:
    """Nobody listens."""


class OutputFailed(Exception):
    """The impulse did not arrive for ``certain``, or may have. The text holds no secret."""

    def __init__(self, why: str, *, certain: bool) -> None:
        super().__init__(why)
        self.certain = certain


class Opener(Protocol):
    """Opens one door; called by one thread."""

    @property
    def ready(self) -> bool:
        """Whether what it speaks to has answered; True where that is not asked before."""

    def open(self, pulse: Pulse) -> None:
        """Returns once the impulse was taken. Raises ``OutputFailed``."""

    def close(self) -> None:
        """Let go of what is held; called once."""
