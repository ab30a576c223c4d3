"""A signed-in browser: whose it is, asked again before every action."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from arcid.errors import ArcidError
from arcid.server.console import strings as S
from arcid.server.console.auth.account import Account
from arcid.server.console.auth.accounts import Accounts
from arcid.server.console.auth.errors import NotAllowed, SignedOut
from arcid.server.console.auth.roles import Permission

log = logging.getLogger(__name__)
REMEMBER_S = 0.5  # how long a session that was found valid serves script files without a question
WATCH_S = 0.5  # how often those of open sockets are asked for, all in one question
TOLD_S = 0.2  # from telling a page that its session has ended to ending its socket


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
        account = await asyncio.to_thread(self.accounts.sessions.find, self.token)
        if account is None:
            raise SignedOut(S.SIGNED_OUT)
        if not account.may(permission):
            raise NotAllowed(S.NOT_ALLOWED)
        return account


class Sessions:
    """Sessions by token; each is remembered for moments, since a page asks for many files.

    ``ended`` is told the token of each that ends while a socket of it is open, wherever it was
    ended. Touched by the event loop only.
    """

    def __init__(self, accounts: Accounts, ended: Callable[[str], None]) -> None:
        self._accounts = accounts
        self._ended = ended
        self._known: dict[str, tuple[Session, float]] = {}
        self._sockets: dict[str, set[asyncio.Event]] = {}
        self._watching: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Ask no more."""
        if self._watching is not None:
            self._watching.cancel()

    @contextmanager
    def socket(self, token: str) -> Iterator[asyncio.Event]:
        """For as long as a socket is open: what is set within a second of its session's end."""
        ended = asyncio.Event()
        self._sockets.setdefault(token, set()).add(ended)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        try:
            yield ended
        finally:
            self._sockets[token].discard(ended)
            if not self._sockets[token]:
                del self._sockets[token]

    async def _watch(self) -> None:
        while self._sockets:
            await asyncio.sleep(WATCH_S)
            asked = set(self._sockets)
            try:
                gone = asked - await asyncio.to_thread(self._accounts.sessions.alive, asked)
            except ArcidError as error:
                log.warning("sessions could not be asked for", extra={"code": error.code})
                continue
            for token in gone:
                self.forget(token)
                self._ended(token)
            if gone:
                await asyncio.sleep(TOLD_S)
            for token in gone:
                for ended in self._sockets.get(token, ()):
                    ended.set()

    async def find(self, token: str) -> Session | None:
        """None where it has ended."""
        known = self._known.get(token)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        account = await asyncio.to_thread(self._accounts.sessions.find, token)
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
