"""What holds back whoever tries links to onboarding sessions, or opens too many cameras at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
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
    _runs: dict[str, Callable[[], None]] = field(default_factory=dict)  # what ends each, by link

    @contextmanager
    def known(self, address: str, token: str) -> Iterator[None]:
        """Counts a wrong token against its address; who guessed often is told nothing more.

        Raises ``HttpError`` 429, but for a link that this address has opened before.
        """
        digest = _digest(token)
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
    def run(self, token: str, end: Callable[[], None]) -> Iterator[None]:
        """One camera more, in place of an earlier one of the same link: nobody takes all of them.

        ``end`` ends it where another comes. Raises ``Overloaded``.
        """
        digest = _digest(token)
        if (earlier := self._runs.pop(digest, None)) is not None:
            earlier()
        if len(self._runs) >= RUNS_AT_ONCE:
            raise Overloaded(
                f"{RUNS_AT_ONCE} cameras are at work; try again in a minute", retry_after_s=60
            )
        self._runs[digest] = end
        try:
            yield
        finally:
            if self._runs.get(digest) is end:
                del self._runs[digest]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
