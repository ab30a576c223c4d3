"""Attendance: events, visits, traces, blocked pairs and the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("event_key", sa.String(64), nullable=False),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("camera", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("person_uid", sa.String(32), nullable=True),
        sa.Column("visitor_uid", sa.String(32), nullable=True),
        sa.Column("about_uid", sa.String(32), nullable=True),
        sa.Column("action", sa.String(16), nullable=True),
        sa.Column("actor", sa.Text, nullable=True),
        sa.Column("note", sa.Text, nullable=True),
        sa.Column("grounds", sa.Text, nullable=False),
        sa.Column("seal", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("uid", name="uq_events_uid"),
        sa.UniqueConstraint("event_key", name="uq_events_event_key"),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], "fk_events_collection_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_collection_id_at", "events", ["collection_id", "at"])
    op.create_index("ix_events_about_uid", "events", ["about_uid"])
    op.create_table(
        "visits",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("camera", sa.Text, nullable=False),
        sa.Column("person_uid", sa.String(32), nullable=True),
        sa.Column("visitor_uid", sa.String(32), nullable=True),
        sa.Column("arrived_at", sa.BigInteger, nullable=False),
        sa.Column("last_seen_at", sa.BigInteger, nullable=False),
        sa.Column("closed", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_visits"),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], "fk_visits_collection_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_visits_collection_id_closed_last_seen_at",
        "visits",
        ["collection_id", "closed", "last_seen_at"],
    )
    op.create_index("ix_visits_collection_id_person_uid", "visits", ["collection_id", "person_uid"])
    op.create_table(
        "traces",
        sa.Column("event_id", _BIG, nullable=False, autoincrement=False),
        sa.Column("contract", sa.String(128), nullable=False),
        sa.Column("dim", sa.Integer, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("crop", sa.LargeBinary, nullable=True),
        sa.Column("seal", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_traces"),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], "fk_traces_event_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "blocks",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("person_id", _BIG, nullable=False),
        sa.Column("event_uid", sa.String(32), nullable=False),
        sa.Column("contract", sa.String(128), nullable=False),
        sa.Column("dim", sa.Integer, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_blocks"),
        sa.UniqueConstraint("event_uid", name="uq_blocks_event_uid"),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], "fk_blocks_person_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_blocks_person_id", "blocks", ["person_id"])
    op.create_table(
        "outbox",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("event_id", _BIG, nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("done_at", sa.BigInteger, nullable=True),
        sa.Column("failed_at", sa.BigInteger, nullable=True),
        sa.Column("last_error", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("event_id", "target", name="uq_outbox_event_id_target"),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], "fk_outbox_event_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_target_next_at", "outbox", ["target", "next_at"])
