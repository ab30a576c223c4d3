"""Who may call: API keys, and on a loopback address without keys only this machine's own programs.

Without keys a web page open in a browser on this machine could still send requests here, or read
answers by pointing its own name at 127.0.0.1; ``Host`` and ``Origin`` give such calls away. A proxy
on this machine lets everybody in who reaches it; what it adds to a request gives it away.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from arcid.server.errors import HttpError
from arcid.server.settings import Settings, is_loopback
from arcid.server.throttle import Throttle

KEY_SHOWN = 8  # digits of a key's sha256 that name it
OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/v1/health", "/console", "/onboarding"})
#: The console asks for a sign-in of its own, onboarding for the token of a link.
OPEN_PREFIXES = ("/docs/", "/console/", "/onboarding/")
PROXY_HEADERS = frozenset({"forwarded", "via", "x-real-ip"})


class Access:
    """What stands before every request and WebSocket; one an application, on its event loop."""

    def __init__(self, settings: Settings, guesses: Throttle) -> None:
        self._keys = settings.api_keys
        self._guesses = guesses

    def check(self, request: HTTPConnection) -> str:
        """Who asks, as the audit names them. Raises ``HttpError`` 401, 403 or 429 unless the
        request may go on."""
        path = request.scope["path"]
        if not self._keys:
            _check_direct(request)
            _check_local(request.headers)
            return "local"
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
            return "anybody"
        key = presented_key(request.headers)
        if key is None:
            raise HttpError(
                401,
                "api_key_missing",
                "an API key is needed: send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return f"key:{self.check_key(key, address_of(request))[:KEY_SHOWN]}"

    def check_key(self, key: str, address: str) -> str:
        """The key's sha256. Raises ``HttpError`` 401, or 429 before a client that guessed often is
        told anything."""
        digest = hashlib.sha256(key.encode()).hexdigest()
        known = is_known(digest, self._keys)
        wait_s = self._guesses.wait_s(address)
        if wait_s > 0 and not (known and self._guesses.has_shown(address, digest)):
            raise too_many_attempts("too many wrong API keys", wait_s)
        if not known:
            self._guesses.failed(address)
            raise HttpError(
                401,
                "api_key_wrong",
                "this API key is not one of the service's",
                headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        self._guesses.right(address, digest)
        return digest


def too_many_attempts(what: str, wait_s: float) -> HttpError:
    """429 for a client that guesses."""
    seconds = max(1, math.ceil(wait_s))
    return HttpError(
        429,
        "too_many_attempts",
        f"{what} came from this address; wait {seconds} s",
        {"retry_after_s": seconds},
        {"Retry-After": str(seconds)},
    )


def address_of(request: HTTPConnection) -> str:
    """The client's address, a trusted proxy's word for it included; empty where there is none."""
    return request.client.host if request.client else ""


def presented_key(headers: Headers) -> str | None:
    """The key of a request, from either header."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or None


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
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        raise HttpError(
            403,
            "origin_refused",
            "without API keys web pages of other sites may not call the service",
        )


def _name(host: str) -> str:
    """A ``Host`` header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
