"""The way of a browser to a provider and back."""

from __future__ import annotations

from contextlib import suppress

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response

from arcid.server.console import ROOT
from arcid.server.console.auth.account import Account
from arcid.server.console.auth.errors import TooManyAttempts
from arcid.server.console.auth.oidc import LIFE_S, Known, ProviderUnreachable, SingleSignOn
from arcid.server.console.auth.queue import Queue

LEAVING, LEAVING_PATH = "arcid_oidc", f"{ROOT}/sign-in/oidc"  # a cookie


class AtProvider:
    """``key`` is always the console's."""

    def __init__(self, sso: SingleSignOn) -> None:
        self._sso = sso
        self._calls = Queue("provider", 4)

    @property
    def name(self) -> str:
        """For the button."""
        return self._sso.provider.name

    def close(self) -> None:
        self._calls.close()

    async def leave(self, request: HTTPConnection, after: str, key: bytes) -> Response:
        """Send a browser to the provider. Raises ``ProviderUnreachable``, ``TooManyAttempts``."""
        address, sealed = await self._calls.run(self._sso.leave, after, key)
        response = RedirectResponse(address, 303)
        secure = request.url.scheme == "https"
        response.set_cookie(
            LEAVING, sealed, path=LEAVING_PATH, max_age=LIFE_S, httponly=True, samesite="lax",
            secure=secure,
        )  # fmt: skip
        return response

    async def come_back(self, request: HTTPConnection, key: bytes) -> tuple[Known, str]:
        """Whom the provider knows, and where they wanted to go. Raises ``ProviderRefused`` and as
        ``leave``."""
        told, cookie = dict(request.query_params), request.cookies.get(LEAVING, "")
        return await self._calls.run(self._sso.come_back, told, cookie, key)

    async def farewell(self, account: Account) -> str | None:
        """Where whoever signs out has to go on to, so as to be signed out at the provider too."""
        if account.issuer != self._sso.provider.issuer:
            return None
        with suppress(ProviderUnreachable, TooManyAttempts):
            return await self._calls.run(self._sso.leave_for_good)
        return None
