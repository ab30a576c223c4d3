"""Who may come in: by a password, by a provider, by whatever proves more. Every method blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.database import Database
from arcid.gallery.store.audit import append
from arcid.gallery.store.journal import now_us
from arcid.server.addresses import ip_of
from arcid.server.console import strings as S
from arcid.server.console.auth import opened
from arcid.server.console.auth.account import Account, find_account, free_name, insert, note, record
from arcid.server.console.auth.attempts import Attempts, Noting, attempt_keys, nobodys_key
from arcid.server.console.auth.errors import SignInRefused
from arcid.server.console.auth.opened import Waits
from arcid.server.console.auth.passwords import Passwords, name_key
from arcid.server.console.auth.schema import accounts, attempts, sessions
from arcid.server.console.auth.second import Demand, demanded
from arcid.server.throttle import client_of

if TYPE_CHECKING:
    from arcid.server.console.auth.oidc import Known


class Entry:
    """Thread-safe. ``demand``: who needs a second factor."""

    def __init__(self, database: Database, passwords: Passwords, demand: Demand) -> None:
        self._database = database
        self._passwords = passwords
        self._demand = demand
        self._attempts = Attempts(database)

    def sign_in(
        self, name: str, password: str, address: str, browser: str = ""
    ) -> tuple[str, Account]:
        """A new session's token and its account. ``browser``: in words.

        Where the account has a second factor, or needs one, the session is ``waiting`` at first.
        Raises ``SignInRefused``, or ``TooManyAttempts`` before the password is looked at.
        """
        keys, row = self._checked(name, password, address)
        now = now_us()
        with self._database.write() as connection:
            connection.execute(attempts.delete().where(attempts.c.key == keys["both"]))
            connection.execute(sessions.delete().where(sessions.c.expires_at < now))
            values: dict[str, Any] = {"signed_in_at": now}
            if self._passwords.is_outdated(row["password"]):
                values["password"] = self._passwords.hash(row["name"], password)
            as_checked = sa.and_(
                accounts.c.id == row["id"],
                accounts.c.password == row["password"],
                accounts.c.enabled == 1,
            )
            done = connection.execute(accounts.update().where(as_checked).values(**values))
            if done.rowcount == 0:  # changed, closed or deleted while the password was checked
                raise SignInRefused(S.SIGN_IN_WRONG)
            ip, account = ip_of(address), record(connection, find_account(connection, row["uid"]))
            waits: Waits | None = None
            if account.factors or demanded(self._demand, account.role):
                waits = "second" if account.factors else "enrol"
            place = {"address": None if ip is None else str(ip), "browser": browser or None}
            return opened.begin(connection, row, place, "password", waits), account

    def confirm(self, name: str, password: str, address: str) -> None:
        """Whether somebody who is signed in knows the password; raises as ``sign_in``."""
        self._checked(name, password, address)

    def from_provider(self, known: Known, address: str, browser: str = "") -> tuple[str, Account]:
        """A session of somebody a provider knows, whose account is made where there is none.

        The role is the provider's word, every time. Raises ``SignInRefused`` where it is closed.
        """
        c = accounts.c
        mine = sa.and_(c.issuer == known.issuer, c.subject == known.subject)
        with self._database.write() as connection:
            row = connection.execute(sa.select(accounts).where(mine)).mappings().first()
            if row is None:
                name = free_name(connection, known.names)
                made = insert(connection, name, "", known.role, (known.issuer, known.subject))
                note(connection, "add", made)
            elif not row["enabled"]:
                raise SignInRefused(S.SIGN_IN_WRONG)
            elif row["role"] != known.role:
                connection.execute(accounts.update().where(mine).values(role=known.role))
                connection.execute(sessions.delete().where(sessions.c.account_id == row["id"]))
                note(
                    connection,
                    "change",
                    record(connection, dict(row) | {"role": known.role}),
                    "role",
                )
            uid = connection.execute(sa.select(c.uid).where(mine)).scalar_one()
        return self.begin(uid, "provider", address, browser)

    def begin(
        self, account_id: str, by: str, address: str, browser: str = ""
    ) -> tuple[str, Account]:
        """A session of somebody who proved ``by`` something stronger than a password who they are.

        Raises ``SignInRefused`` where the account is closed, ``AccountRefused`` where it is gone.
        """
        ip, now = ip_of(address), now_us()
        with self._database.write() as connection:
            row = find_account(connection, account_id)
            if not row["enabled"]:
                raise SignInRefused(S.SIGN_IN_WRONG)
            connection.execute(sessions.delete().where(sessions.c.expires_at < now))
            mine = accounts.c.id == row["id"]
            connection.execute(accounts.update().where(mine).values(signed_in_at=now))
            place = {"address": None if ip is None else str(ip), "browser": browser or None}
            token = opened.begin(connection, row, place, by, None)
            return token, record(connection, find_account(connection, account_id))

    def _checked(self, name: str, password: str, address: str) -> tuple[dict[str, str], Any]:
        """The account's row where the password is right, and what its attempts count for."""
        keys = attempt_keys(name, client_of(address))
        self._attempts.check(keys)
        with self._database.read() as connection:
            query = sa.select(accounts).where(accounts.c.name_key == name_key(name))
            row = connection.execute(query).mappings().first()
        right = self._passwords.verify(row["password"] if row else None, password)
        if row is None or not right or not row["enabled"]:
            self._count(keys, row)
            raise SignInRefused(S.SIGN_IN_WRONG)
        return keys, row

    def _count(self, keys: dict[str, str], row: Any) -> None:
        """For the audit: the 1st, 2nd, 4th, 8th … wrong password of an account, and of names that
        nobody has, so that nobody fills it. In one transaction either way, which takes as long."""

        def note_it(connection: Connection, failures: int) -> None:
            subject = f"account:{row['uid'] if row else 'unknown'}"
            details = {"by": "password", "failures": failures}
            append(connection, verb="session.refuse", subject=subject, details=details)

        if row is None:
            keys = keys | nobodys_key()
        self._attempts.count(keys, Noting("name" if row else "nobody", note_it))
