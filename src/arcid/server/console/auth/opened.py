"""Sessions of browsers, in the database: by token, kept as sha256. Every method blocks."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import GalleryBusy, GalleryUnavailable, StorageFull
from arcid.gallery.database import Database
from arcid.gallery.store.audit import append
from arcid.gallery.store.journal import from_us, now_us
from arcid.server.console import strings as S
from arcid.server.console.auth.account import Account, find_account, record
from arcid.server.console.auth.errors import SignedOut
from arcid.server.console.auth.roles import Role, role_of
from arcid.server.console.auth.schema import accounts, sessions
from arcid.server.console.auth.second import Demand, demanded

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


class OpenSessions:
    """Thread-safe. ``demand``: who needs a second factor."""

    def __init__(self, database: Database, demand: Demand) -> None:
        self._database = database
        self._demand = demand
        self._notes = ThreadPoolExecutor(1, thread_name_prefix="arcid-seen")
        self._noting: set[str] = set()  # sessions, by the sha256 of their tokens

    def close(self) -> None:
        """What is being noted is waited for."""
        self._notes.shutdown(cancel_futures=True)

    def find(self, token: str) -> Account | None:
        """Whose session it is; None where it ended, ran out, or the account is closed."""
        now = now_us()
        with self._database.read() as connection:
            query = _QUERY.where(sessions.c.token == _digest(token))
            row = connection.execute(query).mappings().first()
            if row is None or not self._good(row, now):
                return None
            found = record(connection, row)
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

    def all(self, account_id: str | None = None) -> list[OpenSession]:
        """Of one account or of all, those that are still good, last seen first."""
        now = now_us()
        query = _QUERY if account_id is None else _QUERY.where(accounts.c.uid == account_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(sessions.c.seen_at.desc())).mappings().all()
            return [_session(connection, row) for row in rows if self._good(row, now)]

    def waiting(self, token: str) -> Waiting | None:
        """Who waits with a session that opens nothing yet; None where it is none, or ran out."""
        with self._database.read() as connection:
            query = _QUERY.where(sessions.c.token == _digest(token), sessions.c.waits.is_not(None))
            row = connection.execute(query).mappings().first()
            if row is None or not row["enabled"] or row["expires_at"] < now_us():
                return None
            return Waiting(record(connection, row), row["waits"])

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
            return begin(connection, row, place, by, None)

    def strengthen(self, token: str) -> None:
        """An open session's account has got a second factor: it stays, all others end."""
        with self._database.write() as connection:
            mine = sessions.c.token == _digest(token)
            connection.execute(sessions.update().where(mine).values(strong=1))
            owner = connection.execute(sa.select(sessions.c.account_id).where(mine)).scalar()
            _end(connection, sa.and_(sessions.c.account_id == owner, sa.not_(mine)))

    def sign_out(self, token: str) -> None:
        """End one session."""
        with self._database.write() as connection:
            _end(connection, sessions.c.token == _digest(token))

    def end(self, session_id: str, account_id: str | None = None) -> None:
        """End one session, of that account where one is given; one that ended already is fine."""
        named = sa.func.substr(sessions.c.token, 1, SESSION_ID) == session_id
        with self._database.write() as connection:
            if account_id is not None:
                owner = find_account(connection, account_id)["id"]
                named = sa.and_(named, sessions.c.account_id == owner)
            _end(connection, named)

    def end_all(self, account_id: str, *, but: str | None = None) -> int:
        """End all of an account's, or all ``but`` that of a token; how many there were."""
        with self._database.write() as connection:
            those = sessions.c.account_id == find_account(connection, account_id)["id"]
            if but is not None:
                those = sa.and_(those, sessions.c.token != _digest(but))
            return _end(connection, those)

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
            with (
                suppress(GalleryBusy, GalleryUnavailable, StorageFull),
                self._database.write() as connection,
            ):
                connection.execute(
                    sessions.update().where(sessions.c.token == digest).values(seen_at=now)
                )
        finally:
            self._noting.discard(digest)


_QUERY = sa.select(
    accounts,
    sessions.c.token,
    sessions.c.created_at.label("started_at"),
    *(
        sessions.c[name]
        for name in ("seen_at", "expires_at", "address", "browser", "waits", "strong")
    ),
).join(sessions, sessions.c.account_id == accounts.c.id)


def begin(
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


def session_id(token: str) -> str:
    """How the session of a token is named."""
    return _digest(token)[:SESSION_ID]


def _session(connection: Connection, row: Any) -> OpenSession:
    idle, _ = LIFETIME[role_of(row["role"])]
    return OpenSession(
        row["token"][:SESSION_ID],
        record(connection, row),
        from_us(row["started_at"]),
        from_us(row["seen_at"]),
        from_us(min(row["expires_at"], row["seen_at"] + idle)),
        row["address"],
        row["browser"],
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
