"""POSTing events as signed JSON.

``X-Arcid-Signature`` is ``t=SECONDS,v1=HEX`` with HEX the HMAC-SHA256 of ``SECONDS.BODY`` under the
shared secret; ``check_signature`` is what a receiver does.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.apps.telling.notices import Notice
from arcid.apps.telling.target import DeliveryFailed
from arcid.errors import UsageError
from arcid.events import Event

MIN_SECRET = 16
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Webhook:
    """POSTs JSON to a URL, signed. Redirects are refused."""

    name: str
    url: str
    secret: str = field(repr=False)
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        addresses.check_url(self.url, "a webhook's")
        if len(self.secret) < MIN_SECRET:
            raise UsageError(f"a webhook's secret needs at least {MIN_SECRET} characters")

    def send(self, body: bytes, event: Event | Notice, now: datetime) -> None:
        self.post(body, event.kind, event.id, now)

    def post(self, body: bytes, kind: str, delivery: str, now: datetime) -> int:
        """The 2xx status that the receiver answers. Raises ``DeliveryFailed``."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "arcid",
            "X-Arcid-Event": kind,
            "X-Arcid-Delivery": delivery,
            "X-Arcid-Signature": signature(self.secret, body, now),
        }
        request = urllib.request.Request(self.url, body, headers)  # noqa: S310 - http(s) only
        handlers: list[urllib.request.BaseHandler] = [addresses.NoRedirect()]
        if urlsplit(self.url).hostname in LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        try:
            with addresses.opener(*handlers).open(request, timeout=self.timeout_s) as answer:
                return int(answer.status)
        except AddressRefused as refused:
            raise DeliveryFailed(refused.message) from None
        except urllib.error.HTTPError as error:
            error.close()
            raise DeliveryFailed(f"the receiver answers {error.code}", error.code) from None
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryFailed(f"no answer ({type(error).__name__})") from None


def signature(secret: str, body: bytes, now: datetime) -> str:
    """``t=SECONDS,v1=HEX``; see the module."""
    seconds = str(int(now.timestamp()))
    digest = hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def check_signature(
    secret: str, body: bytes, header: str, now: datetime, tolerance_s: float = 300.0
) -> bool:
    """What a receiver does: right secret, untouched body, and not an old message again."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    seconds, given = parts.get("t", ""), parts.get("v1", "")
    if not seconds.isdecimal() or abs(now.timestamp() - int(seconds)) > tolerance_s:
        return False
    expected = signature(secret, body, datetime.fromtimestamp(int(seconds), UTC))
    return hmac.compare_digest(expected.partition("v1=")[2].encode(), given.encode())
