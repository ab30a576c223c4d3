"""Photographs between the browser's upload and the answer: in memory, bounded, soon forgotten."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field

from arcid.errors import Overloaded, UsageError
from arcid.server.console import strings as S

KEEP_S = 600.0


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    data: bytes = field(repr=False)
    owner: str
    until: float


class Photos:
    """Bytes under ids that only their owner can use. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def hold(self, data: bytes, owner: str) -> str:
        """An id for the photo; raises ``Overloaded`` where too many are waiting."""
        self.sweep()
        with self._lock:
            if sum(len(held.data) for held in self._held.values()) + len(data) > self._max_bytes:
                raise Overloaded(S.TOO_MANY_PHOTOS, retry_after_s=10)
            key = secrets.token_urlsafe(16)
            self._held[key] = _Held(data, owner, time.monotonic() + KEEP_S)
        return key

    def take(self, key: str, owner: str) -> bytes:
        """The photo, which is forgotten here; raises ``UsageError`` for an id not the owner's."""
        with self._lock:
            held = self._held.get(key)
            if held is None or held.owner != owner or held.until <= time.monotonic():
                raise UsageError(S.PHOTO_GONE)
            del self._held[key]
        return held.data

    def sweep(self) -> None:
        """Drop what nobody came for in time."""
        now = time.monotonic()
        with self._lock:
            self._held = {key: held for key, held in self._held.items() if held.until > now}

    def forget(self, owner: str) -> None:
        """Drop what somebody left behind."""
        with self._lock:
            self._held = {key: held for key, held in self._held.items() if held.owner != owner}
