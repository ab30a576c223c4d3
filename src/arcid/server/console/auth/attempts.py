"""Failed sign-ins, counted by name, by address and by both; their keys are hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.database import Database
from arcid.gallery.store.journal import now_us
from arcid.server.console import strings as S
from arcid.server.console.auth.errors import TooManyAttempts
from arcid.server.console.auth.passwords import name_key
from arcid.server.console.auth.schema import attempts
from arcid.server.throttle import wait_after_s

SECOND = 1_000_000
FORGET_AFTER = 3600 * SECOND
FREE_TRIES = {"both": 5, "name": 25, "address": 50, "second": 5}


class Noting(NamedTuple):
    """Who writes a failure down, and by the count of which of the keys."""

    kind: str
    note: Callable[[Connection, int], None]


class Attempts:
    """In the console's database, so that several processes count together. Blocks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def check(self, keys: dict[str, str]) -> None:
        """Raises ``TooManyAttempts`` as long as one of the keys has to wait."""
        now = now_us()
        with self._database.read() as connection:
            query = sa.select(attempts).where(attempts.c.key.in_(keys.values()))
            found = {row["key"]: row for row in connection.execute(query).mappings()}
        for kind, key in keys.items():
            row = found.get(key)
            if row is None or row["last_at"] + FORGET_AFTER < now:
                continue
            wait_s = wait_after_s(row["failures"], FREE_TRIES[kind])
            left_s = (row["last_at"] - now) / SECOND + wait_s
            if left_s > 0:
                raise TooManyAttempts(
                    S.TOO_MANY_ATTEMPTS.format(wait=S.duration(left_s)),
                    retry_after_s=max(1, round(left_s)),
                )

    def count(self, keys: dict[str, str], noting: Noting | None = None) -> None:
        """One more failure of each key; ``noting`` is told how many there are, at powers of two."""
        now = now_us()
        with self._database.write() as connection:
            connection.execute(attempts.delete().where(attempts.c.last_at < now - FORGET_AFTER))
            for key in keys.values():
                done = connection.execute(
                    attempts.update()
                    .where(attempts.c.key == key)
                    .values(failures=attempts.c.failures + 1, last_at=now)
                )
                if done.rowcount == 0:
                    connection.execute(attempts.insert().values(key=key, failures=1, last_at=now))
            if noting is None:
                return
            mine = attempts.c.key == keys[noting.kind]
            failures = connection.execute(sa.select(attempts.c.failures).where(mine)).scalar_one()
            if failures & (failures - 1) == 0:
                noting.note(connection, failures)


def attempt_keys(name: str, address: str) -> dict[str, str]:
    """What an attempt counts for."""
    key = name_key(name[:1000])
    return {
        "both": _digest(f"both:{len(key)}:{key}:{address}"),
        "name": _digest(f"name:{key}"),
        "address": _digest(f"address:{address}"),
    }


def nobodys_key() -> dict[str, str]:
    """What an attempt with a name that nobody has counts for, which holds nobody back."""
    return {"nobody": _digest("nobody")}


def second_keys(account_id: str) -> dict[str, str]:
    """The same of a second factor, which only somebody is asked for who knows the password."""
    return {"second": _digest(f"second:{account_id}")}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
