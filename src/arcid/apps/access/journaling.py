"""An answer as the journal keeps it, without names, and back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from arcid.apps.access.machine import Answer, Now
from arcid.apps.access.reasons import Reason
from arcid.apps.access.rules import Door
from arcid.types import Decision

KEPT = ("name", "collection", "camera", "keep_days")  # of its door: it may be gone when it is told


def told(answer: Answer, door: Door) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "at_door": {key: getattr(door, key) for key in KEPT},
        "id": answer.id,
        "door": answer.door,
        "boot": answer.boot,
        "at": answer.now.at.isoformat(),
        "reasons": [one.kept() for one in answer.reasons],
        "person_id": answer.person_id,
        "with_id": answer.with_id,
        "actor": answer.actor,
        "why": next((r.values["why"] for r in answer.reasons if r.code == "by_hand"), ""),
        "duress": answer.duress,
        "copy_s": answer.copy_s,
        "decision": None if answer.decision is None else answer.decision.to_dict(),
    }


def door_from(what: dict[str, Any]) -> Door | None:
    """As it was then; None in a journal of an earlier version."""
    return Door(what["door"], **what["at_door"]) if "at_door" in what else None


def answer_from(what: dict[str, Any]) -> Answer:
    """What ``told`` gave. It was granted, and opens nothing any more."""
    names = {"name": "", "actor": what["actor"], "why": what["why"]}
    return Answer(
        what["id"],
        what["door"],
        True,
        tuple(Reason.read(kept, **names) for kept in what["reasons"]),
        Now(datetime.fromisoformat(what["at"]), float("-inf")),
        what["boot"],
        what["person_id"],
        with_id=what["with_id"],
        actor=what["actor"],
        duress=what["duress"],
        copy_s=what["copy_s"],
        decision=None if what["decision"] is None else Decision(**what["decision"]),
    )
