"""Passkeys (WebAuthn) of accounts: registered, asked for, taken back.

A challenge is signed with the console's key, carries its end and is worth something once; nothing
is stored for whoever only asks. A passkey is bound by the browser to the site it was made at, and
``Site`` is the only one that is believed. Every method blocks.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid import extras
from arcid.errors import ArcidError, MissingExtra
from arcid.gallery.database import Database
from arcid.gallery.store.audit import append
from arcid.gallery.store.journal import from_us, now_us
from arcid.server.console import strings as S
from arcid.server.console.auth.account import find_account
from arcid.server.console.auth.attempts import SECOND, Attempts
from arcid.server.console.auth.errors import AccountRefused, SignInRefused
from arcid.server.console.auth.schema import accounts, challenges, passkeys, recovery
from arcid.server.console.auth.second import check_first, new_codes

MAX_LABEL, MAX_PASSKEYS = 60, 10
LIFE = 300 * SECOND  # of a challenge
_HEAD = struct.Struct("<16sq")


@dataclass(frozen=True, slots=True)
class Site:
    """Where browsers find the console: what a passkey is made for."""

    rp_id: str  # its host name
    origin: str  # scheme://host[:port]


@dataclass(frozen=True, slots=True)
class Passkey:
    """One of an account's; ``id`` opens nothing."""

    id: int
    name: str
    created_at: datetime  # UTC
    used_at: datetime | None  # UTC
    synced: bool  # copied between somebody's devices by their maker


def available() -> bool:
    """Whether ``arcid[passkeys]`` is installed."""
    return extras.installed("passkeys")


class Passkeys:
    """Thread-safe. ``key`` is always the console's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._attempts = Attempts(database)

    def of(self, account_id: str) -> list[Passkey]:
        """By when they were made."""
        query = sa.select(passkeys).join(accounts).where(accounts.c.uid == account_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(passkeys.c.id)).mappings().all()
        return [_record(row) for row in rows]

    def any(self) -> bool:
        """Whether somebody has one."""
        with self._database.read() as connection:
            return connection.execute(sa.select(passkeys.c.id).limit(1)).first() is not None

    # making one

    def registration(self, account_id: str, site: Site, key: bytes) -> str:
        """What ``navigator.credentials.create`` is asked, as JSON."""
        import webauthn
        from webauthn.helpers import structs

        _require()
        with self._database.read() as connection:
            row = find_account(connection, account_id)
            kept = _rows(connection, row["id"])
        options = webauthn.generate_registration_options(
            rp_id=site.rp_id,
            rp_name="arcid",
            user_name=row["name"],
            user_id=bytes.fromhex(account_id),
            challenge=_challenge(key, f"create:{account_id}"),
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.PREFERRED,
                user_verification=structs.UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=[_described(one) for one in kept],
        )
        return webauthn.options_to_json(options)

    def register(
        self,
        account_id: str,
        name: str,
        answer: str,
        site: Site,
        key: bytes,
        *,
        first: bool = False,
    ) -> list[str]:
        """Keep what the browser answered; recovery codes where the account has none yet.

        ``first``: as ``SecondFactors.add``. Raises ``AccountRefused``.
        """
        import webauthn

        _require()
        label = " ".join(name.split())[:MAX_LABEL]
        if not label or not label.isprintable():
            raise AccountRefused(S.PASSKEY_NAME_WRONG.format(high=MAX_LABEL))
        try:
            challenge = _of_answer(answer)
            made = webauthn.verify_registration_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=site.rp_id,
                expected_origin=site.origin,
            )
        except Exception:  # whatever it was, it is no passkey
            raise AccountRefused(S.PASSKEY_REFUSED) from None
        with self._database.write() as connection:
            if not _spend(connection, key, f"create:{account_id}", challenge):
                raise AccountRefused(S.PASSKEY_REFUSED)
            row = find_account(connection, account_id)
            check_first(connection, row, first)
            identity = made.credential_id.hex()
            known = sa.select(passkeys.c.id).where(passkeys.c.credential == identity)
            if (
                connection.execute(known).first()
                or len(_rows(connection, row["id"])) >= MAX_PASSKEYS
            ):
                raise AccountRefused(S.PASSKEY_TOO_MANY.format(n=MAX_PASSKEYS))
            connection.execute(
                passkeys.insert().values(
                    account_id=row["id"], credential=identity, name=label,
                    public_key=made.credential_public_key, sign_count=made.sign_count,
                    synced=int(made.credential_backed_up), created_at=now_us(), used_at=None,
                )
            )  # fmt: skip
            _note(connection, "factor.add", account_id, kind="passkey")
            has = sa.select(recovery.c.digest).where(recovery.c.account_id == row["id"]).limit(1)
            return [] if connection.execute(has).first() else new_codes(connection, row)

    def remove(self, account_id: str, passkey: int) -> None:
        """One of the account's own; one that is gone already is fine."""
        with self._database.write(erases=True) as connection:
            owner = find_account(connection, account_id)["id"]
            mine = sa.and_(passkeys.c.id == passkey, passkeys.c.account_id == owner)
            if connection.execute(passkeys.delete().where(mine)).rowcount:
                _note(connection, "factor.remove", account_id, kind="passkey")

    # showing one

    def question(self, site: Site, key: bytes, account_id: str | None = None) -> str:
        """What ``navigator.credentials.get`` is asked, as JSON.

        ``account_id``: of whoever has shown a password. Without it the passkey says who it is, and
        the device has to make sure of its user.
        """
        import webauthn
        from webauthn.helpers import structs

        _require()
        kept: list[Any] = []
        if account_id is not None:
            with self._database.read() as connection:
                kept = _rows(connection, find_account(connection, account_id)["id"])
        options = webauthn.generate_authentication_options(
            rp_id=site.rp_id,
            challenge=_challenge(key, f"get:{account_id or ''}"),
            allow_credentials=[_described(one) for one in kept],
            user_verification=structs.UserVerificationRequirement.REQUIRED
            if account_id is None
            else structs.UserVerificationRequirement.PREFERRED,
        )
        return webauthn.options_to_json(options)

    def check(
        self, answer: str, site: Site, key: bytes, client: str, account_id: str | None = None
    ) -> str:
        """The id of the account whose passkey answered. ``client``: whose failures count.

        Raises ``SignInRefused``, and ``TooManyAttempts`` before it is looked at.
        """
        keys = {"address": hashlib.sha256(f"passkey:{client}".encode()).hexdigest()}
        self._attempts.check(keys)
        found = self._checked(answer, site, key, account_id)
        if found is None:
            self._attempts.count(keys)
            if account_id is not None:
                with self._database.write() as connection:
                    _note(connection, "factor.refuse", account_id, kind="passkey")
            raise SignInRefused(S.PASSKEY_WRONG)
        return found

    def _checked(self, answer: str, site: Site, key: bytes, account_id: str | None) -> str | None:
        import webauthn
        from webauthn.helpers import base64url_to_bytes

        _require()
        try:
            challenge = _of_answer(answer)
            identity = base64url_to_bytes(str(json.loads(answer)["id"])).hex()
            with self._database.read() as connection:
                query = sa.select(passkeys, accounts.c.uid, accounts.c.enabled).join(accounts)
                query = query.where(passkeys.c.credential == identity)
                row = connection.execute(query).mappings().first()
            if row is None or not row["enabled"] or account_id not in (None, row["uid"]):
                return None
            shown = webauthn.verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=site.rp_id,
                expected_origin=site.origin,
                credential_public_key=row["public_key"],
                credential_current_sign_count=row["sign_count"],
                require_user_verification=account_id is None,
            )
        except ArcidError:
            raise
        except Exception:  # whatever it was, it is no passkey
            return None
        with self._database.write() as connection:
            if not _spend(connection, key, f"get:{account_id or ''}", challenge):
                return None
            same = sa.and_(passkeys.c.id == row["id"], passkeys.c.sign_count == row["sign_count"])
            values = {"sign_count": shown.new_sign_count, "used_at": now_us()}
            done = connection.execute(passkeys.update().where(same).values(**values))
            return str(row["uid"]) if done.rowcount else None


def _require() -> None:
    if not available():
        raise MissingExtra("passkeys", "passkeys")


def _rows(connection: Connection, owner: int) -> list[Any]:
    query = sa.select(passkeys).where(passkeys.c.account_id == owner)
    return list(connection.execute(query).mappings().all())


def _described(row: Any) -> Any:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    return PublicKeyCredentialDescriptor(id=bytes.fromhex(row["credential"]))


def _challenge(key: bytes, purpose: str) -> bytes:
    head = _HEAD.pack(os.urandom(16), now_us() + LIFE)
    return head + _signature(key, purpose, head)


def _signature(key: bytes, purpose: str, head: bytes) -> bytes:
    return hmac.new(
        key, b"arcid-passkey:" + purpose.encode() + b":" + head, hashlib.sha256
    ).digest()


def _of_answer(answer: str) -> bytes:
    """The challenge that was answered. Raises ``ValueError``, ``KeyError``, ``TypeError``."""
    from webauthn.helpers import base64url_to_bytes

    said = json.loads(base64url_to_bytes(json.loads(answer)["response"]["clientDataJSON"]))
    return base64url_to_bytes(str(said["challenge"]))


def _spend(connection: Connection, key: bytes, purpose: str, challenge: bytes) -> bool:
    """Whether a challenge is ours, in time and answered for the first time."""
    head, now = challenge[: _HEAD.size], now_us()
    if len(head) < _HEAD.size:
        return False
    ends: int = _HEAD.unpack(head)[1]
    right = hmac.compare_digest(challenge[_HEAD.size :], _signature(key, purpose, head))
    digest = hashlib.sha256(challenge).hexdigest()
    used = sa.select(challenges.c.digest).where(challenges.c.digest == digest)
    if not right or ends < now or connection.execute(used).first() is not None:
        return False
    connection.execute(challenges.delete().where(challenges.c.ends_at < now))
    connection.execute(challenges.insert().values(digest=digest, ends_at=ends))
    return True


def _record(row: Any) -> Passkey:
    used = row["used_at"]
    return Passkey(
        row["id"],
        row["name"],
        from_us(row["created_at"]),
        None if used is None else from_us(used),
        bool(row["synced"]),
    )


def _note(connection: Connection, verb: str, account_id: str, **details: Any) -> None:
    append(connection, verb=verb, subject=f"account:{account_id}", details=details)
