"""What each collection is for and how long its people are kept, inside an open transaction."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import InputError
from arcid.gallery import rules
from arcid.gallery.records import Policy
from arcid.gallery.schema import Row, policies

MAX_TEXT = 1000  # characters of purpose and legal basis
MAX_DAYS = 36_500.0
MAX_STRANGERS_H = 24.0 * 30
_SPANS = ("unseen_days", "keep_days", "event_faces_days", "refused_days")
_viewer: ContextVar[str | None] = ContextVar("arcid_viewer", default=None)


@contextmanager
def viewing(role: str) -> Iterator[None]:
    """Who looks in the block, in this task or thread: pictures of faces that the policy does not
    show them are as if they were not kept. Outside of it all are shown."""
    token = _viewer.set(role)
    try:
        yield
    finally:
        _viewer.reset(token)


def hidden(connection: Connection, collection: Row) -> bool:
    """Whether pictures of faces are not for whom ``viewing`` named last."""
    role = _viewer.get()
    return role is not None and not shows_crops(find(connection, collection), role)


def shows_crops(policy: Policy, role: str) -> bool:
    """Whether pictures of faces are for this role; ``key``: for API keys."""
    return policy.crops_for is None or role in policy.crops_for


def find(connection: Connection, collection: Row) -> Policy:
    """A collection's; the default where nothing was said."""
    query = sa.select(policies).where(policies.c.collection_id == collection["id"])
    row = connection.execute(query).mappings().first()
    return Policy() if row is None else _record(row)


def put(connection: Connection, collection: Row, policy: Policy) -> None:
    """In the place of the one before. Raises ``InputError``."""
    checked(policy)
    roles = None if policy.crops_for is None else json.dumps(sorted(set(policy.crops_for)))
    values: dict[str, Any] = policy.to_dict() | {
        "consent": int(policy.consent), "published": int(policy.published), "crops_for": roles,
    }  # fmt: skip
    own = policies.c.collection_id == collection["id"]
    connection.execute(policies.delete().where(own))
    connection.execute(policies.insert().values(collection_id=collection["id"], **values))


def checked(policy: Policy) -> Policy:
    """Raises ``InputError`` for values without meaning."""
    for name in ("purpose", "legal_basis"):
        rules.plain_text(name, getattr(policy, name), 0, MAX_TEXT)
    if policy.on_withdrawal not in ("erase", "review"):
        raise InputError(f"on_withdrawal is erase or review, not {policy.on_withdrawal!r}")
    for name in _SPANS:
        days = getattr(policy, name)
        if days is None and name != "event_faces_days":
            continue
        if days is None or not math.isfinite(days) or not 0 < days <= MAX_DAYS:
            raise InputError(f"{name} must be more than 0 and at most {MAX_DAYS:.0f} days")
    if not 0 < policy.strangers_hours <= MAX_STRANGERS_H:
        raise InputError(
            f"strangers_hours must be more than 0 and at most {MAX_STRANGERS_H:.0f}: faces of "
            "people who are not enrolled are always erased"
        )
    return policy


def _record(row: Row) -> Policy:
    roles = None if row["crops_for"] is None else tuple(json.loads(row["crops_for"]))
    same = ("purpose", "legal_basis", "on_withdrawal", "strangers_hours", *_SPANS)
    return Policy(
        consent=bool(row["consent"]),
        published=bool(row["published"]),
        crops_for=roles,
        **{name: row[name] for name in same},
    )
