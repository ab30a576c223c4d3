"""What somebody has beside the password, looked after by themselves: apps, codes, passkeys."""

from __future__ import annotations

import asyncio

from starlette.requests import HTTPConnection

from arcid.server.auth import address_of
from arcid.server.console.auth.account import Account
from arcid.server.console.auth.door import Door
from arcid.server.console.auth.second import Draft


class OwnFactors:
    """Of whoever sends the request, who shows the password again."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._accounts = door.accounts

    async def setting_up(self, request: HTTPConnection) -> tuple[Account, bool]:
        """Who may set up a second factor: somebody who is signed in, or who waits (True) for just
        that. Raises ``SignedOut``."""
        waiting = await self._door.waiting(request)
        if waiting is not None and waiting.waits == "enrol" and not waiting.account.factors:
            return waiting.account, True
        return await self._door.signed_in(request), False

    async def _confirm(self, request: HTTPConnection, account: Account, password: str) -> None:
        """Before how somebody signs in is changed. Raises as ``Entry.sign_in``."""
        confirm, address = self._accounts.entry.confirm, address_of(request)
        with self._door.acting(account, request):
            await self._door.passwords.run(confirm, account.name, password, address)

    async def passkey_registration(self, request: HTTPConnection) -> str:
        """What the browser is asked for a new passkey. Raises ``SignedOut``, ``AccountRefused``."""
        account, _ = await self.setting_up(request)
        site, ask = self._door.here(request), self._accounts.passkeys.registration
        return await asyncio.to_thread(ask, account.id, site, await self._door.key())

    async def add_passkey(
        self, request: HTTPConnection, name: str, answer: str, password: str
    ) -> tuple[str, list[str]]:
        """The token of the session from now on, and recovery codes where there were none. Raises
        ``SignedOut`` and as ``Entry.confirm`` and ``Passkeys.register``."""
        account, waits = await self.setting_up(request)
        site, key = self._door.here(request), await self._door.key()
        register = self._accounts.passkeys.register
        if not waits:
            await self._confirm(request, account, password)
        with self._door.acting(account, request):
            codes = await asyncio.to_thread(
                register, account.id, name, answer, site, key, first=waits
            )
            return await self._stronger(request, waits, "password+passkey"), codes

    async def remove_passkey(self, request: HTTPConnection, passkey: int, password: str) -> None:
        """One of one's own. Raises as ``Entry.confirm``."""
        account = await self._door.signed_in(request)
        await self._confirm(request, account, password)
        with self._door.acting(account, request):
            await asyncio.to_thread(self._accounts.passkeys.remove, account.id, passkey)

    async def draft(self, request: HTTPConnection, sealed: str | None = None) -> Draft:
        """A new secret for an authenticator app, or the one that was handed out ``sealed``.

        Raises ``SignedOut``, ``AccountRefused``.
        """
        account, _ = await self.setting_up(request)
        second, key = self._accounts.second, await self._door.key()
        if sealed is None:
            return second.draft(account.id, account.name, key)
        return second.drafted(account.id, account.name, sealed, key)

    async def add_app(
        self, request: HTTPConnection, draft: Draft, code: str, password: str
    ) -> tuple[str, list[str]]:
        """The token of the session from now on, and recovery codes. Raises as ``draft``,
        ``Entry.confirm`` and ``SecondFactors.add``."""
        account, waits = await self.setting_up(request)
        if not waits:
            await self._confirm(request, account, password)
        second, key = self._accounts.second, await self._door.key()
        with self._door.acting(account, request):
            codes = await asyncio.to_thread(second.add, account.id, draft, code, key, first=waits)
            return await self._stronger(request, waits, "password+app"), codes

    async def renew_codes(self, request: HTTPConnection, password: str) -> list[str]:
        """New recovery codes. Raises as ``Entry.confirm``."""
        account = await self._door.signed_in(request)
        await self._confirm(request, account, password)
        with self._door.acting(account, request):
            return await asyncio.to_thread(self._accounts.second.renew_codes, account.id)

    async def remove_second(self, request: HTTPConnection, password: str) -> None:
        """Let the password alone be asked for again. Raises as ``Entry.confirm``."""
        account = await self._door.signed_in(request)
        await self._confirm(request, account, password)
        with self._door.acting(account, request):
            await asyncio.to_thread(self._accounts.second.remove, account.id)

    async def _stronger(self, request: HTTPConnection, waits: bool, by: str) -> str:
        """The token of a session whose account has a second factor from now on."""
        token = self._door.token(request)
        assert token is not None
        if waits:
            return await self._door.let_in(request, by)
        await asyncio.to_thread(self._accounts.sessions.strengthen, token)
        self._door.sessions.forget(token)
        return token
