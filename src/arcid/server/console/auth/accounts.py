"""Accounts of the console, in the gallery's database; beside them who is signed in.

Passwords are kept as argon2id hashes. Every method is one transaction and blocks: call it from a
thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from arcid.cameras.schema import migrate as take_cameras
from arcid.gallery.database import Database
from arcid.gallery.migrating import upgrade
from arcid.server.console import strings as S
from arcid.server.console.auth import schema
from arcid.server.console.auth.account import (
    Account,
    KioskRules,
    checked_name,
    find_account,
    insert,
    keep_an_admin,
    note,
    record,
)
from arcid.server.console.auth.attempts import attempt_keys
from arcid.server.console.auth.copies import Doubt, doubt
from arcid.server.console.auth.entry import Entry
from arcid.server.console.auth.errors import AccountRefused
from arcid.server.console.auth.opened import OpenSessions
from arcid.server.console.auth.passkeys import Passkeys
from arcid.server.console.auth.passwords import Passwords, name_key
from arcid.server.console.auth.roles import role_of
from arcid.server.console.auth.schema import accounts, attempts, sessions
from arcid.server.console.auth.second import Demand, SecondFactors

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIGRATIONS = Path(schema.__file__).parent / "migrations"


class Accounts:
    """Thread-safe. Several processes may hold one each. ``demand``: who needs a second factor."""

    def __init__(
        self,
        database: Database,
        hasher: PasswordHasher | None = None,
        demand: Demand = "optional",
    ) -> None:
        self._database = database
        self._passwords = Passwords(hasher)
        self.entry = Entry(database, self._passwords, demand)
        self.sessions = OpenSessions(database, demand)
        self.second = SecondFactors(database)
        self.passkeys = Passkeys(database)
        take_cameras(database)  # theirs were among these tables once
        upgrade(database, MIGRATIONS, schema.VERSION_TABLE, schema.KNOWN, "the console's tables")

    @classmethod
    def open(
        cls,
        url: str | Path,
        hasher: PasswordHasher | None = None,
        demand: Demand = "optional",
    ) -> Accounts:
        """Beside the gallery of that path or URL; raises as ``Gallery.open``."""
        return cls(Database(url), hasher, demand)

    def key_doubt(self, home: Path) -> Doubt | None:
        """What speaks against the console's key in ``home``; see ``copies.doubt``."""
        return doubt(self._database, home)

    def close(self) -> None:
        """What is being noted is waited for."""
        self.sessions.close()
        self._database.close()

    def exist(self) -> bool:
        """Whether set-up is done."""
        with self._database.read() as connection:
            return connection.execute(sa.select(accounts.c.id).limit(1)).first() is not None

    def set_up(self, name: str, password: str) -> Account:
        """The first account, an admin. Raises ``AccountRefused`` where there is one already."""
        hashed = self._passwords.hash(checked_name(name), password)
        with self._database.write() as connection:
            if connection.execute(sa.select(accounts.c.id).limit(1)).first() is not None:
                raise AccountRefused(S.SET_UP_DONE)
            return note(connection, "add", insert(connection, name, hashed, "admin"))

    def add(self, name: str, password: str, role: str) -> Account:
        """Raises ``AccountRefused`` (name taken, password too short), ``UsageError`` (role)."""
        kind = role_of(role)
        hashed = self._passwords.hash(checked_name(name), password)
        with self._database.write() as connection:
            return note(connection, "add", insert(connection, name, hashed, kind))

    def all(self) -> list[Account]:
        """By name."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(accounts).order_by(accounts.c.name_key))
            return [record(connection, row) for row in rows.mappings().all()]

    def named(self, name: str) -> Account:
        """Raises ``AccountRefused`` where there is none."""
        with self._database.read() as connection:
            query = sa.select(accounts).where(accounts.c.name_key == name_key(name))
            row = connection.execute(query).mappings().first()
            if row is None:
                raise AccountRefused(S.ACCOUNT_UNKNOWN.format(name=name))
            return record(connection, row)

    def change(
        self,
        account_id: str,
        *,
        role: str | None = None,
        enabled: bool | None = None,
        password: str | None = None,
    ) -> Account:
        """Change what is given and end the account's sessions. An enabled admin always remains.

        A new password also ends the wait after wrong ones.
        """
        with self._database.read() as connection:
            found = find_account(connection, account_id)
        if password is not None and found["issuer"] is not None:
            raise AccountRefused(S.ACCOUNT_ELSEWHERE)
        values: dict[str, Any] = {}
        if role is not None:
            values["role"] = role_of(role)
        if enabled is not None:
            values["enabled"] = int(enabled)
        if password is not None:
            values["password"] = self._passwords.hash(found["name"], password)
        with self._database.write() as connection:
            row = find_account(connection, account_id)
            if values:
                connection.execute(
                    accounts.update().where(accounts.c.id == row["id"]).values(**values)
                )
                connection.execute(sessions.delete().where(sessions.c.account_id == row["id"]))
            if password is not None:
                key = attempt_keys(row["name"], "")["name"]
                connection.execute(attempts.delete().where(attempts.c.key == key))
            keep_an_admin(connection)
            done = record(connection, find_account(connection, account_id))
            return note(connection, "change", done, *values) if values else done

    def set_kiosk(self, account_id: str, rules: KioskRules) -> Account:
        """Kiosks of the account that are open follow within seconds; nobody is signed out."""
        with self._database.write() as connection:
            row = find_account(connection, account_id)
            connection.execute(
                accounts.update()
                .where(accounts.c.id == row["id"])
                .values(kiosk_collection=rules.collection_id, kiosk_challenge=int(rules.challenge))
            )
            return record(connection, find_account(connection, account_id))

    def delete(self, account_id: str) -> None:
        """With its sessions. An enabled admin always remains."""
        with self._database.write(erases=True) as connection:
            row = find_account(connection, account_id)
            gone = record(connection, row)
            connection.execute(accounts.delete().where(accounts.c.id == row["id"]))
            keep_an_admin(connection)
            note(connection, "delete", gone)

    def reset_second(self, account_id: str) -> Account:
        """For somebody who lost theirs: the second factor goes, and every session ends."""
        self.second.remove(account_id)
        self.sessions.end_all(account_id)
        with self._database.read() as connection:
            return record(connection, find_account(connection, account_id))
