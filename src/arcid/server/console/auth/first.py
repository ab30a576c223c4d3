"""Who may make the first account: whoever shows the code printed at the start, or an API key."""

from __future__ import annotations

import hashlib
import secrets

from arcid.server.auth import is_known
from arcid.server.console import strings as S
from arcid.server.console.auth.errors import AccountRefused, TooManyAttempts
from arcid.server.throttle import Throttle


class FirstAccount:
    """The set-up code of one service: made at its start, its sha256 kept, dead after its use."""

    def __init__(self, api_keys: tuple[str, ...], guesses: Throttle) -> None:
        self._secrets = api_keys
        self._keys = api_keys
        self._guesses = guesses

    def invite(self) -> str:
        """A new code, in place of any other."""
        code = secrets.token_urlsafe(16)
        self._secrets = (*self._keys, hashlib.sha256(code.encode()).hexdigest())
        return code

    def check(self, shown: str, address: str) -> None:
        """Raises ``AccountRefused``, or ``TooManyAttempts`` before what was shown is looked at."""
        wait_s = self._guesses.wait_s(address)
        if wait_s > 0:
            raise TooManyAttempts(
                S.TOO_MANY_ATTEMPTS.format(wait=S.duration(wait_s)),
                retry_after_s=max(1, round(wait_s)),
            )
        digest = hashlib.sha256(shown.strip().encode()).hexdigest()
        if not is_known(digest, self._secrets):
            self._guesses.failed(address)
            raise AccountRefused(S.SET_UP_CODE_WRONG)

    def done(self) -> None:
        """The first account is made; the code is worth nothing any more."""
        self._secrets = self._keys
