"""One account of the console: its values, and its row. The functions want a transaction."""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.store.audit import append
from arcid.gallery.store.journal import from_us, now_us
from arcid.server.console import strings as S
from arcid.server.console.auth.errors import AccountRefused
from arcid.server.console.auth.passwords import name_key
from arcid.server.console.auth.roles import Permission, Role, may, role_of
from arcid.server.console.auth.schema import accounts, passkeys, recovery

MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class Factors:
    """What an account has beside its password."""

    app: bool  # an authenticator app
    recovery_left: int  # codes not used yet
    passkeys: int = 0

    def __bool__(self) -> bool:
        return self.app or self.passkeys > 0


@dataclass(frozen=True, slots=True)
class KioskRules:
    """What the kiosk of an account asks for, wherever it is opened."""

    collection_id: str | None  # None: the only one there is
    challenge: bool  # whether presence is recorded after a passed challenge only


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in."""

    id: str
    name: str
    role: Role
    enabled: bool
    created_at: datetime  # UTC
    signed_in_at: datetime | None  # UTC
    kiosk: KioskRules
    factors: Factors
    issuer: str | None = None  # of the provider that keeps it; None: it has a password here

    def may(self, permission: Permission) -> bool:
        return may(self.role, permission)


def find_account(connection: Connection, uid: str) -> Any:
    """Its row; raises ``AccountRefused``."""
    row = connection.execute(sa.select(accounts).where(accounts.c.uid == uid)).mappings().first()
    if row is None:
        raise AccountRefused(S.ACCOUNT_GONE)
    return row


def factors(connection: Connection, row: Any) -> Factors:
    """Of an account's row."""
    left, made = (
        sa.select(sa.func.count()).where(table.c.account_id == row["id"]).scalar_subquery()
        for table in (recovery, passkeys)
    )
    return Factors(row["totp"] is not None, *connection.execute(sa.select(left, made)).one())


def record(connection: Connection, row: Any) -> Account:
    signed_in = row["signed_in_at"]
    return Account(
        row["uid"],
        row["name"],
        role_of(row["role"]),
        bool(row["enabled"]),
        from_us(row["created_at"]),
        None if signed_in is None else from_us(signed_in),
        KioskRules(row["kiosk_collection"], bool(row["kiosk_challenge"])),
        factors(connection, row),
        row["issuer"],
    )


def checked_name(name: str) -> str:
    shown = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(shown) <= MAX_NAME or not shown.isprintable():
        raise AccountRefused(S.ACCOUNT_NAME_WRONG.format(high=MAX_NAME))
    return shown


def free_name(connection: Connection, names: tuple[str, ...]) -> str:
    """The first that nobody has, else one with a number."""
    usable = [shown[:MAX_NAME] for name in names if (shown := _printable(name))] or ["?"]
    numbered = (f"{usable[0][: MAX_NAME - 6]} {number}" for number in range(2, 1000))
    for name in (*usable, *numbered):
        key = sa.select(accounts.c.id).where(accounts.c.name_key == name_key(name))
        if connection.execute(key).first() is None:
            return name
    raise AccountRefused(S.ACCOUNT_NAME_TAKEN)


def _printable(name: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", name))
    return " ".join(shown.split())


def insert(
    connection: Connection,
    name: str,
    hashed: str,
    role: Role,
    provider: tuple[str | None, str | None] = (None, None),
) -> Account:
    key = name_key(name)
    known = connection.execute(sa.select(accounts.c.id).where(accounts.c.name_key == key)).first()
    if known is not None:
        raise AccountRefused(S.ACCOUNT_NAME_TAKEN)
    uid = uuid.uuid4().hex
    connection.execute(
        accounts.insert().values(
            uid=uid,
            name=checked_name(name),
            name_key=key,
            role=role,
            password=hashed,
            issuer=provider[0],
            subject=provider[1],
            enabled=1,
            created_at=now_us(),
            signed_in_at=None,
        )
    )
    return record(connection, find_account(connection, uid))


def note(connection: Connection, what: str, account: Account, *changed: str) -> Account:
    """For the audit: what became of an account, and by whom."""
    details: dict[str, Any] = {"role": account.role, "enabled": account.enabled}
    if changed:
        details["changed"] = sorted(changed)
    append(connection, verb=f"account.{what}", subject=f"account:{account.id}", details=details)
    return account


def keep_an_admin(connection: Connection) -> None:
    """Called last inside a transaction, which the error undoes. One with a password: providers
    fail."""
    query = sa.select(accounts.c.id).where(
        accounts.c.role == "admin", accounts.c.enabled == 1, accounts.c.issuer.is_(None)
    )
    if connection.execute(query.limit(1)).first() is None:
        raise AccountRefused(S.LAST_ADMIN)
