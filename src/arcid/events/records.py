"""What events are handed out as: plain frozen values without database ties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, get_args

from arcid.types import Embeddings, Image, instant

AttendanceKind = Literal["arrival", "departure", "unknown", "review", "spoof"]
#: What other applications decided; each row is written by one of them (``Events.write``).
AppKind = Literal["alert", "access", "onboarding", "duplicate"]
EventKind = Literal[AttendanceKind, AppKind, "correction"]
Action = Literal["void", "reassign", "retime", "not_person"]
Cause = Literal["not_seen", "came_again", "source_ended", "camera_closed", "camera_deleted"]
FIRST_YEAR, LAST_YEAR = 1970, 9998  # of events; a day before and after can still be written
ACTIONS: tuple[Action, ...] = ("void", "reassign", "retime", "not_person")
ATTENDANCE: tuple[AttendanceKind, ...] = get_args(AttendanceKind)
APPS: tuple[AppKind, ...] = get_args(AppKind)

#: What receivers of events are told of the grounds; ``details`` is an application's own.
TOLD = ("cosine", "cosine_threshold", "target_fmr", "target_fpir", "probability", "gallery_size",
        "contract_id", "calibration_id", "reason", "liveness", "details")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was seen, and by which camera."""

    name: str
    camera: str


@dataclass(frozen=True, slots=True)
class Event:
    """One event; as read by ``find`` and ``get``, with its corrections applied."""

    id: str
    kind: EventKind
    at: datetime  # UTC, by the source's clock
    recorded_at: datetime  # UTC
    collection: str
    camera: str
    place: str
    person_id: str | None
    name: str | None  # as it is now; None once the person is deleted
    visitor_id: str | None  # unknown and doubtful visitors: the event they were first seen in
    about_id: str | None  # corrections: the event they speak of
    action: Action | None
    actor: str | None
    note: str | None
    grounds: Mapping[str, Any]  # on what it was decided
    corrections: tuple[str, ...] = ()  # ids of the rows that changed how this one reads
    voided: bool = False

    @property
    def flagged(self) -> bool:
        """Whether the face may have been a picture, and the camera's policy let it pass."""
        live = self.grounds.get("liveness") or {}
        return self.kind != "spoof" and live.get("outcome") == "flagged"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the grounds; times in ISO 8601, UTC."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "grounds"}
        return values | {
            "at": instant(self.at),
            "recorded_at": instant(self.recorded_at),
            "corrections": list(self.corrections),
            "flagged": self.flagged,
        }

    def told(self) -> dict[str, Any]:
        """``to_dict`` and on what it was decided, as receivers of events get them; of one that
        waits for a human, whom it may be of as well."""
        keys = (*TOLD, "candidates") if self.kind == "review" else TOLD
        return self.to_dict() | {"grounds": {k: self.grounds[k] for k in keys if k in self.grounds}}


@dataclass(frozen=True, slots=True)
class Stay:
    """Somebody who is there now."""

    person_id: str
    name: str | None
    place: str
    camera: str
    arrived_at: datetime  # UTC
    last_seen_at: datetime  # UTC


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The face behind an event."""

    vector: Embeddings  # one row
    crop: Image | None = field(repr=False)  # (S,S,3) uint8 RGB aligned, where the policy kept it
