"""Webhooks that are stored: added, changed and tried while services run.

    hooks = Hooks(gallery, paths.home_dir())
    made, secret = hooks.add("hr", "https://hr.example/arcid", kinds=["arrival"])
    hooks.test(made.id)               posts one message now; what the receiver answered

Whoever writes an event puts it in their outboxes, whichever process that is; services deliver.
Address and secret are sealed with ``webhooks.key`` in ``ARCID_HOME``, which every service on the
database needs. Every change is written to the audit, in the same transaction.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.telling.target import DeliveryFailed, Unusable
from arcid.apps.telling.webhook import Webhook
from arcid.errors import AlreadyExists, SealBroken, UsageError, WebhookNotFound
from arcid.events import APPS, ATTENDANCE
from arcid.events.store.hooked import outbox_of
from arcid.events.tables import events, outbox, webhooks
from arcid.gallery import Gallery, rules
from arcid.gallery.schema import Row
from arcid.gallery.store import audit
from arcid.gallery.store.journal import from_us, now_us
from arcid.keys import load_key
from arcid.sealing import seal, unseal
from arcid.types import instant

SERVICE = "service"  # the kind of what a service says of itself
KINDS: tuple[str, ...] = (*ATTENDANCE, *APPS, SERVICE)
MAX_HOOKS = 100
NAME = "webhooks.key"
PURPOSE = b"arcid-webhook"
IF_DELETED = "addresses and secrets of webhooks then have to be entered again"
State = Literal["waiting", "done", "failed"]
TEST = "test"  # the kind of a message that is none of an event


@dataclass(frozen=True, slots=True)
class Hook:
    """A receiver as it stands; ``waiting``, ``done`` and ``failed`` count the last 30 days."""

    id: str
    name: str
    address: str  # without what may be secret
    kinds: tuple[str, ...] | None  # None: every kind, those to come too
    enabled: bool
    created_at: datetime  # UTC
    created_by: str  # as the audit names them
    waiting: int = 0
    done: int = 0
    failed: int = 0
    url: str = field(default="", repr=False)  # empty where no key that is there opens it
    secret: str = field(default="", repr=False)

    @property
    def target(self) -> Webhook | Unusable:
        """Who is told."""
        name = outbox_of(self.id)
        if not self.url:
            return Unusable(name, f"its address was sealed with another {NAME}", waits=True)
        try:
            return Webhook(name, self.url, self.secret)
        except UsageError as error:  # of a version or a setting that took it
            return Unusable(name, error.message)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without address and secret."""
        told = {k: v for k, v in asdict(self).items() if k not in ("url", "secret")}
        kinds = None if self.kinds is None else list(self.kinds)
        return told | {
            "kinds": kinds, "created_at": instant(self.created_at), "locked": not self.url,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one event for one receiver."""

    event_id: str
    kind: str
    recorded_at: datetime  # UTC, as all times
    state: State  # failed: given up
    attempts: int
    next_at: datetime | None  # when it is tried again
    ended_at: datetime | None
    problem: str | None  # of the last attempt

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        times = {
            name: None if (at := getattr(self, name)) is None else instant(at)
            for name in ("recorded_at", "next_at", "ended_at")
        }
        return asdict(self) | times


@dataclass(frozen=True, slots=True)
class Tried:
    """What a receiver answered to a message that was posted to try it."""

    delivered: bool
    status: int | None  # of HTTP; None: no answer
    problem: str | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Hooks:
    """Thread-safe; every method is one transaction."""

    def __init__(self, gallery: Gallery, folder: Path) -> None:
        """``folder``: where the key lies."""
        self._database = gallery.database
        self._path = folder / NAME

    def all(self) -> list[Hook]:
        """By name."""
        with self._database.read() as connection:
            query = sa.select(webhooks).order_by(webhooks.c.name_key)
            rows = connection.execute(query).mappings().all()
            counts = _counts(connection, [outbox_of(row["uid"]) for row in rows])
            return [self._record(row, counts) for row in rows]

    def enabled(self) -> list[Hook]:
        """Those that are told now, without counts."""
        with self._database.read() as connection:
            query = sa.select(webhooks).where(webhooks.c.enabled == 1).order_by(webhooks.c.id)
            rows = connection.execute(query).mappings().all()
        return [self._record(row, {}) for row in rows]

    def get(self, hook: str) -> Hook:
        """By id or name. Raises ``WebhookNotFound``."""
        with self._database.read() as connection:
            return self._found(connection, hook)

    def add(
        self,
        name: str,
        url: str,
        *,
        kinds: Collection[str] | None = None,
        secret: str | None = None,
        enabled: bool = True,
    ) -> tuple[Hook, str]:
        """A new receiver, and the secret its messages are signed with: told now and never again.

        ``kinds`` of events; None: all. ``secret``: one of the receiver's; None: a new one.
        Raises ``UsageError``, ``AddressRefused``, ``InputError``, ``AlreadyExists``.
        """
        uid, shared = secrets.token_hex(8), secret or _new_secret()
        values: dict[str, Any] = {
            "uid": uid,
            "kinds": _kinds(kinds),
            "enabled": int(enabled),
            "created_at": now_us(),
            "created_by": audit.actor_now(),
            **self._address(uid, url, shared),
        }
        with self._database.write() as connection:
            most = connection.execute(sa.select(sa.func.count()).select_from(webhooks)).scalar_one()
            if most >= MAX_HOOKS:
                raise UsageError(f"{MAX_HOOKS} webhooks are stored, and no more are; delete one")
            values |= _named(connection, name, uid)
            connection.execute(webhooks.insert().values(**values))
            _noted(connection, "create", uid, kinds=values["kinds"] and json.loads(values["kinds"]))
            return self._found(connection, uid), shared

    def change(
        self,
        hook: str,
        *,
        name: str | None = None,
        url: str | None = None,
        kinds: Collection[str] | None = None,
        every_kind: bool = False,
        enabled: bool | None = None,
    ) -> Hook:
        """What is None stays; ``every_kind`` takes a filter away. While it is not ``enabled`` no
        event is kept for it, and what waits goes on waiting. Raises as ``add``, and
        ``WebhookNotFound``; ``SealBroken`` where the secret that stays cannot be read."""
        with self._database.write(erases=True) as connection:
            row = _find(connection, hook)
            values: dict[str, Any] = {}
            if name is not None:
                values |= _named(connection, name, row["uid"])
            if url is not None:
                shared = self._record(row, {}).secret
                if not shared:
                    raise SealBroken(f"the secret was sealed with another {NAME}: add it anew")
                values |= self._address(row["uid"], url, shared)
            if kinds is not None or every_kind:
                values["kinds"] = None if every_kind else _kinds(kinds)
            if enabled is not None:
                values["enabled"] = int(enabled)
            if values:
                own = webhooks.update().where(webhooks.c.id == row["id"])
                connection.execute(own.values(**values))
                what = sorted(set(values) - {"name_key", "sealed", "shown"} | (
                    {"url"} if url is not None else set()
                ))  # fmt: skip
                _noted(connection, "change", row["uid"], changed=what)
            return self._found(connection, row["uid"])

    def rotate(self, hook: str, *, secret: str | None = None) -> tuple[Hook, str]:
        """Another secret, told once; the one before signs nothing any more."""
        with self._database.write(erases=True) as connection:
            row = _find(connection, hook)
            url = self._record(row, {}).url
            if not url:
                raise SealBroken(f"the address was sealed with another {NAME}: add it anew")
            shared = secret or _new_secret()
            values = self._address(row["uid"], url, shared)
            own = webhooks.update().where(webhooks.c.id == row["id"])
            connection.execute(own.values(**values))
            _noted(connection, "rotate", row["uid"])
            return self._found(connection, row["uid"]), shared

    def delete(self, hook: str) -> None:
        """With all that waits for it and what is known of its deliveries."""
        with self._database.write(erases=True) as connection:
            row = _find(connection, hook)
            own = outbox.c.target == outbox_of(row["uid"])
            connection.execute(outbox.delete().where(own))
            connection.execute(webhooks.delete().where(webhooks.c.id == row["id"]))
            _noted(connection, "delete", row["uid"])

    def deliveries(self, hook: str, limit: int = 100) -> list[Delivery]:
        """The newest of the last 30 days, newest first."""
        with self._database.read() as connection:
            target = outbox_of(_find(connection, hook)["uid"])
            query = (
                sa.select(outbox, events.c.uid, events.c.kind, events.c.recorded_at)
                .join(events, events.c.id == outbox.c.event_id)
                .where(outbox.c.target == target)
                .order_by(outbox.c.id.desc())
                .limit(limit)
            )
            return [_delivery(row) for row in connection.execute(query).mappings()]

    def test(self, hook: str) -> Tried:
        """Post one signed message of the kind ``test`` now, past the outbox and whether it is
        enabled or not. What the receiver answers is the answer, and raises nothing."""
        found = self.get(hook)
        now, began = datetime.now(UTC), time.perf_counter()
        told = {"id": f"test-{secrets.token_hex(8)}", "kind": TEST, "at": instant(now)}
        status, problem = None, None
        try:
            target = found.target
            if isinstance(target, Unusable):
                raise DeliveryFailed(target.why)
            status = target.post(json.dumps(told).encode(), TEST, told["id"], now)
        except DeliveryFailed as error:
            status, problem = error.status, str(error)
        seconds = round(time.perf_counter() - began, 3)
        with self._database.write() as connection:
            _noted(connection, "test", found.id, status=status)
        return Tried(problem is None, status, problem, seconds)

    def _address(self, uid: str, url: str, secret: str) -> dict[str, Any]:
        Webhook("webhook", url, secret)  # raises what is wrong with them
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise UsageError("a webhook's address holds no user and password; it is signed")
        shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
        text = json.dumps({"url": url, "secret": secret})
        sealed = seal(load_key(self._path, IF_DELETED), uid, text, PURPOSE)
        return {"shown": rules.plain_text("the address", shown, 1, 2000), "sealed": sealed}

    def _found(self, connection: Connection, hook: str) -> Hook:
        row = _find(connection, hook)
        return self._record(row, _counts(connection, [outbox_of(row["uid"])]))

    def _record(self, row: Row, counts: dict[str, tuple[int, int, int]]) -> Hook:
        opened = {"url": "", "secret": ""}
        if self._path.exists():
            try:
                key = load_key(self._path, IF_DELETED)
                opened = json.loads(unseal(key, row["uid"], row["sealed"], PURPOSE))
            except SealBroken:
                pass  # another key: it is shown as locked
        kinds = None if row["kinds"] is None else tuple(json.loads(row["kinds"]))
        return Hook(
            row["uid"],
            row["name"],
            row["shown"],
            kinds,
            bool(row["enabled"]),
            from_us(row["created_at"]),
            row["created_by"],
            *counts.get(outbox_of(row["uid"]), (0, 0, 0)),
            opened["url"],
            opened["secret"],
        )


def _new_secret() -> str:
    return f"whsec_{secrets.token_urlsafe(32)}"


def _kinds(kinds: Collection[str] | None) -> str | None:
    if kinds is None:
        return None
    wrong = sorted(set(kinds) - set(KINDS))
    if wrong or not kinds:
        named = f"; not {', '.join(wrong)}" if wrong else ""
        raise UsageError(f"kinds of events are {', '.join(KINDS)}{named}")
    return json.dumps([kind for kind in KINDS if kind in set(kinds)])


def _named(connection: Connection, name: str, uid: str) -> dict[str, str]:
    cleaned = rules.clean_name(name, "a webhook's name")
    key = rules.name_key(cleaned)
    taken = sa.select(webhooks.c.uid).where(webhooks.c.name_key == key, webhooks.c.uid != uid)
    if connection.execute(taken).first() is not None:
        raise AlreadyExists(f"there is a webhook {cleaned!r} already; choose another name")
    return {"name": cleaned, "name_key": key}


def _find(connection: Connection, hook: str) -> Row:
    for column, value in (
        (webhooks.c.uid, hook),
        (webhooks.c.name_key, rules.name_key(hook)),
    ):
        query = sa.select(webhooks).where(column == value)
        row = connection.execute(query).mappings().first()
        if row is not None:
            return row
    raise WebhookNotFound("there is no webhook of this id or name")


def _counts(connection: Connection, targets: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    o = outbox.c
    query = (
        sa.select(o.target, sa.func.count(), sa.func.count(o.done_at), sa.func.count(o.failed_at))
        .where(o.target.in_(targets))
        .group_by(o.target)
    )
    return {
        target: (total - done - failed, done, failed)
        for target, total, done, failed in connection.execute(query)
    }


def _delivery(row: Row) -> Delivery:
    ended = row["done_at"] or row["failed_at"]
    state: State = "done" if row["done_at"] else "failed" if row["failed_at"] else "waiting"
    return Delivery(
        row["uid"],
        row["kind"],
        from_us(row["recorded_at"]),
        state,
        row["attempts"],
        None if ended else from_us(row["next_at"]),
        from_us(ended) if ended else None,
        row["last_error"],
    )


def _noted(connection: Connection, what: str, uid: str, **details: Any) -> None:
    audit.append(connection, verb=f"webhook.{what}", subject=f"webhook:{uid}", details=details)
