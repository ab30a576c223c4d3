"""Which stored receivers take an event: asked where it is written, whichever process does."""

from __future__ import annotations

import json

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.events.tables import webhooks


def outbox_of(uid: str) -> str:
    """Its target's name."""
    return f"webhook-{uid}"


def hooked(connection: Connection, kind: str) -> set[str]:
    """The outboxes that an event of this kind is put in."""
    query = sa.select(webhooks.c.uid, webhooks.c.kinds).where(webhooks.c.enabled == 1)
    return {
        outbox_of(uid)
        for uid, kinds in connection.execute(query)
        if kinds is None or kind in json.loads(kinds)
    }
