"""From a name and a password to a browser's cookie, and from the cookie to its session.

Cookies are signed, HTTP-only and same-site. Requests that change something, and every WebSocket,
must come from our own pages (``Origin``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from arcid.events import acting
from arcid.server.addresses import ip_of
from arcid.server.auth import address_of, audited_address, of_host
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.auth.account import Account
from arcid.server.console.auth.accounts import Accounts
from arcid.server.console.auth.browsers import browser_of
from arcid.server.console.auth.errors import AccountRefused, SignedOut
from arcid.server.console.auth.first import FirstAccount
from arcid.server.console.auth.oidc import SingleSignOn
from arcid.server.console.auth.opened import Waiting
from arcid.server.console.auth.passkeys import Site, available
from arcid.server.console.auth.provider import AtProvider
from arcid.server.console.auth.queue import Queue
from arcid.server.console.auth.second import Demand
from arcid.server.console.auth.secret import is_set_up, load_secret, sign, unsign
from arcid.server.console.auth.session import Session, Sessions
from arcid.server.throttle import client_of

COOKIE = "arcid_session"
SAFE_METHODS = frozenset({"GET", "HEAD"})


log = logging.getLogger(__name__)


class Door:
    """The one place that lets a browser in."""

    def __init__(
        self,
        url: str,
        home: Path,
        first: FirstAccount,
        left: Callable[[str], None],
        demand: Demand = "optional",
        public_url: str | None = None,
        sso: SingleSignOn | None = None,
    ) -> None:
        """Blocks: reads the key where there is one and opens the accounts beside the gallery.

        ``left`` is told the token of every session that ends while somebody is here. Raises
        ``ConfigError`` and as ``Accounts.open``.
        """
        self._home = home
        self._first = first
        self._left = left
        self._public_url = public_url
        self.provider = None if sso is None else AtProvider(sso)
        self.secret = load_secret(home) if is_set_up(home) else None  # else by the first sign-in
        self.accounts = Accounts.open(url, demand=demand)
        if found := self.accounts.key_doubt(home):
            log.warning("%s: %s", found.message, found.advice)
        self.sessions = Sessions(self.accounts, left)
        self.passwords = Queue("password", 1)  # a hash takes 64 MiB and all cores

    def close(self) -> None:
        self.passwords.close()
        if self.provider is not None:
            self.provider.close()
        self.accounts.close()

    async def session(self, request: HTTPConnection) -> Session | None:
        """The session of a request's cookie."""
        token = self.token(request)
        return None if token is None else await self.sessions.find(token)

    async def waiting(self, request: HTTPConnection) -> Waiting | None:
        """Whose password was right and who is not let in yet."""
        token = self.token(request)
        if token is None:
            return None
        return await asyncio.to_thread(self.accounts.sessions.waiting, token)

    async def has_accounts(self) -> bool:
        """Whether set-up is done."""
        return await asyncio.to_thread(self.accounts.exist)

    @property
    def accounts_lost(self) -> bool:
        """Whether set-up was done once, so that only the command line may do it again."""
        return is_set_up(self._home)

    async def sign_in(
        self, request: HTTPConnection, name: str, password: str
    ) -> tuple[str, Account]:
        """A new session's token. Raises ``SignInRefused`` and ``TooManyAttempts``."""
        sign_in, place = self.accounts.entry.sign_in, _place(request)
        with acting("anybody", audited_address(request)):
            return await self.passwords.run(sign_in, name, password, *place)

    async def set_up(
        self, request: HTTPConnection, code: str, name: str, password: str, repeated: str | None
    ) -> tuple[str, Account]:
        """The first account, signed in. Raises ``AccountRefused`` and as ``sign_in``."""
        self._first.check(code, address_of(request))
        if password != repeated:
            raise AccountRefused(S.PASSWORDS_DIFFER)
        with acting("setup", audited_address(request)):
            await self.passwords.run(self.accounts.set_up, name, password)
        self._first.done()
        return await self.sign_in(request, name, password)

    async def second(self, request: HTTPConnection, code: str) -> tuple[str, Account]:
        """The session of somebody who waits for it. Raises ``SignedOut`` and as
        ``SecondFactors.check``."""
        waiting = await self.waiting(request)
        if waiting is None or waiting.waits != "second":
            raise SignedOut(S.SIGNED_OUT)
        account = waiting.account
        check = self.accounts.second.check
        with self.acting(account, request):
            how = await asyncio.to_thread(check, account.id, code, self.secret)
        return await self.let_in(request, f"password+{how}"), account

    def site(self, request: HTTPConnection) -> Site | None:
        """Where a passkey of this request's page would count; None where none can.

        The public address where one is set, and without it localhost: no other name that a request
        brings is believed.
        """
        url = request.url  # of the server where the header is no host
        here = f"{url.scheme.replace('ws', 'http')}://{url.netloc}".lower()
        origin = self._public_url or (here if url.hostname == "localhost" else None)
        name = urlsplit(origin or "").hostname
        if not available() or origin != here or not name or ip_of(name) is not None:
            return None
        return Site(name, origin)

    async def passkey_question(self, request: HTTPConnection) -> str:
        """What the browser is asked for a passkey. Raises ``AccountRefused``."""
        site, waiting = self.here(request), await self.waiting(request)
        account_id = waiting.account.id if waiting and waiting.waits == "second" else None
        ask = self.accounts.passkeys.question
        return await asyncio.to_thread(ask, site, await self.key(), account_id)

    async def with_passkey(self, request: HTTPConnection, answer: str) -> tuple[str, Account]:
        """The session of somebody who showed one, alone or after the password. Raises
        ``AccountRefused`` and as ``Passkeys.check``."""
        site, waiting = self.here(request), await self.waiting(request)
        second = waiting is not None and waiting.waits == "second"
        account_id = waiting.account.id if waiting is not None and second else None
        key = await self.key()
        with acting(f"account:{account_id}" if account_id else "anybody", audited_address(request)):
            check = self.accounts.passkeys.check
            client = client_of(address_of(request))
            found = await asyncio.to_thread(check, answer, site, key, client, account_id)
        if waiting is not None and second:
            return await self.let_in(request, "password+passkey"), waiting.account
        begin = self.accounts.entry.begin
        return await asyncio.to_thread(begin, found, "passkey", *_place(request))

    async def come_back(self, request: HTTPConnection) -> tuple[str, Account, str]:
        """The session of whoever comes from the provider, and where they wanted to go. Raises
        ``SignInRefused`` and as ``AtProvider.come_back``."""
        assert self.provider is not None
        known, after = await self.provider.come_back(request, await self.key())
        with acting("anybody", audited_address(request)):
            enter = self.accounts.entry.from_provider
            token, account = await asyncio.to_thread(enter, known, *_place(request))
        self.sessions.forget()
        return token, account, after

    async def farewell(self, request: HTTPConnection) -> str | None:
        """As ``AtProvider.farewell``, of whoever is signed in."""
        session = await self.session(request)
        if session is None or self.provider is None:
            return None
        return await self.provider.farewell(session.account)

    async def sign_out(self, request: HTTPConnection, response: Response) -> None:
        """End the session of the request and have the answer take its cookie."""
        session, token = await self.session(request), self.token(request)
        if session is not None:
            self.sessions.forget(session.token)
            with self.acting(session.account, request):
                await asyncio.to_thread(self.accounts.sessions.sign_out, session.token)
            self._left(session.token)
        elif token is not None:  # one that waits
            await asyncio.to_thread(self.accounts.sessions.sign_out, token)
        response.delete_cookie(COOKIE, path=ROOT, httponly=True, samesite="strict")

    async def welcome(self, request: HTTPConnection, token: str, response: Response) -> None:
        """Have the answer hand the browser its session."""
        response.set_cookie(
            COOKIE,
            sign(await self.key(), token),
            path=ROOT,
            max_age=365 * 24 * 3600,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )

    async def key(self) -> bytes:
        """Of the console, made where there is none. Raises ``ConfigError``."""
        if self.secret is None:
            self.secret = await asyncio.to_thread(load_secret, self._home)
        return self.secret

    async def signed_in(self, request: HTTPConnection) -> Account:
        """Raises ``SignedOut``."""
        session = await self.session(request)
        if session is None:
            raise SignedOut(S.SIGNED_OUT)
        return session.account

    def here(self, request: HTTPConnection) -> Site:
        """As ``site``; raises ``AccountRefused`` where there is none."""
        site = self.site(request)
        if site is None:
            raise AccountRefused(S.PASSKEY_NOT_HERE)
        return site

    def token(self, request: HTTPConnection) -> str | None:
        """Of the request's cookie, whether it opens anything or not."""
        if self.secret is None:
            return None
        return unsign(self.secret, request.cookies.get(COOKIE, ""))

    async def let_in(self, request: HTTPConnection, by: str) -> str:
        """The token of the session of somebody who waited. Raises ``SignedOut``."""
        token = self.token(request)
        assert token is not None
        return await asyncio.to_thread(self.accounts.sessions.let_in, token, by)

    def acting(self, account: Account, request: HTTPConnection) -> AbstractContextManager[None]:
        """For the audit: it is the account's doing."""
        return acting(f"account:{account.id}", audited_address(request))


def _place(request: HTTPConnection) -> tuple[str, str]:
    """From where, and in what browser."""
    return address_of(request), browser_of(request.headers.get("user-agent", ""))


def same_origin(scope: Scope) -> bool:
    """Browsers send ``Origin`` with every POST and WebSocket; who sends none is not trusted."""
    headers = Headers(scope=scope)
    origin, host = headers.get("origin", ""), headers.get("host", "")
    if scope["scheme"] in {"https", "wss"} and not origin.lower().startswith("https:"):
        return False
    return host != "" and of_host(origin, host)
