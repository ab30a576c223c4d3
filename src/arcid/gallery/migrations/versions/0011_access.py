"""Doors, groups, schedules, holidays, who is where, and openings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "doors",
        _key(),
        sa.Column("uid", sa.String(32), nullable=False),
        _big("collection_id"),
        _text("name"),
        _text("name_key"),
        _text("settings"),
        _text("lockdown", True),
        _big("opened_at", True),
        _big("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_doors"),
        sa.UniqueConstraint("uid", name="uq_doors_uid"),
        sa.UniqueConstraint("name_key", name="uq_doors_name_key"),
        _cascade("doors", "collection_id", "collections.id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "door_groups",
        _key(),
        _big("collection_id"),
        _text("name"),
        _text("name_key"),
        sa.PrimaryKeyConstraint("id", name="pk_door_groups"),
        sa.UniqueConstraint(
            "collection_id", "name_key", name="uq_door_groups_collection_id_name_key"
        ),
        _cascade("door_groups", "collection_id", "collections.id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "door_members",
        _key(),
        _big("group_id"),
        _big("person_id"),
        _big("valid_from", True),
        _big("valid_until", True),
        sa.PrimaryKeyConstraint("id", name="pk_door_members"),
        sa.UniqueConstraint("group_id", "person_id", name="uq_door_members_group_id_person_id"),
        _cascade("door_members", "group_id", "door_groups.id"),
        _cascade("door_members", "person_id", "people.id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_door_members_person_id", "door_members", ["person_id"])
    op.create_table(
        "door_schedules",
        _key(),
        _big("collection_id"),
        _text("name"),
        _text("name_key"),
        _text("hours"),
        _text("zone"),
        sa.PrimaryKeyConstraint("id", name="pk_door_schedules"),
        sa.UniqueConstraint(
            "collection_id", "name_key", name="uq_door_schedules_collection_id_name_key"
        ),
        _cascade("door_schedules", "collection_id", "collections.id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "door_holidays",
        _key(),
        sa.Column("day", sa.String(10), nullable=False),
        _text("name"),
        sa.PrimaryKeyConstraint("id", name="pk_door_holidays"),
        sa.UniqueConstraint("day", name="uq_door_holidays_day"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "door_rules",
        _key(),
        _big("door_id"),
        _big("group_id"),
        _big("schedule_id", True),
        sa.PrimaryKeyConstraint("id", name="pk_door_rules"),
        _cascade("door_rules", "door_id", "doors.id"),
        _cascade("door_rules", "group_id", "door_groups.id"),
        _cascade("door_rules", "schedule_id", "door_schedules.id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_door_rules_door_id", "door_rules", ["door_id"])
    op.create_index("ix_door_rules_group_id", "door_rules", ["group_id"])
    op.create_table(
        "door_positions",
        _key(),
        _big("person_id"),
        _text("area"),
        _big("at"),
        sa.PrimaryKeyConstraint("id", name="pk_door_positions"),
        sa.UniqueConstraint("person_id", name="uq_door_positions_person_id"),
        _cascade("door_positions", "person_id", "people.id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "door_openings",
        _key(),
        sa.Column("uid", sa.String(32), nullable=False),
        _big("door_id"),
        sa.Column("opening_key", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("person_uid", sa.String(32), nullable=True),
        _text("actor", True),
        _text("why", True),
        _big("asked_at"),
        _big("claimed_at", True),
        _big("ended_at", True),
        _text("detail", True),
        sa.PrimaryKeyConstraint("id", name="pk_door_openings"),
        sa.UniqueConstraint("uid", name="uq_door_openings_uid"),
        sa.UniqueConstraint("opening_key", name="uq_door_openings_opening_key"),
        _cascade("door_openings", "door_id", "doors.id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_door_openings_door_id_state", "door_openings", ["door_id", "state"])
    op.create_index("ix_door_openings_state_claimed_at", "door_openings", ["state", "claimed_at"])


def _key() -> sa.Column[int]:
    return sa.Column("id", _BIG, nullable=False, autoincrement=True)


def _big(name: str, nullable: bool = False) -> sa.Column[int]:
    number = _BIG if name.endswith("_id") else sa.BigInteger()
    return sa.Column(name, number, nullable=nullable)


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _cascade(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], f"fk_{table}_{column}", ondelete="CASCADE")
