"""Accounts, sessions and failed sign-ins, in the gallery's database.

Passwords are kept as argon2id hashes, session tokens as sha256. Every method is one transaction and
blocks: call it from a thread.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.cameras.schema import migrate as take_cameras
from arcid.errors import GalleryBusy, StorageFull
from arcid.gallery.database import Database
from arcid.gallery.migrating import upgrade
from arcid.gallery.store.audit import append
from arcid.gallery.store.journal import from_us, now_us
from arcid.server.addresses import ip_of
from arcid.server.console import strings as S
from arcid.server.console.auth import schema
from arcid.server.console.auth.attempts import Attempts, attempt_keys
from arcid.server.console.auth.errors import AccountRefused, SignInRefused
from arcid.server.console.auth.passwords import Passwords, name_key
from arcid.server.console.auth.roles import Permission, Role, may, role_of
from arcid.server.console.auth.schema import accounts, attempts, sessions
from arcid.server.throttle import client_of

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIGRATIONS = Path(schema.__file__).parent / "migrations"
MAX_NAME = 60
SECOND = 1_000_000
HOUR = 3600 * SECOND
LIFETIME: dict[Role, tuple[int, int]] = {  # microseconds: idle, in all
    "admin": (12 * HOUR, 7 * 24 * HOUR),
    "officer": (12 * HOUR, 7 * 24 * HOUR),
    "operator": (12 * HOUR, 7 * 24 * HOUR),
    "reviewer": (12 * HOUR, 7 * 24 * HOUR),
    "guard": (12 * HOUR, 7 * 24 * HOUR),
    "viewer": (7 * 24 * HOUR, 30 * 24 * HOUR),
    "kiosk": (365 * 24 * HOUR, 365 * 24 * HOUR),
}
SEEN_EVERY = 60 * SECOND
SESSION_ID = 16  # digits of a token's sha256


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

    def may(self, permission: Permission) -> bool:
        return may(self.role, permission)


@dataclass(frozen=True, slots=True)
class OpenSession:
    """One browser that is signed in; ``id`` names it and opens nothing."""

    id: str
    account: Account
    started_at: datetime  # UTC
    seen_at: datetime  # UTC, within a minute
    ends_at: datetime  # UTC, where it is not used before
    address: str | None  # of the client where it began
    browser: str | None  # in words, as "Firefox, Linux"


class Accounts:
    """Thread-safe. Several processes may hold one each."""

    def __init__(self, database: Database, hasher: PasswordHasher | None = None) -> None:
        self._database = database
        self._passwords = Passwords(hasher)
        self._attempts = Attempts(database)
        self._notes = ThreadPoolExecutor(1, thread_name_prefix="arcid-seen")
        self._noting: set[str] = set()  # sessions, by the sha256 of their tokens
        take_cameras(database)  # theirs were among these tables once
        upgrade(database, MIGRATIONS, schema.VERSION_TABLE, schema.KNOWN, "the console's tables")

    @classmethod
    def open(cls, url: str | Path, hasher: PasswordHasher | None = None) -> Accounts:
        """Beside the gallery of that path or URL; raises as ``Gallery.open``."""
        return cls(Database(url), hasher)

    def close(self) -> None:
        """What is being noted is waited for."""
        self._notes.shutdown(cancel_futures=True)
        self._database.close()

    # accounts

    def exist(self) -> bool:
        """Whether set-up is done."""
        with self._database.read() as connection:
            return connection.execute(sa.select(accounts.c.id).limit(1)).first() is not None

    def set_up(self, name: str, password: str) -> Account:
        """The first account, an admin. Raises ``AccountRefused`` where there is one already."""
        hashed = self._passwords.hash(_name(name), password)
        with self._database.write() as connection:
            if connection.execute(sa.select(accounts.c.id).limit(1)).first() is not None:
                raise AccountRefused(S.SET_UP_DONE)
            return _note(connection, "add", _insert(connection, name, hashed, "admin"))

    def add(self, name: str, password: str, role: str) -> Account:
        """Raises ``AccountRefused`` (name taken, password too short), ``UsageError`` (role)."""
        kind = role_of(role)
        hashed = self._passwords.hash(_name(name), password)
        with self._database.write() as connection:
            return _note(connection, "add", _insert(connection, name, hashed, kind))

    def all(self) -> list[Account]:
        """By name."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(accounts).order_by(accounts.c.name_key))
            return [_record(row) for row in rows.mappings()]

    def named(self, name: str) -> Account:
        """Raises ``AccountRefused`` where there is none."""
        with self._database.read() as connection:
            query = sa.select(accounts).where(accounts.c.name_key == name_key(name))
            row = connection.execute(query).mappings().first()
        if row is None:
            raise AccountRefused(S.ACCOUNT_UNKNOWN.format(name=name))
        return _record(row)

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
            name = _find(connection, account_id)["name"]
        values: dict[str, Any] = {}
        if role is not None:
            values["role"] = role_of(role)
        if enabled is not None:
            values["enabled"] = int(enabled)
        if password is not None:
            values["password"] = self._passwords.hash(name, password)
        with self._database.write() as connection:
            row = _find(connection, account_id)
            if values:
                connection.execute(
                    accounts.update().where(accounts.c.id == row["id"]).values(**values)
                )
                connection.execute(sessions.delete().where(sessions.c.account_id == row["id"]))
            if password is not None:
                key = attempt_keys(row["name"], "")["name"]
                connection.execute(attempts.delete().where(attempts.c.key == key))
            _keep_an_admin(connection)
            done = _record(_find(connection, account_id))
            return _note(connection, "change", done, *values) if values else done

    def set_kiosk(self, account_id: str, rules: KioskRules) -> Account:
        """Kiosks of the account that are open follow within seconds; nobody is signed out."""
        with self._database.write() as connection:
            row = _find(connection, account_id)
            connection.execute(
                accounts.update()
                .where(accounts.c.id == row["id"])
                .values(kiosk_collection=rules.collection_id, kiosk_challenge=int(rules.challenge))
            )
            return _record(_find(connection, account_id))

    def delete(self, account_id: str) -> None:
        """With its sessions. An enabled admin always remains."""
        with self._database.write(erases=True) as connection:
            row = _find(connection, account_id)
            connection.execute(accounts.delete().where(accounts.c.id == row["id"]))
            _keep_an_admin(connection)
            _note(connection, "delete", _record(row))

    # signing in

    def sign_in(
        self, name: str, password: str, address: str, browser: str = ""
    ) -> tuple[str, Account]:
        """A new session's token and its account. ``browser``: in words.

        Raises ``SignInRefused``, or ``TooManyAttempts`` before the password is looked at.
        """
        keys = attempt_keys(name, client_of(address))
        self._attempts.check(keys)
        with self._database.read() as connection:
            query = sa.select(accounts).where(accounts.c.name_key == name_key(name))
            row = connection.execute(query).mappings().first()
        right = self._passwords.verify(row["password"] if row else None, password)
        if row is None or not right or not row["enabled"]:
            self._attempts.count(keys)
            raise SignInRefused(S.SIGN_IN_WRONG)
        token = secrets.token_urlsafe(32)
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
            _, longest = LIFETIME[role_of(row["role"])]
            ip = ip_of(address)
            connection.execute(
                sessions.insert().values(
                    token=_digest(token),
                    account_id=row["id"],
                    created_at=now,
                    seen_at=now,
                    expires_at=now + longest,
                    address=None if ip is None else str(ip),
                    browser=browser or None,
                )
            )
            subject = f"account:{row['uid']}"
            append(
                connection, verb="session.begin", subject=subject, actor=subject,
                address="" if ip is None else str(ip), details={"session": session_id(token)},
            )  # fmt: skip
            return token, _record(_find(connection, row["uid"]))

    def session(self, token: str) -> Account | None:
        """Whose session it is; None where it ended, ran out, or the account is closed."""
        now = now_us()
        with self._database.read() as connection:
            query = _QUERY.where(sessions.c.token == _digest(token))
            row = connection.execute(query).mappings().first()
        if row is None or not _good(row, now):
            return None
        if row["seen_at"] + SEEN_EVERY < now and row["token"] not in self._noting:
            self._noting.add(row["token"])
            self._notes.submit(self._note_seen, row["token"], now)
        return _record(row)

    def alive(self, tokens: Iterable[str]) -> set[str]:
        """Those whose sessions are still good; none of them counts as used by that."""
        asked, now = {_digest(token): token for token in tokens}, now_us()
        query = _QUERY.where(sessions.c.token.in_(asked))
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return {asked[row["token"]] for row in rows if _good(row, now)}

    def _note_seen(self, digest: str, now: int) -> None:
        """In a thread of its own: nobody who is signed in waits for others that write."""
        try:
            with suppress(GalleryBusy, StorageFull), self._database.write() as connection:
                connection.execute(
                    sessions.update().where(sessions.c.token == digest).values(seen_at=now)
                )
        finally:
            self._noting.discard(digest)

    def sign_out(self, token: str) -> None:
        """End one session."""
        with self._database.write() as connection:
            _end(connection, sessions.c.token == _digest(token))

    def sessions(self, account_id: str | None = None) -> list[OpenSession]:
        """Of one account or of all, those that are still good, last seen first."""
        now = now_us()
        query = _QUERY if account_id is None else _QUERY.where(accounts.c.uid == account_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(sessions.c.seen_at.desc())).mappings().all()
        return [_session(row) for row in rows if _good(row, now)]

    def end_session(self, session_id: str, account_id: str | None = None) -> None:
        """End one session, of that account where one is given; one that ended already is fine."""
        named = sa.func.substr(sessions.c.token, 1, SESSION_ID) == session_id
        with self._database.write() as connection:
            if account_id is not None:
                owner = _find(connection, account_id)["id"]
                named = sa.and_(named, sessions.c.account_id == owner)
            _end(connection, named)

    def end_sessions(self, account_id: str, *, but: str | None = None) -> int:
        """End all of an account's, or all ``but`` that of a token; how many there were."""
        with self._database.write() as connection:
            those = sessions.c.account_id == _find(connection, account_id)["id"]
            if but is not None:
                those = sa.and_(those, sessions.c.token != _digest(but))
            return _end(connection, those)


_QUERY = sa.select(
    accounts,
    sessions.c.token,
    sessions.c.created_at.label("started_at"),
    *(sessions.c[name] for name in ("seen_at", "expires_at", "address", "browser")),
).join(sessions, sessions.c.account_id == accounts.c.id)


def _good(row: Any, now: int) -> bool:
    """Whether a session lets somebody in."""
    idle, _ = LIFETIME[role_of(row["role"])]
    return bool(row["enabled"]) and now <= min(row["expires_at"], row["seen_at"] + idle)


def _end(connection: Connection, those: sa.ColumnElement[bool]) -> int:
    """End sessions, a row of the audit for each account; how many they were."""
    query = sa.select(accounts.c.uid, sessions.c.token).join(accounts).where(those)
    ended: dict[str, list[str]] = {}
    for uid, token in connection.execute(query.order_by(sessions.c.created_at)):
        ended.setdefault(uid, []).append(token[:SESSION_ID])
    connection.execute(sessions.delete().where(those))
    for uid, ids in ended.items():
        append(connection, verb="session.end", subject=f"account:{uid}", details={"sessions": ids})
    return sum(map(len, ended.values()))


def _name(name: str) -> str:
    shown = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(shown) <= MAX_NAME or not shown.isprintable():
        raise AccountRefused(S.ACCOUNT_NAME_WRONG.format(high=MAX_NAME))
    return shown


def _insert(connection: Connection, name: str, hashed: str, role: Role) -> Account:
    key = name_key(name)
    known = connection.execute(sa.select(accounts.c.id).where(accounts.c.name_key == key)).first()
    if known is not None:
        raise AccountRefused(S.ACCOUNT_NAME_TAKEN)
    uid = uuid.uuid4().hex
    connection.execute(
        accounts.insert().values(
            uid=uid,
            name=_name(name),
            name_key=key,
            role=role,
            password=hashed,
            enabled=1,
            created_at=now_us(),
            signed_in_at=None,
        )
    )
    return _record(_find(connection, uid))


def _find(connection: Connection, uid: str) -> Any:
    row = connection.execute(sa.select(accounts).where(accounts.c.uid == uid)).mappings().first()
    if row is None:
        raise AccountRefused(S.ACCOUNT_GONE)
    return row


def _note(connection: Connection, what: str, account: Account, *changed: str) -> Account:
    """For the audit: what became of an account, and by whom."""
    details: dict[str, Any] = {"role": account.role, "enabled": account.enabled}
    if changed:
        details["changed"] = sorted(changed)
    append(connection, verb=f"account.{what}", subject=f"account:{account.id}", details=details)
    return account


def _keep_an_admin(connection: Connection) -> None:
    """Called last inside a transaction, which the error undoes."""
    query = sa.select(accounts.c.id).where(accounts.c.role == "admin", accounts.c.enabled == 1)
    if connection.execute(query.limit(1)).first() is None:
        raise AccountRefused(S.LAST_ADMIN)


def _record(row: Any) -> Account:
    signed_in = row["signed_in_at"]
    return Account(
        row["uid"],
        row["name"],
        role_of(row["role"]),
        bool(row["enabled"]),
        from_us(row["created_at"]),
        None if signed_in is None else from_us(signed_in),
        KioskRules(row["kiosk_collection"], bool(row["kiosk_challenge"])),
    )


def session_id(token: str) -> str:
    """How the session of a token is named."""
    return _digest(token)[:SESSION_ID]


def _session(row: Any) -> OpenSession:
    idle, _ = LIFETIME[role_of(row["role"])]
    return OpenSession(
        row["token"][:SESSION_ID],
        _record(row),
        from_us(row["started_at"]),
        from_us(row["seen_at"]),
        from_us(min(row["expires_at"], row["seen_at"] + idle)),
        row["address"],
        row["browser"],
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
