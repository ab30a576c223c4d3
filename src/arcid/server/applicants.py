"""What holds back whoever tries links to onboarding sessions, or opens too many cameras at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from arcid.errors import OnboardingNotFound, Overloaded
from arcid.server.auth import too_many_attempts
from arcid.server.throttle import Throttle

RUNS_AT_ONCE = 8  # cameras; each keeps a core busy while it looks


@dataclass(slots=True)
class Applicants:
    """One a service, on its event loop."""

    guesses: Throttle = field(default_factory=Throttle)
    runs: int = 0

    @contextmanager
    def known(self, address: str, token: str) -> Iterator[None]:
        """Counts a wrong token against its address; who guessed often is told nothing more.

        Raises ``HttpError`` 429, but for a link that this address has opened before.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        wait_s = self.guesses.wait_s(address)
        if wait_s > 0 and not self.guesses.has_shown(address, digest):
            raise too_many_attempts("too many wrong links", wait_s)
        try:
            yield
        except OnboardingNotFound:
            self.guesses.failed(address)
            raise
        self.guesses.right(address, digest)

    @contextmanager
    def run(self) -> Iterator[None]:
        """One camera more. Raises ``Overloaded``."""
        if self.runs >= RUNS_AT_ONCE:
            raise Overloaded(
                f"{RUNS_AT_ONCE} cameras are at work; try again in a minute", retry_after_s=60
            )
        self.runs += 1
        try:
            yield
        finally:
            self.runs -= 1
