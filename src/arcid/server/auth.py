"""Who may call: API keys, and on a loopback address without keys only this machine's own programs.

Without keys a web page open in a browser on this machine could still send requests here, or read
answers by pointing its own name at 127.0.0.1; ``Host`` and ``Origin`` give such calls away. A proxy
on this machine lets everybody in who reaches it; what it adds to a request gives it away.
"""

from __future__ import annotations

import hmac
import math
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from arcid.protection import VERBS
from arcid.protection.keys import digest
from arcid.server.addresses import ip_of
from arcid.server.dialect import spoken
from arcid.server.errors import HttpError
from arcid.server.keyring import KeyRing
from arcid.server.scopes import ANYBODY, LOCAL, Credential
from arcid.server.settings import Settings, is_loopback
from arcid.server.throttle import Throttle

KEY_SHOWN = 8  # digits of the sha256 of a key of the settings that name it
OPEN_PATHS = frozenset(
    {
        "/",
        "/docs",
        "/openapi.json",
        "/v1/health",
        "/console",
        "/onboarding",
        "/privacy",
        "/privacy/key",
    }
)
#: The console asks for a sign-in of its own, onboarding for the token of a link.
OPEN_PREFIXES = ("/docs/", "/console/", "/onboarding/")
PROXY_HEADERS = frozenset({"forwarded", "via", "x-real-ip"})


class Access:
    """What stands before every request and WebSocket; one an application, on its event loop."""

    def __init__(self, settings: Settings, guesses: Throttle, ring: KeyRing) -> None:
        self._keys = settings.api_keys
        self._exposed = settings.exposed
        self._guesses = guesses
        self._ring = ring

    def check(self, request: HTTPConnection) -> Credential:
        """Who asks, and what they may. Raises ``HttpError`` 401, 403, 429 or 503 unless the
        request may go on; routes ask for what they need themselves (``scopes``)."""
        path = request.scope["path"]
        if not (self._keys or self._exposed or self._ring):
            _check_direct(request)
            _check_local(request.headers)
            return LOCAL
        dialect = spoken(request)
        if path in OPEN_PATHS or path in dialect.open or path.startswith(OPEN_PREFIXES):
            return ANYBODY
        key = dialect.key(request.headers)
        if key is None:
            raise HttpError(
                401,
                "api_key_missing",
                "an API key is needed: send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return self._check_key(key, address_of(request))

    def _check_key(self, key: str, address: str) -> Credential:
        """A client that guessed often waits before it is told anything."""
        shown = digest(key)
        ours = is_known(shown, self._keys)
        stored = None if ours else self._ring.find(shown)
        wait_s = self._guesses.wait_s(address)
        if wait_s > 0 and not ((ours or stored) and self._guesses.has_shown(address, shown)):
            raise too_many_attempts("too many wrong API keys", wait_s)
        if ours:
            self._guesses.right(address, shown)
            return Credential(f"key:{shown[:KEY_SHOWN]}", frozenset(VERBS))
        if stored is None:
            self._guesses.failed(address)
            raise _refused("api_key_wrong", "this API key is not one of the service's")
        if not stored.good:  # no guess, and no reason to hold back others at the address
            raise _refused("api_key_ended", "this API key was revoked, rotated or has expired")
        self._guesses.right(address, shown)
        if (wait_s := self._ring.used(stored)) > 0:
            raise _later("rate_limited", "this API key asks more often than it may", wait_s)
        return stored.credential


def too_many_attempts(what: str, wait_s: float) -> HttpError:
    """429 for a client that guesses."""
    return _later("too_many_attempts", f"{what} came from this address", wait_s)


def _later(code: str, what: str, wait_s: float) -> HttpError:
    seconds = max(1, math.ceil(wait_s))
    return HttpError(
        429,
        code,
        f"{what}; wait {seconds} s",
        {"retry_after_s": seconds},
        {"Retry-After": str(seconds)},
    )


def _refused(code: str, message: str) -> HttpError:
    return HttpError(
        401, code, message, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
    )


def audited_address(request: HTTPConnection) -> str:
    """The client's address where it is one, for the audit; empty for a name or a socket's file."""
    ip = ip_of(address_of(request))
    return "" if ip is None else str(ip)


def address_of(request: HTTPConnection) -> str:
    """The client's address, a trusted proxy's word for it included; empty where there is none."""
    return request.client.host if request.client else ""


def is_known(digest: str, hashes: tuple[str, ...]) -> bool:
    """Compare with every hash in constant time."""
    matches = [hmac.compare_digest(digest, known) for known in hashes]
    return any(matches)


def _check_direct(request: HTTPConnection) -> None:
    """nginx rewrites ``Host`` and adds nothing by default, but speaks HTTP/1.0 to a service."""
    forwarded = any(
        name in PROXY_HEADERS or name.startswith("x-forwarded-") for name in request.headers
    )
    if forwarded or request.scope.get("http_version") == "1.0":
        raise HttpError(
            403,
            "proxy_refused",
            "this request came through a proxy, which can let other machines in: set "
            "ARCID_API_KEYS and name the proxy in ARCID_TRUSTED_PROXIES; without API keys the "
            "service answers only direct requests of this machine, in HTTP/1.1",
        )


def _check_local(headers: Headers) -> None:
    host = headers.get("host", "")
    if not is_loopback(_name(host)):
        raise HttpError(
            403,
            "host_refused",
            "without API keys the service answers only to localhost and 127.0.0.1; "
            "set ARCID_API_KEYS to reach it by another name",
        )
    origin = headers.get("origin")
    if origin is not None and not of_host(origin, host):
        raise HttpError(
            403,
            "origin_refused",
            "without API keys web pages of other sites may not call the service",
        )


def of_host(origin: str, host: str) -> bool:
    """Whether an ``Origin`` header names the host of a ``Host`` header."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # no URL, such as http://[
        return False


def _name(host: str) -> str:
    """A ``Host`` header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
