"""The check for pictures of faces, opened when it is first needed and shared by who needs it."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from arcid.apps.watching.liveness import Liveness
from arcid.errors import ModelError, ModelNotFound
from arcid.liveness import passive

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Passive:
    """Thread-safe. One a service."""

    _found: Liveness | None = None
    _asked: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def needed(self) -> Liveness:
        """Raises ``ModelNotFound`` where there is none."""
        found = self.check()
        if found is None:
            raise ModelNotFound(
                "the check for pictures of faces has no models here: arcid models pull "
                f"{' '.join(passive.PAIR)}, then start the service again"
            )
        return found

    def check(self) -> Liveness | None:
        """None where its models are not installed or cannot be run, which is logged once."""
        with self._lock:
            if not self._asked:
                self._asked = True
                try:
                    self._found = passive.load()
                except ModelError as error:
                    log.warning("there is no passive liveness check", extra={"code": error.code})
            return self._found
