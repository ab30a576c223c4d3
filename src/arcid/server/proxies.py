"""What proxies say about their clients: believed of those the settings name, of nobody else."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from arcid.server.addresses import ip_of
from arcid.server.settings import UNIX


class Proxies:
    """``X-Forwarded-For``, ``-Proto`` and ``-Host`` of trusted peers become client, scheme, host.

    The client is the right-most address of ``X-Forwarded-For`` that is no trusted proxy; what
    stands left of it anybody could have written. uvicorn's middleware does that and the scheme.
    """

    def __init__(self, app: ASGIApp, trusted: tuple[str, ...]) -> None:
        inner: Any = app  # uvicorn has types of its own for the same ASGI
        self._believing = ProxyHeadersMiddleware(inner, list(trusted))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            peer = scope.get("client") or (UNIX, 0)
            host = str(ip_of(peer[0]) or peer[0])
            scope["client"] = (host, peer[1])
            if host in self._believing.trusted_hosts:
                scope["headers"] = _with_host(scope["headers"])
        scope_: Any = scope
        receive_: Any = receive
        send_: Any = send
        await self._believing(scope_, receive_, send_)


def _with_host(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    named = [value for name, value in headers if name == b"x-forwarded-host"]
    if not named or not (host := named[-1].rpartition(b",")[2].strip()):
        return headers
    return [(b"host", host), *(pair for pair in headers if pair[0] != b"host")]
