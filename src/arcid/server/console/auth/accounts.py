"""Accounts, sessions and failed sign-ins, in the gallery's database.

Passwords are kept as argon2id hashes, session tokens as sha256. Every method is one transaction and
blocks: call it from a thread.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
from arcid.server.console.auth.errors import AccountRefused, SignedOut, SignInRefused
from arcid.server.console.auth.passkeys import Passkeys
from arcid.server.console.auth.passwords import Passwords, name_key
from arcid.server.console.auth.roles import Permission, Role, may, role_of
from arcid.server.console.auth.schema import accounts, attempts, sessions
from arcid.server.console.auth.second import (
    Demand,
    Factors,
    SecondFactors,
    demanded,
    factors,
    find_account,
)
from arcid.server.throttle import client_of

if TYPE_CHECKING:
    from argon2 import PasswordHasher

    from arcid.server.console.auth.oidc import Known

MIGRATIONS = Path(schema.__file__).parent / "migrations"
MAX_NAME = 60
SECOND = 1_000_000
HOUR = 3600 * SECOND
WAITING = HOUR // 6  # how long somebody has for the second factor
Waits = Literal["second", "enrol"]  # a code; to be set up
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
    factors: Factors
    issuer: str | None = None  # of the provider that keeps it; None: it has a password here

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


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody whose password was right, and who is let in once what it waits for was done."""

    account: Account
    waits: Waits


class Accounts:
    """Thread-safe. Several processes may hold one each. ``demand``: who needs a second factor."""

    def __init__(
        self,
        database: Database,
        hasher: PasswordHasher | None = None,
        demand: Demand = "optional",
    ) -> None:
        self._database = database
        self._demand = demand
        self.second = SecondFactors(database)
        self.passkeys = Passkeys(database)
        self._passwords = Passwords(hasher)
        self._attempts = Attempts(database)
        self._notes = ThreadPoolExecutor(1, thread_name_prefix="arcid-seen")
        self._noting: set[str] = set()  # sessions, by the sha256 of their tokens
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
            return [_record(connection, row) for row in rows.mappings().all()]

    def named(self, name: str) -> Account:
        """Raises ``AccountRefused`` where there is none."""
        with self._database.read() as connection:
            query = sa.select(accounts).where(accounts.c.name_key == name_key(name))
            row = connection.execute(query).mappings().first()
            if row is None:
                raise AccountRefused(S.ACCOUNT_UNKNOWN.format(name=name))
            return _record(connection, row)

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
            _keep_an_admin(connection)
            done = _record(connection, find_account(connection, account_id))
            return _note(connection, "change", done, *values) if values else done

    def set_kiosk(self, account_id: str, rules: KioskRules) -> Account:
        """Kiosks of the account that are open follow within seconds; nobody is signed out."""
        with self._database.write() as connection:
            row = find_account(connection, account_id)
            connection.execute(
                accounts.update()
                .where(accounts.c.id == row["id"])
                .values(kiosk_collection=rules.collection_id, kiosk_challenge=int(rules.challenge))
            )
            return _record(connection, find_account(connection, account_id))

    def delete(self, account_id: str) -> None:
        """With its sessions. An enabled admin always remains."""
        with self._database.write(erases=True) as connection:
            row = find_account(connection, account_id)
            gone = _record(connection, row)
            connection.execute(accounts.delete().where(accounts.c.id == row["id"]))
            _keep_an_admin(connection)
            _note(connection, "delete", gone)

    # signing in

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
            ip, account = ip_of(address), _record(connection, find_account(connection, row["uid"]))
            waits: Waits | None = None
            if account.factors or demanded(self._demand, account.role):
                waits = "second" if account.factors else "enrol"
            place = {"address": None if ip is None else str(ip), "browser": browser or None}
            return _begin(connection, row, place, "password", waits), account

    def _checked(self, name: str, password: str, address: str) -> tuple[dict[str, str], Any]:
        """The account's row where the password is right, and what its attempts count for."""
        keys = attempt_keys(name, client_of(address))
        self._attempts.check(keys)
        with self._database.read() as connection:
            query = sa.select(accounts).where(accounts.c.name_key == name_key(name))
            row = connection.execute(query).mappings().first()
        right = self._passwords.verify(row["password"] if row else None, password)
        if row is None or not right or not row["enabled"]:
            self._attempts.count(keys)
            raise SignInRefused(S.SIGN_IN_WRONG)
        return keys, row

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
                name = _free_name(connection, known.names)
                made = _insert(connection, name, "", known.role, (known.issuer, known.subject))
                _note(connection, "add", made)
            elif not row["enabled"]:
                raise SignInRefused(S.SIGN_IN_WRONG)
            elif row["role"] != known.role:
                connection.execute(accounts.update().where(mine).values(role=known.role))
                connection.execute(sessions.delete().where(sessions.c.account_id == row["id"]))
                _note(
                    connection,
                    "change",
                    _record(connection, dict(row) | {"role": known.role}),
                    "role",
                )
            uid = connection.execute(sa.select(c.uid).where(mine)).scalar_one()
        return self.begin(uid, "provider", address, browser)

    def waiting(self, token: str) -> Waiting | None:
        """Who waits with a session that opens nothing yet; None where it is none, or ran out."""
        with self._database.read() as connection:
            query = _QUERY.where(sessions.c.token == _digest(token), sessions.c.waits.is_not(None))
            row = connection.execute(query).mappings().first()
            if row is None or not row["enabled"] or row["expires_at"] < now_us():
                return None
            return Waiting(_record(connection, row), row["waits"])

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
            token = _begin(connection, row, place, by, None)
            return token, _record(connection, find_account(connection, account_id))

    def let_in(self, token: str, by: str) -> str:
        """What somebody waited for was done, ``by`` what; the token of the session that opens.

        Raises ``SignedOut``.
        """
        with self._database.write() as connection:
            query = _QUERY.where(sessions.c.token == _digest(token), sessions.c.waits.is_not(None))
            row = connection.execute(query).mappings().first()
            if row is None or not row["enabled"] or row["expires_at"] < now_us():
                raise SignedOut(S.SIGNED_OUT)
            connection.execute(sessions.delete().where(sessions.c.token == row["token"]))
            place = {"address": row["address"], "browser": row["browser"]}
            return _begin(connection, row, place, by, None)

    def strengthen(self, token: str) -> None:
        """An open session's account has got a second factor: it stays, all others end."""
        with self._database.write() as connection:
            mine = sessions.c.token == _digest(token)
            connection.execute(sessions.update().where(mine).values(strong=1))
            owner = connection.execute(sa.select(sessions.c.account_id).where(mine)).scalar()
            _end(connection, sa.and_(sessions.c.account_id == owner, sa.not_(mine)))

    def session(self, token: str) -> Account | None:
        """Whose session it is; None where it ended, ran out, or the account is closed."""
        now = now_us()
        with self._database.read() as connection:
            query = _QUERY.where(sessions.c.token == _digest(token))
            row = connection.execute(query).mappings().first()
            if row is None or not self._good(row, now):
                return None
            found = _record(connection, row)
        if row["seen_at"] + SEEN_EVERY < now and row["token"] not in self._noting:
            self._noting.add(row["token"])
            self._notes.submit(self._note_seen, row["token"], now)
        return found

    def alive(self, tokens: Iterable[str]) -> set[str]:
        """Those whose sessions are still good; none of them counts as used by that."""
        asked, now = {_digest(token): token for token in tokens}, now_us()
        query = _QUERY.where(sessions.c.token.in_(asked))
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return {asked[row["token"]] for row in rows if self._good(row, now)}

    def _good(self, row: Any, now: int) -> bool:
        """Whether a session lets somebody in."""
        idle, _ = LIFETIME[role_of(row["role"])]
        if not row["enabled"] or row["waits"] is not None:
            return False
        if not row["strong"] and demanded(self._demand, role_of(row["role"])):
            return False
        return bool(now <= min(row["expires_at"], row["seen_at"] + idle))

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

    def reset_second(self, account_id: str) -> Account:
        """For somebody who lost theirs: the second factor goes, and every session ends."""
        self.second.remove(account_id)
        self.end_sessions(account_id)
        with self._database.read() as connection:
            return _record(connection, find_account(connection, account_id))

    def sessions(self, account_id: str | None = None) -> list[OpenSession]:
        """Of one account or of all, those that are still good, last seen first."""
        now = now_us()
        query = _QUERY if account_id is None else _QUERY.where(accounts.c.uid == account_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(sessions.c.seen_at.desc())).mappings().all()
            return [_session(connection, row) for row in rows if self._good(row, now)]

    def end_session(self, session_id: str, account_id: str | None = None) -> None:
        """End one session, of that account where one is given; one that ended already is fine."""
        named = sa.func.substr(sessions.c.token, 1, SESSION_ID) == session_id
        with self._database.write() as connection:
            if account_id is not None:
                owner = find_account(connection, account_id)["id"]
                named = sa.and_(named, sessions.c.account_id == owner)
            _end(connection, named)

    def end_sessions(self, account_id: str, *, but: str | None = None) -> int:
        """End all of an account's, or all ``but`` that of a token; how many there were."""
        with self._database.write() as connection:
            those = sessions.c.account_id == find_account(connection, account_id)["id"]
            if but is not None:
                those = sa.and_(those, sessions.c.token != _digest(but))
            return _end(connection, those)


_QUERY = sa.select(
    accounts,
    sessions.c.token,
    sessions.c.created_at.label("started_at"),
    *(
        sessions.c[name]
        for name in ("seen_at", "expires_at", "address", "browser", "waits", "strong")
    ),
).join(sessions, sessions.c.account_id == accounts.c.id)


def _begin(
    connection: Connection, row: Any, place: Mapping[str, Any], by: str, waits: Waits | None
) -> str:
    """A session's token. One that ``waits`` opens nothing, and is in no list and no audit."""
    token, now = secrets.token_urlsafe(32), now_us()
    _, longest = LIFETIME[role_of(row["role"])]
    connection.execute(
        sessions.insert().values(
            token=_digest(token),
            account_id=row["id"],
            created_at=now,
            seen_at=now,
            expires_at=now + (WAITING if waits else longest),
            address=place["address"],
            browser=place["browser"],
            waits=waits,
            strong=int(by != "password"),
        )
    )
    if waits is None:
        subject, details = f"account:{row['uid']}", {"session": session_id(token), "by": by}
        append(
            connection, verb="session.begin", subject=subject, actor=subject,
            address=place["address"] or "", details=details,
        )  # fmt: skip
    return token


def _end(connection: Connection, those: sa.ColumnElement[bool]) -> int:
    """End sessions, a row of the audit for each account; how many they were."""
    query = sa.select(accounts.c.uid, sessions.c.token).join(accounts)
    query = query.where(those, sessions.c.waits.is_(None))
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


def _free_name(connection: Connection, names: tuple[str, ...]) -> str:
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


def _insert(
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
            name=_name(name),
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
    return _record(connection, find_account(connection, uid))


def _note(connection: Connection, what: str, account: Account, *changed: str) -> Account:
    """For the audit: what became of an account, and by whom."""
    details: dict[str, Any] = {"role": account.role, "enabled": account.enabled}
    if changed:
        details["changed"] = sorted(changed)
    append(connection, verb=f"account.{what}", subject=f"account:{account.id}", details=details)
    return account


def _keep_an_admin(connection: Connection) -> None:
    """Called last inside a transaction, which the error undoes. One with a password: providers
    fail."""
    query = sa.select(accounts.c.id).where(
        accounts.c.role == "admin", accounts.c.enabled == 1, accounts.c.issuer.is_(None)
    )
    if connection.execute(query.limit(1)).first() is None:
        raise AccountRefused(S.LAST_ADMIN)


def _record(connection: Connection, row: Any) -> Account:
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


def session_id(token: str) -> str:
    """How the session of a token is named."""
    return _digest(token)[:SESSION_ID]


def _session(connection: Connection, row: Any) -> OpenSession:
    idle, _ = LIFETIME[role_of(row["role"])]
    return OpenSession(
        row["token"][:SESSION_ID],
        _record(connection, row),
        from_us(row["started_at"]),
        from_us(row["seen_at"]),
        from_us(min(row["expires_at"], row["seen_at"] + idle)),
        row["address"],
        row["browser"],
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
