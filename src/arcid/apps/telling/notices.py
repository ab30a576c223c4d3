"""What a service says of itself: a task of its own failed, or works again.

It is of no collection and waits in no outbox: a disk that is too full for a backup takes no outbox
either. A ``Deliverer`` keeps it in memory until it is told.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from arcid.types import instant


@dataclass(frozen=True, slots=True)
class Notice:
    """Of one task; receivers get it as they get events, with the kind ``service``."""

    task: str  # as the page System names it
    problem: str | None  # in words; None: it works again
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    kind: Literal["service"] = "service"

    @property
    def words(self) -> str:
        """One line."""
        return f"task {self.task} " + ("works again" if self.problem is None else "failed")

    def told(self) -> dict[str, Any]:
        """Plain values for JSON; the time in ISO 8601, UTC."""
        return {
            "id": self.id,
            "kind": self.kind,
            "at": instant(self.at),
            "task": self.task,
            "problem": self.problem,
        }
