"""What the machine of doors is asked and answers, and what it knows between two questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from arcid.apps.access.reasons import ALARMS, PASSING, Reason
from arcid.types import Decision, instant

Outcome = Literal["granted", "refused", "alarm"]
Seen = Literal["known", "unknown", "beyond", "unusable", "looking"]


@dataclass(frozen=True, slots=True)
class Now:
    """A moment on two clocks: the wall's, and one that only ever grows."""

    at: datetime  # with a zone
    ticks: float  # seconds


@dataclass(frozen=True, slots=True)
class Face:
    """One face in front of a door, as it was identified; ``decision`` states the error rate."""

    track: int
    share: float  # its height as a share of the picture's: larger is nearer
    seen: Seen
    person_id: str | None = None  # of a known one
    name: str | None = None
    live: bool | None = None  # None: not known yet
    decision: Decision | None = None
    why: str = ""  # it cannot be used
    unchecked: bool = False  # nothing here can tell whether it is alive


@dataclass(frozen=True, slots=True)
class Sight:
    """All faces of one picture. ``id`` is new for every picture; ``copy_s``: how old the local copy
    is that they were identified with, None where the database answered."""

    id: str
    door: str
    taken: Now
    faces: tuple[Face, ...]
    copy_s: float | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An opening by hand, asked for at ``at``; ``id`` is of the one who asks, new for each."""

    id: str
    door: str
    actor: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """Granted or refused, and why. Granted is no opening: ``claim`` makes it one."""

    id: str
    door: str
    granted: bool
    reasons: tuple[Reason, ...]
    now: Now
    boot: str
    person_id: str | None = None
    name: str | None = None
    with_id: str | None = None  # the first of two persons
    track: int = 0
    actor: str = ""  # who opens by hand
    duress: bool = False
    copy_s: float | None = None
    decision: Decision | None = None

    @property
    def passing(self) -> bool:
        """Refused for what passes by itself in a moment; not worth a line in the log."""
        return not self.granted and {r.code for r in self.reasons} <= PASSING

    @property
    def outcome(self) -> Outcome:
        """An alarm is of the door itself: nobody asked."""
        if self.granted:
            return "granted"
        return "alarm" if {r.code for r in self.reasons} & ALARMS else "refused"

    @property
    def words(self) -> str:
        return "; ".join(r.words for r in self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the error rate it was decided at."""
        return {
            "id": self.id,
            "door": self.door,
            "outcome": self.outcome,
            "words": self.words,
            "reasons": [r.to_dict() for r in self.reasons],
            "at": instant(self.now.at),
            "person_id": self.person_id,
            "name": self.name,
            "with_id": self.with_id,
            "actor": self.actor or None,
            "duress": self.duress,
            "offline": self.copy_s is not None,
            "decision": None if self.decision is None else self.decision.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class DoorState:
    """What is known of one door."""

    lockdown: str | None = None  # why; None: not locked down
    held: str | None = None  # locked down here, which the database does not know of yet
    opened_at: datetime | None = None  # last released
    opened_ticks: float | None = None  # here; None: by another process
    contact_open: bool | None = None  # None: no contact says
    open_ticks: float | None = None  # when its contact was first heard to be open
    exit_ticks: float = float("-inf")  # when somebody last asked to leave
    alarm: Answer | None = None  # until a guard acknowledges it
    first: tuple[str, str, float] | None = None  # of two persons: id, name, ticks
    taken: float = float("-inf")  # ticks of the newest picture
    served: frozenset[int] = frozenset()  # tracks let in
    called: float = float("-inf")  # ticks of the last call for help


@dataclass(frozen=True, slots=True)
class Position:
    """Through which door a person went last."""

    area: str
    at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """Of all doors of a site. ``boot``: random, new with every start of a process."""

    boot: str
    doors: Mapping[str, DoorState] = field(default_factory=dict)
    positions: Mapping[str, Position] = field(default_factory=dict)
    spent: Mapping[str, float] = field(default_factory=dict)  # answers used, and when: ticks

    def door(self, door: str) -> DoorState:
        return self.doors.get(door, DoorState())

    def with_door(self, door: str, **values: Any) -> State:
        return replace(self, doors={**self.doors, door: replace(self.door(door), **values)})
