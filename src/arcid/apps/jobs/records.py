"""What jobs hand out: plain frozen values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from arcid.types import instant

Kind = Literal["import", "delete_people", "reembed", "duplicates"]
State = Literal["waiting", "running", "stopped", "done", "failed", "cancelled"]
Origin = Literal["service", "command"]
ENDED = ("done", "cancelled")  # for good


@dataclass(frozen=True, slots=True)
class Job:
    """Long work on one collection, or as far as it has come."""

    id: str
    kind: Kind
    collection: str
    state: State
    silent: bool  # it runs, but whoever ran it was cut off
    origin: Origin
    source: dict[str, Any]
    options: dict[str, Any]
    total: int  # items
    done: int  # of them, refused ones too
    refused: int
    run_id: str | None  # of duplicates: the run that it stands for
    actor: str
    holder: str
    created_at: datetime  # UTC
    beat_at: datetime  # UTC; its last change
    ended_at: datetime | None  # UTC
    problem: str | None

    @property
    def share(self) -> float:
        """How much of it is done, 0-1."""
        if self.total:
            return self.done / self.total
        return float(self.state == "done")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        times = {
            name: None if (at := getattr(self, name)) is None else instant(at)
            for name in ("created_at", "beat_at", "ended_at")
        }
        return asdict(self) | times | {"share": self.share}
