"""Which pages of other sites may call ``/v1/`` from a browser: none, unless the settings name them.

Exact origins only. Credentials are never let through: a page shows its API key in a header, and the
console's cookie is for the console's own pages.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
TAKEN = ("Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "X-Request-ID")
SHOWN = ("X-Request-ID", "Retry-After", "Idempotent-Replayed", "Arcid-Receipt")
REMEMBERED_S = 600  # by a browser


class Cors:
    """Outermost: a browser asks without a key first, and refusals have to be readable too."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._shared = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=TAKEN,
            expose_headers=SHOWN,
            allow_credentials=False,
            max_age=REMEMBERED_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shared = scope["type"] == "http" and scope["path"].startswith("/v1/")
        await (self._shared if shared else self._app)(scope, receive, send)
