"""An HTTP relay: a POST, signed and good for seconds; redirects are refused.

The body says which opening, which door, for how long, and until when it counts; the header
``X-Arcid-Signature`` is that of webhooks, under the secret in ``ARCID_DOOR_SECRET``. A receiver
checks the signature and ``expires_at`` and ignores an ``opening`` that it knows. A relay that can
check nothing belongs on a network of its own; ``{seconds}`` in its address is filled in.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.apps.access.outputs._common import Hear, OutputFailed, Pulse
from arcid.apps.telling.webhook import LOOPBACK, MIN_SECRET, signature
from arcid.errors import ConfigError

SIGNED_WITH = "ARCID_DOOR_SECRET"
TIMEOUT_S = 3.0


def checked(output: str) -> None:
    """Raise ``UsageError``."""
    addresses.check_url(output, "a relay's")


def opener(output: str, door_id: str, door: str, hear: Hear) -> Relay:
    """Its door's inputs come over REST. Raises ``ConfigError`` without a secret."""
    secret = os.environ.get(SIGNED_WITH, "")
    if len(secret) < MIN_SECRET:
        raise ConfigError(
            f"relays are sent signed orders: set {SIGNED_WITH} to a secret shared with the relay, "
            f"of at least {MIN_SECRET} characters"
        )
    checked(output)
    return Relay(output, secret)


@dataclass(frozen=True, slots=True)
class Relay:
    """One relay behind an address."""

    url: str
    secret: str = field(repr=False)
    timeout_s: float = TIMEOUT_S

    @property
    def ready(self) -> bool:
        return True

    def open(self, pulse: Pulse) -> None:
        body = json.dumps(pulse.to_dict()).encode()
        url = self.url.replace("{seconds}", f"{pulse.seconds:g}")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "arcid",
            "X-Arcid-Opening": pulse.opening,
            "X-Arcid-Signature": signature(self.secret, body, pulse.at),
        }
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - http(s) only
        handlers: list[urllib.request.BaseHandler] = [addresses.NoRedirect()]
        if urlsplit(url).hostname in LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        try:
            addresses.opener(*handlers).open(request, timeout=self.timeout_s).close()
        except AddressRefused as refused:
            raise OutputFailed(refused.message, certain=True) from None
        except urllib.error.HTTPError as error:
            error.close()
            certain = error.code < 500
            raise OutputFailed(f"the relay answers {error.code}", certain=certain) from None
        except urllib.error.URLError as error:
            never = isinstance(error.reason, (ConnectionRefusedError, socket.gaierror))
            raise OutputFailed(_silent(error.reason), certain=never) from None
        except (OSError, http.client.HTTPException) as error:
            raise OutputFailed(_silent(error), certain=False) from None

    def close(self) -> None:
        """Nothing is held."""


def _silent(error: object) -> str:
    return f"the relay does not answer ({type(error).__name__})"
