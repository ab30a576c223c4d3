"""When a request is sent again, and how long to wait before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import SystemRandom

import httpx

#: Never sent: nothing can have been done.
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
#: Sent, wholly or in part; whether it was done is not known.
BROKEN = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
#: By the service's own word nothing was done.
TURNED_AWAY = frozenset(
    {"overloaded", "rate_limited", "gallery_busy", "upload_too_slow", "schema_too_new"}
)
PASSING = frozenset({502, 503, 504})  # of the service or of a proxy before it


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and how patiently, a request is sent again.

    Only what may be: what changes nothing or has the same effect twice, what bears an
    ``Idempotency-Key``, and what certainly was not done. Waits double from ``first_wait_s`` and are
    drawn from their upper half, and come after what the service says as ``Retry-After``. Where that
    is more than ``longest_wait_s``, the error is raised instead.
    """

    times: int = 4
    first_wait_s: float = 0.25
    longest_wait_s: float = 30.0

    def wait_s(
        self, tried: int, repeatable: bool, outcome: httpx.Response | httpx.RequestError
    ) -> float | None:
        """Seconds until the next try after ``tried`` of them; None: none."""
        if tried >= self.times:
            return None
        asked = 0.0
        if isinstance(outcome, httpx.RequestError):
            if not isinstance(outcome, BROKEN if repeatable else UNSENT):
                return None
        elif outcome.status_code < 400:
            return None
        else:
            if not (_code(outcome) in TURNED_AWAY or (repeatable and _passes(outcome))):
                return None
            asked = _retry_after_s(outcome)
        doubled = min(self.first_wait_s * 2.0**tried, self.longest_wait_s)
        wait = asked + SystemRandom().uniform(doubled / 2, doubled)
        return wait if asked <= self.longest_wait_s else None


def _code(response: httpx.Response) -> str | None:
    try:
        return str(response.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return None


def _passes(response: httpx.Response) -> bool:
    """Whether it may be otherwise soon; a missing model stays missing, and says no time."""
    return response.status_code in PASSING and (
        "Retry-After" in response.headers or _code(response) is None
    )


def _retry_after_s(response: httpx.Response) -> float:
    told = response.headers.get("Retry-After", "")
    if told.isdecimal():
        return float(told)
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return 0.0
    now = datetime.now(UTC)
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now.timestamp())
