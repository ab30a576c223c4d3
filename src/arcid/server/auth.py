"""Who may call: API keys, and on a loopback address without keys only this machine's own programs.

Without keys a web page open in a browser on this machine could still send requests here, or read
answers by pointing its own name at 127.0.0.1; ``Host`` and ``Origin`` give such calls away.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from arcid.server.errors import HttpError
from arcid.server.settings import Settings, is_loopback

OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/v1/health", "/console"})
OPEN_PREFIXES = ("/docs/", "/console/")  # the console asks for a sign-in of its own


def check_access(path: str, headers: Headers, settings: Settings) -> None:
    """Raise ``HttpError`` 401 or 403 unless the request may go on."""
    if not settings.api_keys:
        _check_local(headers)
        return
    if path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
        return
    key = presented_key(headers)
    if key is None:
        raise HttpError(
            401,
            "api_key_missing",
            "an API key is needed: send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if not is_known(key, settings.api_keys):
        raise HttpError(
            401,
            "api_key_wrong",
            "this API key is not one of the service's",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )


def presented_key(headers: Headers) -> str | None:
    """The key of a request, from either header."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or None


def is_known(key: str, hashes: tuple[str, ...]) -> bool:
    """Compare with every key in constant time."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    matches = [hmac.compare_digest(digest, known) for known in hashes]
    return any(matches)


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
