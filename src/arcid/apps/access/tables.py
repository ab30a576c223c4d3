"""Doors, who may pass them when, and every opening, beside the gallery's tables."""

from __future__ import annotations

import sqlalchemy as sa

from arcid.gallery.schema import BigInt, key, reference, table

doors = table(
    "doors",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("collection_id", "collections.id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("settings", sa.Text, nullable=False),  # JSON: the rest of ``rules.Door``
    sa.Column("lockdown", sa.Text, nullable=True),  # why; null: not locked down
    sa.Column("opened_at", sa.BigInteger, nullable=True),  # last released
    sa.Column("created_at", sa.BigInteger, nullable=False),
)

groups = table(
    "door_groups",
    key(),
    reference("collection_id", "collections.id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False),
    sa.UniqueConstraint("collection_id", "name_key"),
)

members = table(
    "door_members",
    key(),
    reference("group_id", "door_groups.id"),
    reference("person_id", "people.id"),
    sa.Column("valid_from", sa.BigInteger, nullable=True),
    sa.Column("valid_until", sa.BigInteger, nullable=True),  # exclusive
    sa.UniqueConstraint("group_id", "person_id"),
    sa.Index(None, "person_id"),
)

schedules = table(
    "door_schedules",
    key(),
    reference("collection_id", "collections.id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False),
    sa.Column("hours", sa.Text, nullable=False),
    sa.Column("zone", sa.Text, nullable=False),
    sa.UniqueConstraint("collection_id", "name_key"),
)

holidays = table(
    "door_holidays",
    key(),
    sa.Column("day", sa.String(10), nullable=False, unique=True),  # ISO 8601
    sa.Column("name", sa.Text, nullable=False),
)

rules = table(
    "door_rules",
    key(),
    reference("door_id", "doors.id"),
    reference("group_id", "door_groups.id"),
    sa.Column(
        "schedule_id", BigInt, sa.ForeignKey("door_schedules.id", ondelete="CASCADE"), nullable=True
    ),  # null: at any time
    sa.Index(None, "door_id"),
    sa.Index(None, "group_id"),
)

# Where a person went last. Gone with the person.
positions = table(
    "door_positions",
    key(),
    reference("person_id", "people.id"),
    sa.Column("area", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("person_id"),
)

# Openings: asked for (by hand), claimed before the output is triggered, and what became of it.
# ``opening_key`` makes one decision one opening.
openings = table(
    "door_openings",
    key(),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    reference("door_id", "doors.id"),
    sa.Column("opening_key", sa.String(64), nullable=False, unique=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("person_uid", sa.String(32), nullable=True),
    sa.Column("actor", sa.Text, nullable=True),  # by hand
    sa.Column("why", sa.Text, nullable=True),
    sa.Column("asked_at", sa.BigInteger, nullable=False),
    sa.Column("claimed_at", sa.BigInteger, nullable=True),
    sa.Column("ended_at", sa.BigInteger, nullable=True),
    sa.Column("detail", sa.Text, nullable=True),  # why not, in words
    sa.Index(None, "door_id", "state"),
    sa.Index(None, "state", "claimed_at"),
)
