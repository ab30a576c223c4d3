"""Watchlists, who is on them, their alerts, and how many faces each camera sees."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _table(
        "watchlists",
        sa.Column("uid", sa.String(32), nullable=False),
        _of("watchlists", "collection_id", "collections.id"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("uid", name="uq_watchlists_uid"),
        sa.UniqueConstraint("name_key", name="uq_watchlists_name_key"),
    )
    op.create_index("ix_watchlists_collection_id", "watchlists", ["collection_id"])
    _table(
        "watchlist_members",
        _of("watchlist_members", "list_id", "watchlists.id"),
        _of("watchlist_members", "person_id", "people.id"),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("list_id", "person_id", name="uq_watchlist_members_list_id_person_id"),
    )
    op.create_index("ix_watchlist_members_person_id", "watchlist_members", ["person_id"])
    _table(
        "alerts",
        sa.Column("uid", sa.String(32), nullable=False),
        _of("alerts", "list_id", "watchlists.id"),
        _of("alerts", "person_id", "people.id"),
        _of("alerts", "event_id", "events.id"),
        sa.Column("level", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("four_eyes", sa.SmallInteger, nullable=False),
        sa.Column("camera", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("last_seen_at", sa.BigInteger, nullable=False),
        sa.Column("sightings", sa.Integer, nullable=False),
        sa.Column("raised_at", sa.BigInteger, nullable=False),
        sa.Column("latency_ms", sa.Integer, nullable=False),
        sa.UniqueConstraint("uid", name="uq_alerts_uid"),
    )
    op.create_index("ix_alerts_list_id_state_id", "alerts", ["list_id", "state", "id"])
    op.create_index("ix_alerts_person_id", "alerts", ["person_id"])
    op.create_index("ix_alerts_event_id", "alerts", ["event_id"])
    _table(
        "alert_steps",
        _of("alert_steps", "alert_id", "alerts.id"),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("correction_uid", sa.String(32), nullable=True),
        sa.Column("undone_by", sa.Text, nullable=True),
        sa.Column("undone_at", sa.BigInteger, nullable=True),
    )
    op.create_index("ix_alert_steps_alert_id", "alert_steps", ["alert_id"])
    _table(
        "watched_hours",
        sa.Column("camera", sa.Text, nullable=False),
        sa.Column("hour", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("faces", sa.Integer, nullable=False),
        sa.UniqueConstraint("camera", "hour", name="uq_watched_hours_camera_hour"),
    )


def _table(name: str, *columns: Any) -> None:
    key = sa.Column("id", _BIG, nullable=False, autoincrement=True)
    primary = sa.PrimaryKeyConstraint("id", name=f"pk_{name}")
    op.create_table(name, key, *columns, primary, sqlite_autoincrement=True)


def _of(table: str, name: str, target: str) -> sa.Column[int]:
    whole = sa.ForeignKey(target, name=f"fk_{table}_{name}", ondelete="CASCADE")
    return sa.Column(name, _BIG, whole, nullable=False)
