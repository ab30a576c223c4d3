"""What the review queue is asked and hands out: plain frozen values without database ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from arcid.events.records import Event
from arcid.types import Match, instant

ReviewKind = Literal["identification"]  # who is this?
ReviewState = Literal["open", "yes", "no", "withdrawn"]
Verdict = Literal["yes", "no", "not_person"]
STATES: tuple[ReviewState, ...] = ("open", "yes", "no", "withdrawn")
VERDICTS: tuple[Verdict, ...] = ("yes", "no", "not_person")


@dataclass(frozen=True, slots=True)
class Question:
    """What a human is to decide: whether the face is one of these, nearest first."""

    candidates: Sequence[Match]
    target_fmr: float | None  # the error rate asked for, one of the two
    target_fpir: float | None
    kind: ReviewKind = "identification"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody the face may be."""

    person_id: str
    name: str
    cosine: float
    face_id: str | None  # the enrolled face that was nearest
    refused: bool  # a human said that it is not them

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "person_id": self.person_id,
            "name": self.name,
            "cosine": round(self.cosine, 6),
            "face_id": self.face_id,
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class Review:
    """A doubtful case: its event as it reads now, who was asked about, and the answer.

    ``state``: ``open``; ``yes`` (it is ``person_id``); ``no`` (nobody known); ``withdrawn`` (the
    event was taken back).
    """

    kind: ReviewKind
    state: ReviewState
    event: Event
    candidates: tuple[Candidate, ...]  # nearest first
    target_fmr: float | None
    target_fpir: float | None
    person_id: str | None
    name: str | None
    answer_id: str | None  # the newest correction that answered, to be undone
    actor: str | None
    answered_at: datetime | None  # UTC
    picture_kept: bool  # of the face; ``Events.trace`` has it

    @property
    def id(self) -> str:
        """That of its event."""
        return self.event.id

    @property
    def open_candidates(self) -> tuple[Candidate, ...]:
        """Those not refused."""
        return tuple(one for one in self.candidates if not one.refused)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "event": self.event.to_dict(),
            "candidates": [one.to_dict() for one in self.candidates],
            "target_fmr": self.target_fmr,
            "target_fpir": self.target_fpir,
            "person_id": self.person_id,
            "name": self.name,
            "answer_id": self.answer_id,
            "actor": self.actor,
            "answered_at": None if self.answered_at is None else instant(self.answered_at),
            "picture_kept": self.picture_kept,
        }
