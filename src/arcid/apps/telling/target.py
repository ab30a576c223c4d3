"""What somebody to tell is, and what they are sent."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Protocol

from arcid.events import Event


class DeliveryFailed(Exception):
    """The target did not take it; the text holds no secret and no payload."""


class Target(Protocol):
    """Somebody to tell; ``name`` is that of their outbox."""

    @property
    def name(self) -> str: ...

    def send(self, body: bytes, event: Event, now: datetime) -> None:
        """Raises ``DeliveryFailed``."""
        ...


def payload(event: Event) -> bytes:
    """The JSON that receivers get."""
    return json.dumps(event.told(), ensure_ascii=False).encode()
