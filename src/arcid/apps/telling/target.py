"""What somebody to tell is, and what they are sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from arcid.apps.telling.notices import Notice
from arcid.events import Event
from arcid.gallery import Gallery


class DeliveryFailed(Exception):
    """The target did not take it; the text holds no secret and no payload."""

    def __init__(self, message: str, status: int | None = None, *, waits: bool = False) -> None:
        super().__init__(message)
        self.status = status  # what an HTTP receiver answered
        self.waits = waits  # nobody could try: it is never given up


class Target(Protocol):
    """Somebody to tell; ``name`` is that of their outbox."""

    @property
    def name(self) -> str: ...

    def send(self, body: bytes, event: Event | Notice, now: datetime) -> None:
        """Raises ``DeliveryFailed``; anything else counts as one, and is logged as a fault."""
        ...


@runtime_checkable
class Standing(Target, Protocol):
    """A target that also tells how things stand, on a connection that it holds."""

    def stand(self, gallery: Gallery | None) -> None:
        """Called again and again while this process is the one to tell; then once with None."""
        ...


@dataclass(frozen=True, slots=True)
class Unusable:
    """A target nothing can be sent to; ``waits``: until it can be."""

    name: str
    why: str
    waits: bool = False

    def send(self, body: bytes, event: Event | Notice, now: datetime) -> None:
        raise DeliveryFailed(self.why, waits=self.waits)


def payload(event: Event | Notice) -> bytes:
    """The JSON that receivers get."""
    return json.dumps(event.told(), ensure_ascii=False).encode()
