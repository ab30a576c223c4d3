"""A signed-in browser: whose it is, asked again before every action."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from arcid.server.console import strings as S
from arcid.server.console.auth.accounts import Account, Accounts
from arcid.server.console.auth.errors import NotAllowed, SignedOut
from arcid.server.console.auth.roles import Permission

REMEMBER_S = 2.0  # how long a session that was found valid serves script files without a question


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's, with the account as it was when the session was looked up."""

    token: str = field(repr=False)
    account: Account
    accounts: Accounts = field(repr=False)

    def may(self, permission: Permission) -> bool:
        """For what to show; ``allow`` is what protects."""
        return self.account.may(permission)

    async def allow(self, permission: Permission) -> Account:
        """The account as it is now; raises ``SignedOut`` or ``NotAllowed`` if it may not."""
        account = await asyncio.to_thread(self.accounts.session, self.token)
        if account is None:
            raise SignedOut(S.SIGNED_OUT)
        if not account.may(permission):
            raise NotAllowed(S.NOT_ALLOWED)
        return account


class Sessions:
    """Sessions by token; each is remembered for moments, since a page asks for many files."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._known: dict[str, tuple[Session, float]] = {}

    async def find(self, token: str) -> Session | None:
        """None where it has ended."""
        known = self._known.get(token)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        account = await asyncio.to_thread(self._accounts.session, token)
        if account is None:
            self._known.pop(token, None)
            return None
        session = Session(token, account, self._accounts)
        self._known[token] = (session, time.monotonic() + REMEMBER_S)
        return session

    def forget(self, token: str | None = None) -> None:
        """Ask the database again about one session, or about all."""
        if token is None:
            self._known.clear()
        else:
            self._known.pop(token, None)
