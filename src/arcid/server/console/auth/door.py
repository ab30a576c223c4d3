"""From a name and a password to a browser's cookie, and from the cookie to its session.

Cookies are signed, HTTP-only and same-site. Requests that change something, and every WebSocket,
must come from our own pages (``Origin``).
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from arcid.events import acting
from arcid.server.addresses import ip_of
from arcid.server.auth import address_of, audited_address
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.auth.accounts import Account, Accounts, Waiting, Waits
from arcid.server.console.auth.browsers import browser_of
from arcid.server.console.auth.errors import AccountRefused, SignedOut, TooManyAttempts
from arcid.server.console.auth.first import FirstAccount
from arcid.server.console.auth.oidc import LIFE_S, ProviderUnreachable, SingleSignOn
from arcid.server.console.auth.passkeys import Site, available
from arcid.server.console.auth.second import Demand, Draft
from arcid.server.console.auth.secret import is_set_up, load_secret, sign, unsign
from arcid.server.console.auth.session import Session, Sessions
from arcid.server.throttle import client_of

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
COOKIE = "arcid_session"
LEAVING, LEAVING_PATH = "arcid_oidc", f"{ROOT}/sign-in/oidc"  # a cookie
HASHING_AT_ONCE, MAX_HASHING = 1, 32
ASKING_AT_ONCE, MAX_ASKING = 4, 32
SAFE_METHODS = frozenset({"GET", "HEAD"})


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
        self.sso = sso
        self._provider = ThreadPoolExecutor(ASKING_AT_ONCE, thread_name_prefix="arcid-provider")
        self._asking = 0
        self.secret = load_secret(home) if is_set_up(home) else None  # else by the first sign-in
        self.accounts = Accounts.open(url, demand=demand)
        self.sessions = Sessions(self.accounts, left)
        self._passwords = ThreadPoolExecutor(HASHING_AT_ONCE, thread_name_prefix="arcid-password")
        self._hashing = 0  # at work and waiting

    def close(self) -> None:
        for pool in (self._passwords, self._provider):
            pool.shutdown(wait=False, cancel_futures=True)
        self.accounts.close()

    async def session(self, request: HTTPConnection) -> Session | None:
        """The session of a request's cookie."""
        token = self._token(request)
        return None if token is None else await self.sessions.find(token)

    async def waiting(self, request: HTTPConnection) -> Waiting | None:
        """Whose password was right and who is not let in yet."""
        token = self._token(request)
        return None if token is None else await asyncio.to_thread(self.accounts.waiting, token)

    def _token(self, request: HTTPConnection) -> str | None:
        if self.secret is None:
            return None
        return unsign(self.secret, request.cookies.get(COOKIE, ""))

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
        browser = browser_of(request.headers.get("user-agent", ""))
        address = address_of(request)
        return await self._with_password(self.accounts.sign_in, name, password, address, browser)

    async def set_up(
        self, request: HTTPConnection, code: str, name: str, password: str, repeated: str | None
    ) -> tuple[str, Account]:
        """The first account, signed in. Raises ``AccountRefused`` and as ``sign_in``."""
        self._first.check(code, address_of(request))
        if password != repeated:
            raise AccountRefused(S.PASSWORDS_DIFFER)
        await self._with_password(self.accounts.set_up, name, password)
        self._first.done()
        return await self.sign_in(request, name, password)

    async def second(self, request: HTTPConnection, code: str) -> tuple[str, Account]:
        """The session of somebody who waits for it. Raises ``SignedOut`` and as
        ``SecondFactors.check``."""
        account = (await self._awaited(request, "second")).account
        check = self.accounts.second.check
        with self._acting(account, request):
            how = await asyncio.to_thread(check, account.id, code, self.secret)
        return await self._let_in(request, f"password+{how}"), account

    async def leave(self, request: HTTPConnection, after: str) -> Response:
        """Send a browser to the provider. Raises ``ProviderUnreachable``, ``TooManyAttempts``."""
        address, sealed = await self._at_provider(self._sso.leave, after, await self.key())
        response = RedirectResponse(address, 303)
        secure = request.url.scheme == "https"
        response.set_cookie(
            LEAVING, sealed, path=LEAVING_PATH, max_age=LIFE_S, httponly=True, samesite="lax",
            secure=secure,
        )  # fmt: skip
        return response

    async def come_back(self, request: HTTPConnection) -> tuple[str, Account, str]:
        """The session of whoever comes from the provider, and where they wanted to go. Raises
        ``ProviderRefused``, ``SignInRefused`` and as ``leave``."""
        told, cookie = dict(request.query_params), request.cookies.get(LEAVING, "")
        come_back, key = self._sso.come_back, await self.key()
        known, after = await self._at_provider(come_back, told, cookie, key)
        browser, address = browser_of(request.headers.get("user-agent", "")), address_of(request)
        with acting("anybody", audited_address(request)):
            enter = self.accounts.from_provider
            token, account = await asyncio.to_thread(enter, known, address, browser)
        self.sessions.forget()
        return token, account, after

    @property
    def _sso(self) -> SingleSignOn:
        if self.sso is None:
            raise AccountRefused(S.OIDC_DOWN)
        return self.sso

    async def _at_provider(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call that may wait for the provider, in threads that nothing else needs."""
        if self._asking >= MAX_ASKING:
            raise TooManyAttempts(S.SIGN_IN_BUSY, retry_after_s=2)
        self._asking += 1
        try:
            work = functools.partial(call, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._provider, work)
        finally:
            self._asking -= 1

    def site(self, request: HTTPConnection) -> Site | None:
        """Where a passkey of this request's page would count; None where none can.

        The public address where one is set, and without it localhost: no other name that a request
        brings is believed.
        """
        host = request.headers.get("host", "")
        here = f"{request.url.scheme.replace('ws', 'http')}://{host}".lower()
        origin = self._public_url or (here if host.partition(":")[0] == "localhost" else None)
        name = urlsplit(origin or "").hostname
        if not available() or origin != here or not name or ip_of(name) is not None:
            return None
        return Site(name, origin)

    async def passkey_question(self, request: HTTPConnection) -> str:
        """What the browser is asked for a passkey. Raises ``AccountRefused``."""
        site, waiting = self._here(request), await self.waiting(request)
        account_id = waiting.account.id if waiting and waiting.waits == "second" else None
        ask = self.accounts.passkeys.question
        return await asyncio.to_thread(ask, site, await self.key(), account_id)

    async def with_passkey(self, request: HTTPConnection, answer: str) -> tuple[str, Account]:
        """The session of somebody who showed one, alone or after the password. Raises
        ``AccountRefused`` and as ``Passkeys.check``."""
        site, waiting = self._here(request), await self.waiting(request)
        second = waiting is not None and waiting.waits == "second"
        account_id = waiting.account.id if waiting is not None and second else None
        address, key = address_of(request), await self.key()
        with acting(f"account:{account_id}" if account_id else "anybody", audited_address(request)):
            check = self.accounts.passkeys.check
            client = client_of(address)
            found = await asyncio.to_thread(check, answer, site, key, client, account_id)
        if waiting is not None and second:
            return await self._let_in(request, "password+passkey"), waiting.account
        browser = browser_of(request.headers.get("user-agent", ""))
        return await asyncio.to_thread(self.accounts.begin, found, "passkey", address, browser)

    async def passkey_registration(self, request: HTTPConnection) -> str:
        """What the browser is asked for a new passkey. Raises ``SignedOut``, ``AccountRefused``."""
        account, _ = await self.setting_up(request)
        site, ask = self._here(request), self.accounts.passkeys.registration
        return await asyncio.to_thread(ask, account.id, site, await self.key())

    async def add_passkey(
        self, request: HTTPConnection, name: str, answer: str, password: str
    ) -> tuple[str, list[str]]:
        """The token of the session from now on, and recovery codes where there were none. Raises
        ``SignedOut`` and as ``confirm`` and ``Passkeys.register``."""
        account, waits = await self.setting_up(request)
        site, key, register = self._here(request), await self.key(), self.accounts.passkeys.register
        if not waits:
            await self.confirm(request, account, password)
        with self._acting(account, request):
            codes = await asyncio.to_thread(
                register, account.id, name, answer, site, key, first=waits
            )
            return await self._stronger(request, waits, "password+passkey"), codes

    async def remove_passkey(self, request: HTTPConnection, passkey: int, password: str) -> None:
        """One of one's own. Raises as ``confirm``."""
        account = await self._signed_in(request)
        await self.confirm(request, account, password)
        with self._acting(account, request):
            await asyncio.to_thread(self.accounts.passkeys.remove, account.id, passkey)

    def _here(self, request: HTTPConnection) -> Site:
        site = self.site(request)
        if site is None:
            raise AccountRefused(S.PASSKEY_NOT_HERE)
        return site

    async def _stronger(self, request: HTTPConnection, waits: bool, by: str) -> str:
        """The token of a session whose account has a second factor from now on."""
        token = self._token(request)
        assert token is not None
        if waits:
            return await self._let_in(request, by)
        await asyncio.to_thread(self.accounts.strengthen, token)
        self.sessions.forget(token)
        return token

    async def draft(self, request: HTTPConnection, sealed: str | None = None) -> Draft:
        """A new secret for an authenticator app, or the one that was handed out ``sealed``.

        Raises ``SignedOut``, ``AccountRefused``.
        """
        account, _ = await self.setting_up(request)
        second, key = self.accounts.second, await self.key()
        if sealed is None:
            return second.draft(account.id, account.name, key)
        return second.drafted(account.id, account.name, sealed, key)

    async def add_app(
        self, request: HTTPConnection, draft: Draft, code: str, password: str
    ) -> tuple[str, list[str]]:
        """The token of the session from now on, and recovery codes. Raises as ``draft``,
        ``confirm`` and ``SecondFactors.add``."""
        account, waits = await self.setting_up(request)
        if not waits:
            await self.confirm(request, account, password)
        second, key = self.accounts.second, await self.key()
        with self._acting(account, request):
            codes = await asyncio.to_thread(second.add, account.id, draft, code, key, first=waits)
            return await self._stronger(request, waits, "password+app"), codes

    async def renew_codes(self, request: HTTPConnection, password: str) -> list[str]:
        """New recovery codes. Raises as ``confirm``, ``AccountRefused`` where none are needed."""
        account = await self._signed_in(request)
        await self.confirm(request, account, password)
        with self._acting(account, request):
            return await asyncio.to_thread(self.accounts.second.renew_codes, account.id)

    async def remove_second(self, request: HTTPConnection, password: str) -> None:
        """Let the password alone be asked for again. Raises as ``confirm``."""
        account = await self._signed_in(request)
        await self.confirm(request, account, password)
        with self._acting(account, request):
            await asyncio.to_thread(self.accounts.second.remove, account.id)

    async def setting_up(self, request: HTTPConnection) -> tuple[Account, bool]:
        """Who may set up a second factor: somebody who is signed in, or who waits (True) for just
        that. Raises ``SignedOut``."""
        waiting = await self.waiting(request)
        if waiting is not None and waiting.waits == "enrol" and not waiting.account.factors:
            return waiting.account, True
        return await self._signed_in(request), False

    async def confirm(self, request: HTTPConnection, account: Account, password: str) -> None:
        """Before how somebody signs in is changed. Raises as ``sign_in``."""
        confirm, address = self.accounts.confirm, address_of(request)
        await self._with_password(confirm, account.name, password, address)

    async def key(self) -> bytes:
        """Of the console, made where there is none. Raises ``ConfigError``."""
        if self.secret is None:
            self.secret = await asyncio.to_thread(load_secret, self._home)
        return self.secret

    async def _signed_in(self, request: HTTPConnection) -> Account:
        session = await self.session(request)
        if session is None:
            raise SignedOut(S.SIGNED_OUT)
        return session.account

    async def _awaited(self, request: HTTPConnection, waits: Waits) -> Waiting:
        waiting = await self.waiting(request)
        if waiting is None or waiting.waits != waits:
            raise SignedOut(S.SIGNED_OUT)
        return waiting

    async def _let_in(self, request: HTTPConnection, by: str) -> str:
        token = self._token(request)
        assert token is not None
        return await asyncio.to_thread(self.accounts.let_in, token, by)

    def _acting(self, account: Account, request: HTTPConnection) -> AbstractContextManager[None]:
        return acting(f"account:{account.id}", audited_address(request))

    async def farewell(self, request: HTTPConnection) -> str | None:
        """Where whoever signs out has to go on to, so as to be signed out at the provider too."""
        session = await self.session(request)
        if session is None or self.sso is None:
            return None
        if session.account.issuer != self.sso.provider.issuer:
            return None
        with suppress(ProviderUnreachable, TooManyAttempts):
            return await self._at_provider(self.sso.leave_for_good)
        return None

    async def sign_out(self, request: HTTPConnection, response: Response) -> None:
        """End the session of the request and have the answer take its cookie."""
        session, token = await self.session(request), self._token(request)
        if session is not None:
            self.sessions.forget(session.token)
            with self._acting(session.account, request):
                await asyncio.to_thread(self.accounts.sign_out, session.token)
            self._left(session.token)
        elif token is not None:  # one that waits
            await asyncio.to_thread(self.accounts.sign_out, token)
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

    async def _with_password(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call that hashes, which takes 64 MiB and all cores: beside few others of its kind.

        Raises ``TooManyAttempts`` where many wait.
        """
        if self._hashing >= MAX_HASHING:
            raise TooManyAttempts(S.SIGN_IN_BUSY, retry_after_s=2)
        self._hashing += 1
        try:
            work = functools.partial(call, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._passwords, work)
        finally:
            self._hashing -= 1


def same_origin(scope: Scope) -> bool:
    """Browsers send ``Origin`` with every POST and WebSocket; who sends none is not trusted."""
    headers = Headers(scope=scope)
    origin = urlsplit(headers.get("origin", ""))
    if scope["scheme"] in {"https", "wss"} and origin.scheme != "https":
        return False
    return origin.netloc.lower() == headers.get("host", "").lower() != ""
