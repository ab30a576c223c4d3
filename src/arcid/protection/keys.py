"""API keys of the service, in the gallery's database; of a key only its sha256 is kept.

    keys = Keys(gallery)
    made, secret = keys.add("door", ["search"], collections=["staff"], lasts=timedelta(days=90))
    keys.rotate(made.id, overlap=timedelta(days=1))    a new secret; the old one is good for a day
    keys.revoke(made.id)

Each of these is written to the audit, in the same transaction. Services follow within a second.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import AlreadyExists, InputError, KeyNotFound, UsageError
from arcid.gallery import Gallery, rules
from arcid.gallery.schema import Row, api_keys
from arcid.gallery.schema import collections as collections_
from arcid.gallery.store import audit
from arcid.gallery.store.collections import find as find_collection
from arcid.gallery.store.journal import from_us, now_us
from arcid.types import instant

Verb = Literal["read", "search", "enrol", "decide", "delete", "doors", "admin", "vectors"]
VERBS: tuple[Verb, ...] = get_args(Verb)
State = Literal["valid", "expired", "revoked"]
PREFIX = "arcid"
OVERLAP, LONGEST_OVERLAP = timedelta(hours=24), timedelta(days=365)
LONGEST = timedelta(days=36_500)
MAX_PER_MINUTE = 1_000_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it stands. What programs show is told once, by ``add`` and ``rotate``."""

    id: str  # names it and opens nothing
    name: str
    verbs: tuple[Verb, ...]
    collections: tuple[str, ...] | None  # their names now; None: all, those to come too
    per_minute: int | None  # requests; None: as many as the service takes
    created_at: datetime  # UTC, as all times
    created_by: str  # as the audit names them
    expires_at: datetime | None
    old_until: datetime | None  # until when what it was before its rotation is taken too
    revoked_at: datetime | None
    used_at: datetime | None  # within a minute

    @property
    def prefix(self) -> str:
        """How its secret begins."""
        return f"{PREFIX}_{self.id}_"

    @property
    def state(self) -> State:
        if self.revoked_at is not None:
            return "revoked"
        ended = self.expires_at is not None and self.expires_at <= datetime.now(UTC)
        return "expired" if ended else "valid"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        times = {
            name: None if (at := getattr(self, name)) is None else instant(at)
            for name in ("created_at", "expires_at", "old_until", "revoked_at", "used_at")
        }
        return {
            "id": self.id,
            "name": self.name,
            "prefix": self.prefix,
            "state": self.state,
            "verbs": list(self.verbs),
            "collections": None if self.collections is None else list(self.collections),
            "per_minute": self.per_minute,
            "created_by": self.created_by,
            **times,
        }


class Keys:
    """Thread-safe; every method is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def add(
        self,
        name: str,
        verbs: Iterable[str],
        *,
        collections: Sequence[str] | None = None,
        lasts: timedelta | None = None,
        per_minute: int | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key, and what programs show: told now and never again.

        ``collections``: by name, the only ones it reaches; None: all. ``lasts``: None: until it is
        revoked. Raises ``UsageError`` (verbs), ``InputError``, ``CollectionNotFound``,
        ``AlreadyExists``.
        """
        cleaned = rules.clean_name(name, "a key's name")
        allowed = verbs_of(verbs)
        if per_minute is not None and not 1 <= per_minute <= MAX_PER_MINUTE:
            raise InputError(f"per_minute must be from 1 to {MAX_PER_MINUTE}")
        if collections is not None and not collections:
            raise InputError("name the collections that the key reaches, or none for all of them")
        uid, now = secrets.token_hex(5), now_us()
        secret = _secret(uid)
        with self._database.write() as connection:
            taken = api_keys.c.name_key == rules.name_key(cleaned)
            if connection.execute(sa.select(api_keys.c.id).where(taken)).first() is not None:
                raise AlreadyExists(f"there is an API key {cleaned!r} already; choose another name")
            uids = collections and [find_collection(connection, one)["uid"] for one in collections]
            connection.execute(
                api_keys.insert().values(
                    uid=uid, name=cleaned, name_key=rules.name_key(cleaned), digest=digest(secret),
                    verbs=" ".join(allowed), collections=uids and json.dumps(sorted(set(uids))),
                    per_minute=per_minute, created_at=now, created_by=audit.actor_now(),
                    expires_at=_until(now, lasts),
                )
            )  # fmt: skip
            details = {"verbs": list(allowed), "collections": uids or None}
            audit.append(connection, verb="key.create", subject=f"key:{uid}", details=details)
            return _record(connection, _find(connection, uid)), secret

    def all(self) -> list[ApiKey]:
        """By name, those that ended included."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(api_keys).order_by(api_keys.c.name_key)).mappings()
            return [_record(connection, row) for row in rows.all()]

    def get(self, key: str) -> ApiKey:
        """By id or name. Raises ``KeyNotFound``."""
        with self._database.read() as connection:
            return _record(connection, _find(connection, key))

    def any_valid(self) -> bool:
        """Whether a program can show one now."""
        return any(one.state == "valid" for one in self.all())

    def rotate(
        self, key: str, *, overlap: timedelta = OVERLAP, lasts: timedelta | None = None
    ) -> tuple[ApiKey, str]:
        """A new secret, told once; the one before is taken for ``overlap`` too.

        Name, id, verbs and collections stay. ``lasts``: from now; None: the expiry stays. Raises
        ``KeyNotFound``, and ``UsageError`` for a key that ended.
        """
        if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
            raise InputError("overlap must be from nothing to a year")
        with self._database.write() as connection:
            row, now = _find(connection, key), now_us()
            if (state := _record(connection, row).state) != "valid":
                raise UsageError(f"the key {row['name']!r} is {state}: make another one")
            secret = _secret(row["uid"])
            old = now + overlap // timedelta(microseconds=1)
            values: dict[str, Any] = {
                "digest": digest(secret), "old_digest": row["digest"], "old_until": old,
            }  # fmt: skip
            if lasts is not None:
                values["expires_at"] = _until(now, lasts)
            _change(connection, row, values, "key.rotate", overlap_s=overlap.total_seconds())
            return _record(connection, _find(connection, row["uid"])), secret

    def revoke(self, key: str) -> ApiKey:
        """Let it open nothing any more; one that was revoked stays so. Raises ``KeyNotFound``."""
        with self._database.write() as connection:
            row = _find(connection, key)
            if row["revoked_at"] is None:
                _change(connection, row, {"revoked_at": now_us()}, "key.revoke")
            return _record(connection, _find(connection, row["uid"]))

    def delete(self, key: str) -> None:
        """Forget it with its name, which the audit then cannot tell. Raises ``KeyNotFound``."""
        with self._database.write(erases=True) as connection:
            row = _find(connection, key)
            connection.execute(api_keys.delete().where(api_keys.c.id == row["id"]))
            audit.append(connection, verb="key.delete", subject=f"key:{row['uid']}")

    def note_used(self, used: Mapping[str, int]) -> None:
        """When keys were shown last, by id, in microseconds since 1970."""
        with self._database.write() as connection:
            for uid, at in used.items():
                later = sa.or_(api_keys.c.used_at.is_(None), api_keys.c.used_at < at)
                query = api_keys.update().where(api_keys.c.uid == uid, later).values(used_at=at)
                connection.execute(query)

    def rows(self) -> Sequence[Row]:
        """As they are stored, for whoever lets programs in."""
        with self._database.read() as connection:
            return connection.execute(sa.select(api_keys)).mappings().all()


def verbs_of(words: Iterable[str]) -> tuple[Verb, ...]:
    """In their order; raises ``UsageError`` with the known ones."""
    given = set(words)
    if not given or not given <= set(VERBS):
        wrong = ", ".join(sorted(given - set(VERBS)))
        raise UsageError(
            f"a key may do some of {', '.join(VERBS)}" + (f"; not {wrong}" if wrong else "")
        )
    return tuple(verb for verb in VERBS if verb in given)


def owner_of(connection: Connection, actor: str) -> str:
    """Who answers for what a credential does: of a stored key, the account or key that made it.

    A key that was made at the command line, without keys or through the library is its own.
    """
    seen: set[str] = set()
    while actor.startswith("key:") and actor not in seen:
        seen.add(actor)
        made = sa.select(api_keys.c.created_by).where(api_keys.c.uid == actor.removeprefix("key:"))
        by: str | None = connection.execute(made).scalar()
        if by is None or not by.startswith(("account:", "key:")):
            break
        actor = by
    return actor


def digest(secret: str) -> str:
    """What is kept of a key: 256 random bits need no slower hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _secret(uid: str) -> str:
    return f"{PREFIX}_{uid}_{secrets.token_urlsafe(32)}"


def _until(now: int, lasts: timedelta | None) -> int | None:
    if lasts is None:
        return None
    if not timedelta(0) < lasts <= LONGEST:
        raise InputError("a key lasts for more than nothing and less than a hundred years")
    return now + lasts // timedelta(microseconds=1)


def _find(connection: Connection, key: str) -> Row:
    query = sa.select(api_keys)
    for column, value in ((api_keys.c.uid, key), (api_keys.c.name_key, rules.name_key(key))):
        row = connection.execute(query.where(column == value)).mappings().first()
        if row is not None:
            return row
    raise KeyNotFound("there is no API key of this id or name; arcid keys list shows all")


def _change(
    connection: Connection, row: Row, values: Mapping[str, Any], verb: str, **details: Any
) -> None:
    connection.execute(api_keys.update().where(api_keys.c.id == row["id"]).values(**values))
    audit.append(connection, verb=verb, subject=f"key:{row['uid']}", details=details)


def _record(connection: Connection, row: Row) -> ApiKey:
    names = None
    if row["collections"] is not None:
        known = collections_.c.uid.in_(json.loads(row["collections"]))
        query = sa.select(collections_.c.name).where(known).order_by(collections_.c.name)
        names = tuple(connection.execute(query).scalars())
    times = (row[name] and from_us(row[name]) for name in ("expires_at", "old_until"))
    ended = (row[name] and from_us(row[name]) for name in ("revoked_at", "used_at"))
    return ApiKey(
        row["uid"],
        row["name"],
        verbs_of(row["verbs"].split()),
        names,
        row["per_minute"],
        from_us(row["created_at"]),
        row["created_by"],
        *times,
        *ended,
    )
