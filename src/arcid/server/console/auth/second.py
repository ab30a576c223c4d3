"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes.

The app's secret is sealed with a key derived from ``console.key`` and bound to its account;
recovery codes are kept as sha256 of 80 random bits. Every method blocks.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import SealBroken
from arcid.gallery.database import Database
from arcid.gallery.store.audit import append
from arcid.gallery.store.journal import now_us
from arcid.sealing import seal, unseal
from arcid.server.console import strings as S
from arcid.server.console.auth.account import Factors, factors, find_account
from arcid.server.console.auth.attempts import SECOND, Attempts, second_keys
from arcid.server.console.auth.errors import AccountRefused, SignInRefused
from arcid.server.console.auth.roles import Role
from arcid.server.console.auth.schema import accounts, attempts, passkeys, recovery

Demand = Literal["optional", "admins", "everybody"]
DEMANDS: tuple[Demand, ...] = get_args(Demand)
STEP_S, DIGITS = 30, 6
LATE, EARLY = 1, 1  # steps that a code may be behind and ahead
SECRET_BYTES, CODE_BYTES, CODES = 20, 10, 10
PURPOSE = b"arcid-second-factor"


@dataclass(frozen=True, slots=True, repr=False)
class Draft:
    """An app's secret before it counts: shown as text and as a QR code, handed back sealed."""

    secret: str  # base32
    uri: str  # otpauth://
    sealed: str


def demanded(demand: Demand, role: Role) -> bool:
    """Whether an account of the role needs a second factor."""
    return demand == "everybody" or (demand == "admins" and role == "admin")


class SecondFactors:
    """Thread-safe. ``key`` is always the console's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._attempts = Attempts(database)

    def of(self, account_id: str) -> Factors:
        """Raises ``AccountRefused`` where there is no such account."""
        with self._database.read() as connection:
            return factors(connection, find_account(connection, account_id))

    def draft(self, account_id: str, name: str, key: bytes) -> Draft:
        """A new secret, which is stored nowhere until ``add``."""
        secret = base64.b32encode(os.urandom(SECRET_BYTES)).decode()
        uri = f"otpauth://totp/arcid:{quote(name)}?secret={secret}&issuer=arcid"
        return Draft(secret, uri, seal(key, f"draft:{account_id}", secret, PURPOSE))

    def drafted(self, account_id: str, name: str, sealed: str, key: bytes) -> Draft:
        """One that was handed out before. Raises ``AccountRefused``."""
        try:
            secret = unseal(key, f"draft:{account_id}", sealed, PURPOSE)
        except SealBroken:
            raise AccountRefused(S.SECOND_AGAIN) from None
        return Draft(
            secret, f"otpauth://totp/arcid:{quote(name)}?secret={secret}&issuer=arcid", sealed
        )

    def add(
        self, account_id: str, draft: Draft, code: str, key: bytes, *, first: bool = False
    ) -> list[str]:
        """Have the app count from now on, in place of any other; new recovery codes.

        ``first``: only where the account has no second factor yet, since the password alone was
        asked for. Raises ``AccountRefused``, also where ``code`` is not one of the app's.
        """
        step = _step_of(draft.secret, code)
        if step is None:
            raise AccountRefused(S.SECOND_CODE_WRONG)
        with self._database.write() as connection:
            row = find_account(connection, account_id)
            check_first(connection, row, first)
            sealed = seal(key, account_id, draft.secret, PURPOSE)
            of = accounts.c.id == row["id"]
            connection.execute(accounts.update().where(of).values(totp=sealed, totp_step=step))
            _note(connection, "factor.add", account_id, kind="app")
            return new_codes(connection, row)

    def renew_codes(self, account_id: str) -> list[str]:
        """New recovery codes in place of the old ones."""
        with self._database.write() as connection:
            codes = new_codes(connection, find_account(connection, account_id))
            _note(connection, "factor.codes", account_id)
            return codes

    def remove(self, account_id: str) -> None:
        """All of them, and the wait after wrong codes; the password alone is asked for again."""
        with self._database.write(erases=True) as connection:
            row = find_account(connection, account_id)
            had = bool(factors(connection, row))
            of = accounts.c.id == row["id"]
            connection.execute(accounts.update().where(of).values(totp=None, totp_step=None))
            for table in (recovery, passkeys):
                connection.execute(table.delete().where(table.c.account_id == row["id"]))
            connection.execute(attempts.delete().where(_held_back(account_id)))
            if had:
                _note(connection, "factor.remove", account_id)

    def check(self, account_id: str, code: str, key: bytes | None) -> str:
        """How somebody who knows the password proved to be who they say: ``app`` or ``recovery``.

        A code counts once. Raises ``SignInRefused``, and ``TooManyAttempts`` before the code is
        looked at.
        """
        keys = second_keys(account_id)
        self._attempts.check(keys)
        with self._database.read() as connection:
            row = find_account(connection, account_id)
        typed = "".join(code.split()).replace("-", "").upper()
        how = "app" if typed.isascii() and typed.isdigit() else "recovery"
        taken = self._take_step(row, typed, key) if how == "app" else self._take_code(row, typed)
        if not taken:
            self._attempts.count(keys)
            with self._database.write() as connection:
                _note(connection, "factor.refuse", account_id, kind=how)
            raise SignInRefused(S.SECOND_WRONG)
        with self._database.write() as connection:
            connection.execute(attempts.delete().where(_held_back(account_id)))
        return how

    def _take_step(self, row: Any, code: str, key: bytes | None) -> bool:
        if row["totp"] is None:
            return False
        try:
            secret = unseal(key or b"", row["uid"], row["totp"], PURPOSE)
        except SealBroken:
            raise SignInRefused(S.SECOND_UNREADABLE) from None
        step = _step_of(secret, code)
        if step is None:
            return False
        fresh = sa.and_(
            accounts.c.id == row["id"],
            accounts.c.totp == row["totp"],
            sa.or_(accounts.c.totp_step.is_(None), accounts.c.totp_step < step),
        )
        with self._database.write() as connection:
            done = connection.execute(accounts.update().where(fresh).values(totp_step=step))
            return done.rowcount == 1

    def _take_code(self, row: Any, code: str) -> bool:
        own = sa.and_(recovery.c.account_id == row["id"], recovery.c.digest == _digest(code))
        with self._database.write() as connection:
            if connection.execute(recovery.delete().where(own)).rowcount != 1:
                return False
            left = factors(connection, row).recovery_left
            _note(connection, "factor.recovery", row["uid"], left=left)
            return True


def check_first(connection: Connection, row: Any, first: bool) -> None:
    """Raises ``AccountRefused`` where it has to be the ``first`` factor, and is not."""
    if first and factors(connection, row):
        raise AccountRefused(S.SECOND_THERE)


def qr_code(uri: str) -> str:
    """Dark on light in either theme, as an SVG in a URL."""
    import segno

    drawn: str = segno.make(uri, error="m").svg_data_uri(scale=5, border=4, light="#fff")
    return drawn


def _step_of(secret: str, code: str) -> int | None:
    """Which of the steps around now has that code."""
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

    typed = "".join(code.split())
    if len(typed) != DIGITS or not typed.isascii() or not typed.isdigit():
        return None
    app = TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_S)  # noqa: S303
    now = now_us() // SECOND // STEP_S
    found = None
    for step in range(now - LATE, now + EARLY + 1):
        if hmac.compare_digest(app.generate(step * STEP_S), typed.encode()):
            found = step
    return found


def new_codes(connection: Connection, row: Any) -> list[str]:
    """Recovery codes in place of the old ones of an account's row."""
    connection.execute(recovery.delete().where(recovery.c.account_id == row["id"]))
    codes = [base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode() for _ in range(CODES)]
    rows = [{"account_id": row["id"], "digest": _digest(code)} for code in codes]
    connection.execute(recovery.insert(), rows)
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _held_back(account_id: str) -> sa.ColumnElement[bool]:
    return attempts.c.key.in_(second_keys(account_id).values())


def _note(connection: Connection, verb: str, account_id: str, **details: Any) -> None:
    append(connection, verb=verb, subject=f"account:{account_id}", details=details)
